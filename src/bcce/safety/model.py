"""A validator's answer. Pure."""

from dataclasses import dataclass
from typing import Final

from bcce.kit.findings import Effects, Finding, Verdict

#: The size above which no script is judged, in bytes of UTF-8.
MAX_BYTES: Final = 64 * 1024


#: Stands in the words of a `CommandUse` for what only running would tell.
UNKNOWN: Final = "\ufffc"


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandUse:
    """One command of a script in one of the ways in which it can turn out, its wrappers taken off.

    `argv` are its words with variables put in; `UNKNOWN` stands for what is not known of them, `*` and `?` also for patterns that the shell
    replaces by names of files. `is_plain`: nothing around it changes what it does: no wrapper that needs a decision of its own, no variable
    that the command or its loader looks at, no function of the same name. `is_fed`: something is piped into it, or read from a file. The
    place is that of the finding about it, so that of the outer command when it stands in an inner script.
    """

    argv: tuple[str, ...]
    text: str
    is_plain: bool
    is_fed: bool = False
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one script amounts to.

    `validator_version` names the rules that judged it, so that an approval can be bound to them. `commands` are all of its commands, those
    of inner scripts among them, without wrappers that need no decision of their own.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    effects: Effects
    validator_version: str
    shell: str
    commands: tuple[CommandUse, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "verdict": str(self.verdict),
            "findings": [finding.to_dict() for finding in self.findings],
            "effects": self.effects.to_dict(),
            "validator": self.validator_version,
            "shell": self.shell,
        }
