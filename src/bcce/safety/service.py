"""Judging scripts on somebody's behalf."""

from collections.abc import Collection, Mapping

from bcce.safety.errors import UnknownShell
from bcce.safety.model import Judgement
from bcce.safety.policy.evaluate import Decision, PolicyContext, decide
from bcce.safety.policy.model import ScriptPolicy
from bcce.safety.validator import ScriptValidator
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require


class SafetyService:
    """One validator for each shell, and one policy over all of them."""

    def __init__(self, validators: Mapping[str, ScriptValidator], policy: ScriptPolicy) -> None:
        self._validators = dict(validators)
        self._policy = policy

    def check(self, actor: Actor, shell: str, text: str, *, parameters: Collection[str] = ()) -> Judgement:
        """The validator's judgement of a script, whatever the policy says.

        Raises:
            UnknownShell: no validator knows the shell.
        """
        require(actor, Permission.SCRIPTS_CHECK)
        validator = self._validators.get(shell)
        if validator is None:
            raise UnknownShell(f"no validator knows the shell {shell[:40]!r}", hint=f"known: {', '.join(sorted(self._validators))}")
        return validator.judge(text, parameters=parameters)

    def decide(self, actor: Actor, shell: str, text: str, context: PolicyContext, *, parameters: Collection[str] = ()) -> Decision:
        """What may happen to the script in that place at that time.

        Raises:
            UnknownShell: no validator knows the shell.
        """
        return decide(self._policy, self.check(actor, shell, text, parameters=parameters), context)
