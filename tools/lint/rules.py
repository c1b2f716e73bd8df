"""The rules, one function each; the docstring's first line is the rule, the rest is its reason."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator

from tools.lint.module import Module

#: What a rule reports: a line, counted from 1, and what stands there.
Hit = tuple[int, str]
Check = Callable[[Module], Iterator[Hit]]

#: Every way of the standard library, of the sandbox that we use, and of the libraries that reach other machines, to make a process out of a
#: text or a program.
PROCESS = re.compile(
    r"subprocess\.(run|Popen|call|check_call|check_output|getoutput|getstatusoutput)"
    r"|asyncio(\.subprocess)?\.create_subprocess_(exec|shell)"
    r"|os\.(exec\w+|spawn\w+|posix_spawnp?|system|popen|fork|forkpty|startfile)"
    r"|pty\.(spawn|fork)"
    r"|multiprocessing\..+"
    r"|concurrent\.futures(\.process)?\.ProcessPoolExecutor"
    r"|_posixsubprocess\..+|_winapi\.CreateProcess"
    r"|ctypes\..+|cffi\..+"
    r"|code\.(interact|Interactive\w+)|runpy\..+"
    r"|(pexpect|ptyprocess|plumbum|paramiko|asyncssh|pypsrp|winrm)\..+"
    r"|sandlock\..+"
)
CLOCK = re.compile(r"(datetime\.)?(datetime|date)\.(now|utcnow|today)|time\.(time|time_ns)")
ENVIRONMENT = re.compile(r"os\.(environb?|getenvb?|putenv|unsetenv)(\..*)?")
#: A suppression with its codes (ruff separates them by a colon, mypy brackets them) and what follows, which has to be the reason.
IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore)(?P<codes>\s*:\s*[A-Z]+\d+(\s*,\s*[A-Z]+\d+)*|\[[\w, -]+\])?(?P<rest>.*)")


def commit_outside_storage(module: Module) -> Iterator[Hit]:
    """Only `storage` commits.

    A service that commits in the middle of its work leaves half of it behind when the other half fails, and its journal row, audit record
    and event no longer share one transaction. Hand items to `append`, or a function to `write`.
    """
    if not module.is_in("storage"):
        yield from ((call.lineno, "commit()") for call in _method_calls(module, "commit"))


def select_outside_repository(module: Module) -> Iterator[Hit]:
    """Queries stand in a `repository` module.

    Whoever changes a table must find every query on it in one place, and a tenant that was forgotten in a query is found by reading one
    file. `storage` and the migrations work on tables in general.
    """
    if module.is_in("storage", "runtime/migrations") or "repository" in module.path.with_suffix("").parts:
        return
    for call in _calls(module):
        name = module.dotted(call.func)
        if name is not None and re.fullmatch(r"sqlalchemy\.(\w+\.)*select", name):
            yield call.lineno, "select()"
    yield from ((call.lineno, ".select()") for call in _method_calls(module, "select") if _is_method_of_a_value(module, call))


def environment_outside_config(module: Module) -> Iterator[Hit]:
    """Only `config` reads the environment.

    A variable that is read elsewhere is in no reference, is not validated, and cannot be set by a test without touching the whole process.
    """
    if not module.is_in("config"):
        yield from ((line, name) for line, name in module.references() if ENVIRONMENT.fullmatch(name))


def clock_outside_kit(module: Module) -> Iterator[Hit]:
    """Only `kit/clock` asks what time it is.

    Deadlines, leases and waiting approvals can be tested without waiting only when the clock is a dependency. Take a `Clock`.
    """
    if not module.is_in("kit/clock"):
        yield from ((line, name) for line, name in module.references() if CLOCK.fullmatch(name))


def process_outside_executor(module: Module) -> Iterator[Hit]:
    """No process is started outside the places that `exemptions.py` names.

    The product's promise is that outside text becomes a process only behind an executor's door and with a Clearance. Each exemption says
    why its command line cannot come from outside.
    """
    yield from ((line, name) for line, name in module.references() if PROCESS.fullmatch(name))
    for name in ("subprocess_exec", "subprocess_shell"):
        yield from ((call.lineno, f".{name}()") for call in _method_calls(module, name))
    for call in _calls(module):
        if any(word.arg == "shell" and isinstance(word.value, ast.Constant) and word.value.value is True for word in call.keywords):
            yield call.lineno, "shell=True"


def print_call(module: Module) -> Iterator[Hit]:
    """Nothing prints.

    The server's output is its log, the CLI's is `cli/output`, which can also be JSON; a stray print breaks whoever parses either.
    """
    yield from ((call.lineno, "print()") for call in _calls(module) if isinstance(call.func, ast.Name) and call.func.id == "print")


def ignore_without_reason(module: Module) -> Iterator[Hit]:
    """A suppressed warning names what it suppresses and why.

    Without the reason nobody can tell later whether it still holds.
    """
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        found = IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
        if found and (not found["codes"] or len(found["rest"].strip(" -#:")) < 4):
            yield token.start[0], token.string


RULES: tuple[Check, ...] = (
    commit_outside_storage,
    select_outside_repository,
    environment_outside_config,
    clock_outside_kit,
    process_outside_executor,
    print_call,
    ignore_without_reason,
)


def _calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def _method_calls(module: Module, name: str) -> Iterator[ast.Call]:
    return (call for call in _calls(module) if isinstance(call.func, ast.Attribute) and call.func.attr == name)


def _is_method_of_a_value(module: Module, call: ast.Call) -> bool:
    """`table.select()`, but not `sqlalchemy.select()`, which is found by its name, nor the `select` module of the standard library."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = module.dotted(owner) if owner is not None else None
    return name is None or not re.match(r"sqlalchemy\b|select$", name)
