"""A validator's answer. Pure."""

from dataclasses import dataclass
from typing import Final

from bcce.kit.findings import Effects, Finding, Verdict

#: The size above which no script is judged, in bytes of UTF-8.
MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one script amounts to. `validator_version` names the rules that judged it, so that an approval can be bound to them."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    effects: Effects
    validator_version: str
    shell: str

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "verdict": str(self.verdict),
            "findings": [finding.to_dict() for finding in self.findings],
            "effects": self.effects.to_dict(),
            "validator": self.validator_version,
            "shell": self.shell,
        }
