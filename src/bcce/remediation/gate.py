"""Clearing: the one decision that turns an approved plan into permission to start one script on one target.

Everything that was true when a person agreed is looked at again here, in one transaction that holds the run's row: so of a revoke and a
start one wins. There is no other place that makes clearances.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Connection

from bcce.alerts.model import AlertStatus
from bcce.alerts.repository import get_alerts
from bcce.approvals import repository as approvals
from bcce.approvals.digest import BoundScript, approval_digest
from bcce.approvals.requirement import Requirement, requirement
from bcce.execution import repository as dispatches
from bcce.execution.model import Clearance, Dispatch, Plan, PlannedAction, Script, SignedClearance
from bcce.execution.signing import sign_clearance
from bcce.incidents import repository as incidents
from bcce.kit.clock import Clock
from bcce.kit.events import Event
from bcce.kit.findings import Severity, Verdict, worst
from bcce.kit.ids import ApprovalId, ClearanceId, DispatchId, Ids, IncidentId
from bcce.remediation.errors import NotCleared, NotYet, RunHeld, ScriptBlocked
from bcce.remediation.locks import take_target
from bcce.remediation.owners import check_may_start
from bcce.remediation.settings import RemediationSettings
from bcce.remediation.targets import Targets
from bcce.safety.model import Judgement
from bcce.safety.policy.evaluate import Decision, PolicyContext
from bcce.safety.service import SafetyService
from bcce.security.actor import Actor
from bcce.security.audit import AuditLog
from bcce.security.authz import Permission, require
from bcce.security.crypto import Signer
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item
from bcce.workflows import repository as workflows
from bcce.workflows.model import RunState
from bcce.workflows.step_type import StepContext

#: Names the rules of `approvals.requirement`; a change of them gets a new name, so that old approvals no longer fit.
_REQUIREMENT = "requirement/4"
_ASK_AGAIN = "look at the plan again and approve it anew: `bcce run retry RUN --from STEP` begins again at the step that asks"
#: Ends the key of a step that undoes another, but for the numbers of its turns.
_COMPENSATION = ".compensate"
#: Nothing leaves this process with less than this left of the worker's lease: another worker may believe it dead by then.
MIN_LEASE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """What one action of a plan amounts to now, its undo included.

    `judgement` is the validator's under the script policy, `policy` the version of that policy, `needed` who must agree (None: it is
    blocked), `digest` what an approval binds.
    """

    judgement: Judgement
    policy: str
    needed: Requirement | None
    digest: str


class Gate:
    """Assesses actions and makes clearances."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        safety: SafetyService,
        targets: Targets,
        audit: AuditLog,
        signer: Signer,
        settings: RemediationSettings,
        environment: str | None,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._safety = safety
        self._targets = targets
        self._audit = audit
        self._signer = signer
        self._settings = settings
        self._environment = environment

    @property
    def is_enabled(self) -> bool:
        """Whether approved scripts may be started at all."""
        return self._settings.enabled

    def assess(self, actor: Actor, plan: Plan, action: PlannedAction, severity: Severity) -> Assessment:
        """The action as it stands now: judged from its text, under the policy of the target as configured now.

        Raises:
            UnknownTarget: configuration no longer names the target.
        """
        target = self._targets.get(action.target.name).to_dict()
        script = self._decide(actor, action, action.script, severity)
        bound = [_bound(action, "script", action.script, target, script.judgement)]
        judgement, count, reasons = script.judgement, script.approvals, script.reasons
        if action.undo is not None:
            undo = self._decide(actor, action, action.undo, severity)
            bound.append(_bound(action, "undo", action.undo, target, undo.judgement))
            judgement = _both(judgement, undo.judgement)
            count, reasons = max(count, undo.approvals), (*reasons, *(item for item in undo.reasons if item not in reasons))
        needed = None
        if judgement.verdict is not Verdict.BLOCK:
            # An incident's severity is a reason to ask; that of no incident is only what the policy has to assume.
            known = severity if plan.incident_id is not None else None
            needed = requirement(judgement.verdict, judgement.effects, known, count=count, reasons=reasons, min_count=action.min_approvals)
        # Whoever agreed as one of two people did not agree to decide alone, nor the other way round: another number is asked for anew.
        people = max(1, needed.count if needed is not None else count)
        digest = approval_digest(
            bound,
            plan=plan.to_dict(),
            policy_version=f"{_REQUIREMENT} people/{people} {script.policy_version}",
            validator_version=judgement.validator_version,
        )
        return Assessment(judgement=judgement, policy=script.policy_version, needed=needed, digest=digest)

    def _decide(self, actor: Actor, action: PlannedAction, script: Script, severity: Severity) -> Decision:
        name = action.target.name
        context = PolicyContext(
            environment=self._environment, target=name, groups=self._targets.groups(name), severity=severity, at=self._clock.now()
        )
        return self._safety.decide(actor, str(script.shell), script.text, context, parameters=script.names)

    async def clear(
        self,
        context: StepContext,
        plan: Plan,
        action: PlannedAction,
        *,
        dispatch_id: DispatchId,
        severity: Severity,
        approval_id: ApprovalId | None,
        may_start: Callable[[Connection], None] = lambda _: None,
    ) -> SignedClearance:
        """Permission to start the action's script once, under `dispatch_id`; the dispatch's row is committed when this returns.

        `may_start` is asked in the same transaction, and raises NotCleared when something stands against it that the gate does not know.

        Raises:
            NotCleared: with the first reason that was found.
            NotYet: another script runs on the target (TargetBusy), or this worker's lease is nearly over; it will be tried again.
            RunHeld: the run is paused or being cancelled; it will be tried again.
            StaleEpoch: another worker owns the run.
        """
        require(context.actor, Permission.SCRIPTS_DISPATCH)
        if not self._settings.enabled:
            raise NotCleared("starting scripts is switched off", hint="set remediation.enabled to true to let approved scripts run")
        now = self.assess(context.actor, plan, action, severity)
        if now.needed is None:
            raise ScriptBlocked(f"the script is blocked: {why_blocked(now.judgement)}")
        if await context.lease_remaining_s() < MIN_LEASE_S:
            raise NotYet("this worker's lease is nearly over, so another may take the run over; it will be tried again")
        clearance = self._clearance(context, action, now, dispatch_id)

        def write(conn: Connection) -> Clearance:
            is_undoing = _check_not_held(conn, context)
            granted = self._approval(conn, context, approval_id, now)
            if plan.incident_id is not None:
                check_may_start(conn, context, IncidentId(plan.incident_id), is_undoing=is_undoing)
                self._still_firing(conn, context, IncidentId(plan.incident_id))
            may_start(conn)
            signed_for = replace(clearance, approval_ids=granted)
            self._insert(conn, context, plan, signed_for)
            return signed_for

        cleared = await context.write(write)
        return sign_clearance(self._signer, cleared)

    def _clearance(self, context: StepContext, action: PlannedAction, now: Assessment, dispatch_id: DispatchId) -> Clearance:
        issued = self._clock.now()
        target = self._targets.get(action.target.name)
        return Clearance(
            id=ClearanceId(self._ids.new("clr")),
            dispatch_key=dispatch_id,
            tenant_id=context.tenant_id,
            run_id=context.run_id,
            epoch=context.epoch,
            target=target,
            target_digest=target.digest,
            script_digest=action.script.digest,
            parameters_digest=action.script.parameters_digest,
            approval_digest=now.digest,
            approval_ids=(),
            validator_version=now.judgement.validator_version,
            shell=action.script.shell,
            timeout_s=min(self._settings.script_timeout_s, action.timeout_s or self._settings.script_timeout_s),
            issued_at=issued,
            expires_at=issued + timedelta(seconds=self._settings.clearance_s),
            correlation_id=context.correlation_id,
        )

    def _approval(self, conn: Connection, context: StepContext, approval_id: ApprovalId | None, now: Assessment) -> tuple[ApprovalId, ...]:
        """The approvals that cover exactly what is about to run; none if none are needed."""
        if now.needed is not None and not now.needed.needed:
            return ()
        found = approvals.get(conn, approval_id, context.tenant_id) if approval_id is not None else None
        is_ours = found is not None and found.run_id == context.run_id
        is_enough = found is not None and now.needed is not None and found.required_count >= now.needed.count
        if found is None or not is_ours or not is_enough or not approvals.is_granted(conn, found.id, now.digest, self._clock.now()):
            raise NotCleared("no valid approval covers this script, target and plan as they are now", hint=_ASK_AGAIN)
        if dispatches.has_started(conn, context.run_id, now.digest):
            raise NotCleared(f"approval {found.id} was for one start, and that has been", hint="`bcce dispatch list` tells how it went")
        return (found.id,)

    def _still_firing(self, conn: Connection, context: StepContext, incident_id: IncidentId) -> None:
        members = get_alerts(conn, context.tenant_id, incidents.alert_ids(conn, incident_id))
        if members and all(alert.status is AlertStatus.RESOLVED for alert in members):
            raise NotCleared("the alerts were resolved meanwhile, so there is nothing to repair")

    def _insert(self, conn: Connection, context: StepContext, plan: Plan, clearance: Clearance) -> None:
        """Locks the target and writes the dispatch, its audit record and its event."""
        take_target(conn, clearance, self._clock.now())
        dispatches.insert_dispatch(
            conn,
            Dispatch.cleared(clearance, step_key=context.key, incident_id=plan.incident_id, created_at=clearance.issued_at),
        )
        facts: Mapping[str, object] = {
            "dispatchId": clearance.dispatch_key,
            "clearanceId": clearance.id,
            "runId": context.run_id,
            "incidentId": plan.incident_id,
            "planId": plan.id,
            "target": clearance.target.name,
            "scriptDigest": clearance.script_digest,
            "approvalDigest": clearance.approval_digest,
            "approvalIds": list(clearance.approval_ids),
        }
        event = Event(type="dispatch.cleared", timestamp=clearance.issued_at, source="remediation", tenant_id=context.tenant_id, data=facts)
        run_items(
            conn,
            [
                self._audit.item(context.actor, "dispatch.cleared", clearance.dispatch_key, facts, correlation_id=context.correlation_id),
                event_item(self._ids, event, correlation_id=context.correlation_id),
            ],
        )


