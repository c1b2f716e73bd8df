"""Judging scripts in this process, for commands that need no server."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bcce.cli.files import read_bytes
from bcce.kit.errors import InvalidInput

if TYPE_CHECKING:
    from bcce.safety.model import Judgement
    from bcce.safety.validator import ScriptValidator

_SHELLS = {".ps1": "powershell", ".psm1": "powershell", ".psd1": "powershell"}


def shell_of(file: str) -> str:
    """The shell that a file's name tells; bash when it tells none."""
    return _SHELLS.get(Path(file).suffix.lower(), "bash")


def validators() -> "Mapping[str, ScriptValidator]":
    """Every installed validator by its shell."""
    from bcce.plugins import Registry, Services  # noqa: PLC0415 - the help needs no validator
    from bcce.safety.validator import ScriptValidator  # noqa: PLC0415 - as above

    built: Mapping[str, ScriptValidator] = Registry("bcce.script_validators", ScriptValidator).build_all(Services())  # type: ignore[type-abstract]  # a door
    return built


def judge(validators: "Mapping[str, ScriptValidator]", shell: str, text: str, parameters: tuple[str, ...]) -> "Judgement":
    """The judgement of a script.

    Raises:
        UnknownShell: no validator knows the shell.
    """
    from bcce.safety.errors import UnknownShell  # noqa: PLC0415 - only when a script is judged

    validator = validators.get(shell)
    if validator is None:
        raise UnknownShell(f"no validator knows the shell {shell[:40]!r}", hint=f"known: {', '.join(sorted(validators))}")
    return validator.judge(text, parameters=parameters)


def check_parameters(names: tuple[str, ...]) -> None:
    """What is no name of a variable would hide that nothing is guarded.

    Raises:
        InvalidInput: a name cannot be one of a variable.
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise InvalidInput(f"{name[:40]!r} is no name of a variable", hint="name it without $")


def read_script(file: str) -> str:
    """The text of a script; a byte that is no UTF-8 stays visible as one that cannot be read."""
    return read_bytes(file).decode("utf-8-sig", "replace")
