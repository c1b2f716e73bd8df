"""The second parser of bash when it is not there, does not answer, or answers something else: never an agreement."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.bash.opinion import disagreement, program
from bcce.safety.bash.parse import TooHard, parse
from bcce.safety.validators.bash import BashValidator

Install = Callable[[str | None], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts another program where the second parser belongs; None: none at all."""

    def put(text: str | None) -> None:
        if text is not None:
            (tmp_path / "shfmt").write_text(text)
            (tmp_path / "shfmt").chmod(0o700 if text.startswith("#!") else 0o600)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", os.fspath(tmp_path))
        program.cache_clear()

    yield put
    program.cache_clear()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not installed"),
        ("no program", "gave no answer"),
        ("#!/bin/sh\necho '{'", "gave no answer"),
        ("#!/bin/sh\nexit 3", "does not understand it"),
        (f"#!/bin/sh\necho '{json.dumps({'Type': 'File', 'Stmts': []})}'", "do not agree on the command in line 1"),
    ],
)
def test_without_a_second_opinion_a_person_decides(install: Install, text: str | None, said: str) -> None:
    install(text)

    assert said in (disagreement("{ ls; }") or "")
    assert BashValidator().judge("if true; then ls; fi").verdict is Verdict.APPROVE
    assert BashValidator().judge("ls").verdict is Verdict.ALLOW


def test_the_first_parser_has_limits_of_its_own() -> None:
    with pytest.raises(TooHard, match="larger than"):
        parse("x" * 70_000)
