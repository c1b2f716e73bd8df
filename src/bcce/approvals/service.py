"""Use cases of approvals: ask, decide, take back, let expire, and the one question that the gate asks.

Every change is a *fact* for the run that waits: `record_fact` is called first, takes the run's row lock, and so puts approve, revoke,
cancel and dispatch of one run in an order. What follows commits with it or not at all, so an answer can neither be lost nor count twice.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from bcce.approvals import repository
from bcce.approvals.errors import (
    AlreadyDecided,
    ApprovalChanged,
    ApprovalExpired,
    ApprovalNotOpen,
    MayNotApprove,
    UnknownApproval,
)
from bcce.approvals.model import (
    TRANSITIONS,
    Approval,
    ApprovalDetails,
    ApprovalRequest,
    ApprovalState,
    Decision,
    DecisionRecord,
    state_after,
)
from bcce.approvals.question import check_entitled
from bcce.approvals.settings import ApprovalSettings
from bcce.kit.clock import Clock, format_time
from bcce.kit.errors import Conflict, NotFound
from bcce.kit.events import Event
from bcce.kit.ids import ApprovalId, GateId, Ids, RunId, TenantId, derived_id
from bcce.kit.text import clean
from bcce.security.actor import Actor, system_actor
from bcce.security.audit import AuditLog
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database, run
from bcce.storage.outbox import event_item

_MAX_COMMENT_CHARS = 2000
_MAX_TITLE_CHARS = 255


class RecordFact(Protocol):
    """How the workflow engine hears that something about a run has changed."""

    def __call__(self, conn: Connection, run_id: RunId, gate_id: GateId, payload: Mapping[str, object]) -> None:
        """Makes the rest of this transaction a fact of the run, and holds the run's row lock until it ends.

        Args:
            payload: what happened, as JSON values; what became of the approval is read from its row.

        Raises:
            Conflict: the run is over.
            NotFound: there is no such run.
        """
        ...


def approval_id_for(tenant_id: TenantId, request: ApprovalRequest) -> ApprovalId:
    """The id that this request has, before and after any crash: one approval for one digest at one gate."""
    return ApprovalId(derived_id("apr", tenant_id, request.run_id, request.gate_id, request.digest))


class ApprovalService:
    """What others may ask about approvals.

    The synchronous methods work inside the caller's transaction and may be called again in a new one; the asynchronous ones have their own.
    """

    def __init__(
        self, *, db: Database, clock: Clock, ids: Ids, audit: AuditLog, settings: ApprovalSettings, record_fact: RecordFact
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._settings = settings
        self._record_fact = record_fact

    def request(self, actor: Actor, conn: Connection, request: ApprovalRequest) -> Approval:
        """Asks for an approval; the same request again returns the approval that is there.

        The caller owns the run: nothing is a fact yet, so `record_fact` is not called.
        """
        require(actor, Permission.APPROVALS_REQUEST)
        approval_id = approval_id_for(actor.tenant_id, request)
        known = repository.get(conn, approval_id, actor.tenant_id)
        if known is not None:
            return known
        now = self._clock.now()
        approval = Approval(
            id=approval_id,
            tenant_id=actor.tenant_id,
            run_id=request.run_id,
            gate_id=request.gate_id,
            incident_id=request.incident_id,
            digest=request.digest,
            title=clean(request.title, limit=_MAX_TITLE_CHARS),
            shown=request.shown,
            reasons=request.reasons,
            required_count=request.required_count,
            requested_by=request.requested_by or actor.id,
            state=ApprovalState.PENDING,
            requested_at=now,
            expires_at=request.expires_at or self._expiry(now),
            decided_at=None,
            correlation_id=request.correlation_id,
            asked_by=request.asked_by,
        )
        repository.add(conn, approval)
        facts = {"requestedBy": approval.requested_by, "askedBy": list(approval.asked_by), "requiredCount": approval.required_count}
        self._tell(
            conn, actor, approval, "approval.requested", {**facts, "expiresAt": format_time(approval.expires_at), "title": approval.title}
        )
        return approval

    def decide(
        self, actor: Actor, conn: Connection, approval_id: ApprovalId, decision: Decision, *, comment: str, digest_seen: str
    ) -> Approval:
        """Records one person's word, and wakes the run.

        Args:
            comment: why; may be empty.
            digest_seen: the digest of what the person looked at.

        Raises:
            UnknownApproval: the actor's tenant has none such.
            MayNotApprove: the actor is no person, is none of those who are asked, or asked for this: started its run, or sent an alert or
                a signal behind it.
            ApprovalNotOpen: it is decided, revoked or expired.
            ApprovalExpired: the time to decide is over.
            ApprovalChanged: the person saw something else.
            AlreadyDecided: this person has decided before.
            Conflict: the run is over.
        """
        require(actor, Permission.APPROVALS_DECIDE)
        before = self._known(conn, actor, approval_id)
        person = self._check_person(actor, before, decision)
        check_entitled(actor, before)
        self._record_fact(conn, before.run_id, before.gate_id, {"approvalId": approval_id, "decision": str(decision), "by": actor.id})
        approval = repository.lock(conn, approval_id)
        now = self._clock.now()
        earlier = repository.decisions(conn, approval_id)
        self._check_open(approval, digest_seen, now)
        if any(record.actor_id in (person, actor.id) for record in earlier):
            raise AlreadyDecided(details={"approvalId": approval_id, "actor": actor.id})
        record = DecisionRecord(
            actor_id=person,
            actor_name=actor.name,
            decision=decision,
            comment=clean(comment, limit=_MAX_COMMENT_CHARS),
            digest_seen=digest_seen,
            decided_at=now,
        )
        repository.add_decision(conn, approval, record)
        agreed = sum(item.decision is Decision.APPROVE for item in (*earlier, record))
        state = state_after(approval, decision, agreed)
        after = approval if state is ApprovalState.PENDING else self._change(conn, approval, state, now)
        facts = {"decision": str(decision), "by": actor.id, "comment": record.comment, "digestSeen": digest_seen, "agreed": agreed}
        self._tell(conn, actor, after, "approval.decided", facts)
        return after

    def revoke(self, actor: Actor, conn: Connection, approval_id: ApprovalId, *, reason: str) -> Approval:
        """Takes a request or a given approval back, and wakes the run; a script that has started is not stopped by it.

        A person needs the right to decide; the system may always withdraw.

        Raises:
            UnknownApproval: the actor's tenant has none such.
            ApprovalNotOpen: it is rejected, revoked or expired.
            Conflict: the run is over.
        """
        require(actor, Permission.APPROVALS_REQUEST if actor.kind == "system" else Permission.APPROVALS_DECIDE)
        before = self._known(conn, actor, approval_id)
        self._record_fact(conn, before.run_id, before.gate_id, {"approvalId": approval_id, "decision": "revoke", "by": actor.id})
        after = self._change(conn, repository.lock(conn, approval_id), ApprovalState.REVOKED, self._clock.now())
        facts = {"decision": "revoke", "by": actor.id, "reason": clean(reason, limit=_MAX_COMMENT_CHARS)}
        self._tell(conn, actor, after, "approval.decided", facts)
        return after

    def expire(self, conn: Connection, now: datetime, gate: tuple[RunId, GateId] | None = None) -> RunId | None:
        """Expires what is overdue of one run and wakes it; None when nothing is overdue. Call until None, each time in a new transaction.

        One run at a time, because no transaction locks two runs; `gate` says at which gate of which, None for the one overdue for longest.
        """
        overdue = gate or repository.overdue_gate(conn, now)
        if overdue is None:
            return None
        run_id, gate_id = overdue
        with suppress(Conflict, NotFound):  # a run that is over hears nothing any more, and its approvals expire all the same
            self._record_fact(conn, run_id, gate_id, {"decision": "expire"})
        for approval in repository.lock_overdue(conn, gate_id, now):
            after = self._change(conn, approval, ApprovalState.EXPIRED, now)
            self._tell(conn, system_actor("approvals", after.tenant_id), after, "approval.decided", {"decision": "expire"})
        return run_id

    def is_granted(self, conn: Connection, approval_id: ApprovalId, digest: str, now: datetime) -> bool:
        """Whether enough people have agreed to exactly what `digest` names, and the approval holds at `now`.

        For the gate, which holds the run's row lock: a revoke either came before, and this is false, or comes after the dispatch is in.
        """
        return repository.is_granted(conn, approval_id, digest, now)

    async def get(self, actor: Actor, approval_id: ApprovalId) -> ApprovalDetails:
        """An approval with its decisions.

        Raises:
            UnknownApproval: the actor's tenant has none such.
        """
        require(actor, Permission.APPROVALS_READ)

        def read(conn: Connection) -> ApprovalDetails:
            return ApprovalDetails(approval=self._known(conn, actor, approval_id), decisions=repository.decisions(conn, approval_id))

        return await self._db.read(read)

    async def list(
        self, actor: Actor, *, state: ApprovalState | None = None, before: ApprovalId | None = None, limit: int = 50
    ) -> tuple[Approval, ...]:
        """The newest approvals; `before` is the id of the last one of the page before."""
        require(actor, Permission.APPROVALS_READ)
        found = await self._db.read(lambda conn: repository.list_approvals(conn, actor.tenant_id, state=state, before=before, limit=limit))
        return tuple(found)

    async def submit_decision(
        self, actor: Actor, approval_id: ApprovalId, decision: Decision, *, comment: str, digest_seen: str
    ) -> Approval:
        """`decide` in a transaction of its own; durable when it returns."""
        return await self._db.write(lambda conn: self.decide(actor, conn, approval_id, decision, comment=comment, digest_seen=digest_seen))

    async def expire_overdue(self) -> tuple[RunId, ...]:
        """Expires everything that is overdue now; returns the runs to ring."""
        now = self._clock.now()
        woken: list[RunId] = []
        while (run_id := await self._db.write(lambda conn: self.expire(conn, now))) is not None:
            woken.append(run_id)
        return tuple(woken)

    def _known(self, conn: Connection, actor: Actor, approval_id: ApprovalId) -> Approval:
        approval = repository.get(conn, approval_id, actor.tenant_id)
        if approval is None:
            raise UnknownApproval(f"there is no approval {approval_id}", hint="list the approvals to see which there are")
        return approval

    def _check_person(self, actor: Actor, approval: Approval, decision: Decision) -> str:
        person = actor.person
        if person is None:
            raise MayNotApprove(f"{actor.name} is no person, so it cannot decide", details={"actor": actor.id})
        is_own = not {person, actor.id}.isdisjoint((approval.requested_by, *approval.asked_by))
        if decision is Decision.APPROVE and is_own and not self._settings.allow_self_approval:
            why = "they started its run, or sent an alert or a signal behind it"
            hint = "ask somebody else; a monitor gets a token of its own with `bcce token create --provider … --source …`"
            raise MayNotApprove(f"{actor.name} asked for this and so cannot agree to it: {why}", hint=hint, details={"actor": actor.id})
        return person

    def _check_open(self, approval: Approval, digest_seen: str, now: datetime) -> None:
        facts: dict[str, object] = {"approvalId": approval.id, "state": str(approval.state)}
        if approval.state is not ApprovalState.PENDING:
            raise ApprovalNotOpen(f"approval {approval.id} is already {approval.state}", details=facts)
        if now >= approval.expires_at:
            raise ApprovalExpired(f"approval {approval.id} expired at {format_time(approval.expires_at)}", details=facts)
        if digest_seen != approval.digest:
            raise ApprovalChanged(
                f"approval {approval.id} is about something else than what was looked at",
                hint="look at the approval again, then decide",
                details={**facts, "digest": approval.digest, "digestSeen": digest_seen[:80]},
            )

    def _change(self, conn: Connection, approval: Approval, to: ApprovalState, now: datetime) -> Approval:
        """Moves a locked approval to another state, if the table says that it may."""
        if to not in TRANSITIONS[approval.state]:
            raise ApprovalNotOpen(
                f"approval {approval.id} is already {approval.state}", details={"approvalId": approval.id, "state": str(approval.state)}
            )
        # Who agreed at the last moment would otherwise have agreed to nothing: the grant has its own time from here.
        expires_at = self._expiry(now) if to is ApprovalState.APPROVED else approval.expires_at
        repository.set_state(conn, approval.id, to, decided_at=now, expires_at=expires_at)
        return replace(approval, state=to, decided_at=now, expires_at=expires_at)

    def _expiry(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._settings.expires_after_s)

    def _tell(self, conn: Connection, actor: Actor, approval: Approval, kind: str, facts: Mapping[str, object]) -> None:
        """One audit record and one event about what just happened to `approval`."""
        about = {"approvalId": approval.id, "workflowId": approval.run_id, "gateId": approval.gate_id, "incidentId": approval.incident_id}
        data = {**about, "digest": approval.digest, "state": str(approval.state), **facts}
        event = Event(type=kind, timestamp=self._clock.now(), source="approvals", tenant_id=approval.tenant_id, data=data)
        record = self._audit.item(actor, kind, approval.id, data, correlation_id=approval.correlation_id)
        run(conn, [record, event_item(self._ids, event, correlation_id=approval.correlation_id)])
