"""How an approval may change, and who must agree to what."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from bcce.approvals.errors import NotApprovable
from bcce.approvals.model import TRANSITIONS, Approval, ApprovalDetails, ApprovalState, Decision, DecisionRecord, state_after
from bcce.approvals.requirement import Requirement, requirement
from bcce.approvals.settings import ApprovalSettings
from bcce.kit.findings import Effects, Severity, Verdict
from bcce.kit.ids import DEFAULT_TENANT, ApprovalId, GateId, RunId
from bcce.security.authz import Role

NOW = datetime(2026, 1, 2, tzinfo=UTC)
APPROVAL = Approval(
    id=ApprovalId("apr_1"),
    tenant_id=DEFAULT_TENANT,
    run_id=RunId("run_1"),
    gate_id=GateId("gate_1"),
    incident_id=None,
    digest="sha256:1",
    title="Restart it",
    shown={},
    reasons=(),
    required_count=2,
    requested_by="system:pipeline",
    state=ApprovalState.PENDING,
    requested_at=NOW,
    expires_at=NOW,
    decided_at=None,
    correlation_id=None,
)


def test_the_table_names_every_state() -> None:
    assert set(TRANSITIONS) == set(ApprovalState)


def test_only_a_pending_approval_can_be_approved() -> None:
    assert [state for state, after in TRANSITIONS.items() if ApprovalState.APPROVED in after] == [ApprovalState.PENDING]


def test_rejected_expired_and_revoked_are_the_end() -> None:
    ends = [state for state, after in TRANSITIONS.items() if not after]
    assert ends == [ApprovalState.REJECTED, ApprovalState.EXPIRED, ApprovalState.REVOKED]


def test_nothing_becomes_pending_again() -> None:
    assert all(ApprovalState.PENDING not in after for after in TRANSITIONS.values())


@pytest.mark.parametrize(
    ("decision", "agreed", "expected"),
    [
        (Decision.APPROVE, 1, ApprovalState.PENDING),
        (Decision.APPROVE, 2, ApprovalState.APPROVED),
        (Decision.APPROVE, 3, ApprovalState.APPROVED),
        (Decision.REJECT, 0, ApprovalState.REJECTED),
        (Decision.REJECT, 1, ApprovalState.REJECTED),
    ],
)
def test_enough_people_agree_or_one_refuses(decision: Decision, agreed: int, expected: ApprovalState) -> None:
    state = state_after(APPROVAL, decision, agreed)

    assert state is expected
    assert state is APPROVAL.state or state in TRANSITIONS[APPROVAL.state]


def decided(*decisions: Decision) -> tuple[DecisionRecord, ...]:
    """Records of these decisions, each by somebody else."""
    return tuple(
        DecisionRecord(actor_id=f"user:{index}", actor_name="n", decision=decision, comment="", digest_seen="sha256:1", decided_at=NOW)
        for index, decision in enumerate(decisions)
    )


@pytest.mark.parametrize(
    ("state", "decisions", "missing"),
    [
        (ApprovalState.PENDING, (), 2),
        (ApprovalState.PENDING, (Decision.APPROVE,), 1),
        (ApprovalState.APPROVED, (Decision.APPROVE, Decision.APPROVE), 0),
        (ApprovalState.REJECTED, (Decision.APPROVE, Decision.REJECT), 0),
        (ApprovalState.EXPIRED, (), 0),
    ],
)
def test_an_approval_knows_how_many_people_are_missing(state: ApprovalState, decisions: tuple[Decision, ...], missing: int) -> None:
    assert ApprovalDetails(approval=replace(APPROVAL, state=state), decisions=decided(*decisions)).missing_count == missing


REVERSIBLE = Effects(reversible=True)
UNPROVEN = "the script is not proven to be harmless"


def test_an_allowed_script_needs_nobody() -> None:
    needed = requirement(Verdict.ALLOW, Effects(privileged=True), Severity.CRITICAL)
    assert needed == Requirement(needed=False, role=Role.APPROVER, count=0, reasons=())


def test_a_blocked_script_can_be_approved_by_nobody() -> None:
    with pytest.raises(NotApprovable) as caught:
        requirement(Verdict.BLOCK, REVERSIBLE, Severity.INFO)
    assert (caught.value.code, caught.value.status) == ("not-approvable", 409)


@pytest.mark.parametrize(
    ("effects", "severity", "reasons"),
    [
        (REVERSIBLE, Severity.HIGH, ()),
        (REVERSIBLE, Severity.CRITICAL, ("the incident is critical",)),
        (replace(REVERSIBLE, privileged=True), Severity.LOW, ("the script uses the rights of an administrator",)),
        (Effects(reversible=False), Severity.LOW, ("what the script does cannot be undone",)),
        (Effects(), Severity.LOW, ("it is not known whether what the script does can be undone",)),
        (replace(REVERSIBLE, deletes=frozenset({"/x"})), Severity.LOW, ("the script deletes",)),
        (replace(REVERSIBLE, unknown=frozenset({"*"})), Severity.LOW, ("not everything that the script does can be known",)),
        (
            Effects(privileged=True, reversible=False, deletes=frozenset({"/x"})),
            Severity.CRITICAL,
            (
                "the incident is critical",
                "the script uses the rights of an administrator",
                "what the script does cannot be undone",
                "the script deletes",
            ),
        ),
    ],
)
def test_any_other_script_needs_one_approver_who_is_told_why(effects: Effects, severity: Severity, reasons: tuple[str, ...]) -> None:
    needed = requirement(Verdict.APPROVE, effects, severity)
    assert needed == Requirement(needed=True, role=Role.APPROVER, count=1, reasons=(UNPROVEN, *reasons))


@pytest.mark.parametrize(("asked", "count"), [(0, 1), (1, 1), (3, 3)])
def test_how_many_must_agree_is_the_policy_s_word_and_never_nobody(asked: int, count: int) -> None:
    needed = requirement(Verdict.APPROVE, REVERSIBLE, Severity.LOW, count=asked, reasons=("two see more",))
    assert (needed.count, needed.reasons) == (count, (UNPROVEN, "two see more"))


def test_the_safe_settings_are_the_default() -> None:
    assert ApprovalSettings().model_dump() == {
        "expires_after_s": 3600.0,
        "allow_self_approval": False,
    }


@pytest.mark.parametrize(
    "values", [{"required_approvals": 1}, {"expires_after_s": 0}, {"expires_after_s": 31 * 86400}, {"allow_self_aproval": True}]
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ApprovalSettings.model_validate(values)