def _check_not_held(conn: Connection, context: StepContext) -> bool:
    """Whoever was told that a run is paused or cancelled can rely on it: nothing starts in it but what undoes, when it is cancelled.

    Nor in a run that it waits for. The caller's write has locked the run's row, so of that and a start one wins; of a run above, which
    stops and pauses this one in its time, the standing is as of now. Returns whether it is such an undoing.
    """
    state, is_stopping = workflows.standing(conn, context.run_id)
    undoes = context.key.partition("[")[0].endswith(_COMPENSATION)
    if state is RunState.PAUSED:
        raise RunHeld("the run is paused")
    if is_stopping and not undoes:
        raise RunHeld("the run is being cancelled")
    for above, is_stopping_above, key in workflows.waiting_above(conn, context.run_id):
        undoes = undoes or key.partition("[")[0].endswith(_COMPENSATION)
        if above is RunState.PAUSED:
            raise RunHeld("a run that waits for this one is paused")
        if is_stopping_above and not undoes:
            raise RunHeld("a run that waits for this one is being cancelled")
        is_stopping = is_stopping or is_stopping_above
    return is_stopping


def why_blocked(judgement: Judgement) -> str:
    """The first reasons for the verdict, in a sentence."""
    found = [f"{finding.message} ({finding.rule_id})" for finding in judgement.findings if finding.verdict is judgement.verdict]
    return "; ".join(found[:3]) or "nothing was found"


def _both(script: Judgement, undo: Judgement) -> Judgement:
    """A script and its undo as one: whoever agrees, agrees to both."""
    versions = dict.fromkeys((script.validator_version, undo.validator_version))
    return replace(
        script,
        verdict=worst((script.verdict, undo.verdict)),
        findings=(*script.findings, *(replace(item, message=f"in the undo: {item.message}") for item in undo.findings)),
        effects=script.effects.merge(undo.effects),
        validator_version=" ".join(versions),
    )


def _bound(
    action: PlannedAction, role: Literal["script", "undo"], script: Script, target: Mapping[str, Any], judgement: Judgement
) -> BoundScript:
    return BoundScript(
        action_id=action.id,
        role=role,
        shell=str(script.shell),
        script=script.text.encode(),
        # What a reference stands for is in the plan, by name.
        parameters={**script.parameters, **{name: str(sealed) for name, sealed in script.references.items()}},
        target=target,
        effects=judgement.effects,
    )
