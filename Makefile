# Two commands do everything: `make demo` and `make test`. Both make the environment first, from the hash-locked files in requirements/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet --require-hashes
# The package itself comes last, without its dependencies: they are exactly the locked ones. The build backend is in the lock too.
INSTALL_SELF := $(PIP) install --quiet --no-deps --no-build-isolation -e .

# Stamps: a second run does nothing unless the lock or pyproject.toml changed since.
MADE := $(VENV)/.made
BASE := $(VENV)/.installed-base
DEV := $(VENV)/.installed-dev

.PHONY: help setup demo test soak cover fmt lint types bench docs lock clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) ## Make the environment for working on BCCE in .venv
	@echo "$(VENV) is ready"

demo: $(BASE) ## Watch a broken service being repaired, from its alert to the closed ticket (ARGS="--yes --keep")
	@$(BIN)/bcce demo $(ARGS)

test: $(DEV) ## Run all tests on all processors (ARGS="-k journal")
	$(BIN)/python -m pytest -n auto $(ARGS)

soak: $(DEV) ## Kill the server at every journal boundary, 20 times over, and 2,000 random workflows (BCCE_SOAK_ROUNDS=20)
	BCCE_SOAK_ROUNDS=$${BCCE_SOAK_ROUNDS:-20} $(BIN)/python -m pytest -n auto tests/acceptance tests/integration -m soak $(ARGS)

cover: $(DEV) ## Run all tests and check how much of the code they reach
	$(BIN)/python -m pytest -n auto --cov --cov-report= $(ARGS)
	$(BIN)/coverage json -q -o .coverage.json
	$(BIN)/python -m tools.coverage .coverage.json

fmt: $(DEV) ## Format the source
	$(BIN)/ruff check --fix-only --select I .
	$(BIN)/ruff format .

lint: $(DEV) ## Check style, layers and the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m tools.lint src

types: $(DEV) ## Check the types
	$(BIN)/mypy
	$(BIN)/mypy tools

bench: $(BASE) ## Measure (ARGS="workflows --json")
	@$(BIN)/bcce bench $(or $(ARGS),startup)

docs: $(DEV) ## Write the reference pages from the code, then check them
	$(BIN)/python -m tools.docs
	$(BIN)/python -m tools.docs --check

lock: ## Choose the newest allowed versions of all dependencies and lock them (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv, which is not installed; nothing else does" >&2; exit 1; }
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-header --quiet --upgrade \
	  pyproject.toml requirements/build.in -o requirements/base.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-header --quiet --upgrade \
	  pyproject.toml requirements/build.in --extra dev -c requirements/base.txt -o requirements/dev.txt

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov build dist

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "BCCE needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 | head -n 1)" >&2; \
	  echo "name another one like this: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@echo "making the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(BASE): requirements/base.txt pyproject.toml | $(MADE)
	@echo "installing what BCCE runs on"
	@$(INSTALL) -r requirements/base.txt
	@$(INSTALL_SELF)
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml | $(MADE)
	@echo "installing what BCCE runs on and what its tests need"
	@$(INSTALL) -r requirements/dev.txt
	@$(INSTALL_SELF)
	@touch $@ $(BASE)
