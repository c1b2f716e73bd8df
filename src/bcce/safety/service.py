"""Judging scripts on somebody's behalf."""

from collections.abc import Collection, Mapping

from bcce.safety.errors import UnknownShell
from bcce.safety.model import Judgement
from bcce.safety.validator import ScriptValidator
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require


class SafetyService:
    """One validator for each shell."""

    def __init__(self, validators: Mapping[str, ScriptValidator]) -> None:
        self._validators = dict(validators)

    def check(self, actor: Actor, shell: str, text: str, *, parameters: Collection[str] = ()) -> Judgement:
        """The judgement of a script.

        Raises:
            UnknownShell: no validator knows the shell.
        """
        require(actor, Permission.SCRIPTS_CHECK)
        validator = self._validators.get(shell)
        if validator is None:
            raise UnknownShell(f"no validator knows the shell {shell[:40]!r}", hint=f"known: {', '.join(sorted(self._validators))}")
        return validator.judge(text, parameters=parameters)
