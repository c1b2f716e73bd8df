"""Who must agree before a script may run, and why. Pure."""

from dataclasses import dataclass

from bcce.approvals.errors import NotApprovable
from bcce.kit.findings import Effects, Severity, Verdict
from bcce.security.authz import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """The answer. `count` different people of at least `role` must agree; 0 when nobody needs to. `reasons` are for whoever is asked."""

    needed: bool
    role: Role
    count: int
    reasons: tuple[str, ...]


def requirement(
    verdict: Verdict,
    effects: Effects,
    severity: Severity | None,
    *,
    count: int = 1,
    reasons: tuple[str, ...] = (),
    min_count: int = 0,
) -> Requirement:
    """What is needed before a script of this verdict and these effects may run for an incident of this severity.

    Args:
        severity: None when it is for no incident.
        count: how many people the script policy asks for; at least one is asked.
        reasons: why, besides what the effects say.
        min_count: how many people are asked even if the script is allowed; 0 for nobody.

    Raises:
        NotApprovable: the verdict is block.
    """
    if verdict is Verdict.BLOCK:
        raise NotApprovable("the script is blocked, so nobody can approve it", hint="change the script; the findings say why it is blocked")
    if verdict is Verdict.ALLOW and min_count > 0:
        return Requirement(needed=True, role=Role.APPROVER, count=min_count, reasons=("the workflow asks for it",))
    if verdict is Verdict.ALLOW:
        return Requirement(needed=False, role=Role.APPROVER, count=0, reasons=())
    return Requirement(needed=True, role=Role.APPROVER, count=max(count, min_count, 1), reasons=(*_reasons(effects, severity), *reasons))


def _reasons(effects: Effects, severity: Severity | None) -> tuple[str, ...]:
    facts = (
        (True, "the script is not proven to be harmless"),
        (severity is Severity.CRITICAL, "the incident is critical"),
        (effects.privileged, "the script uses the rights of an administrator"),
        (effects.reversible is False, "what the script does cannot be undone"),
        (effects.reversible is None, "it is not known whether what the script does can be undone"),
        (bool(effects.deletes), "the script deletes"),
        (bool(effects.unknown), "not everything that the script does can be known"),
    )
    return tuple(reason for holds, reason in facts if holds)
