"""Approvals over every database: asked once, decided at most once, bound to what was seen, and always a fact for the run."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Column, Connection, Executable, Integer, MetaData, String, Table, Text, insert, select, update

from bcce.approvals import (
    AlreadyDecided,
    Approval,
    ApprovalChanged,
    ApprovalExpired,
    ApprovalNotOpen,
    ApprovalRequest,
    ApprovalService,
    ApprovalSettings,
    ApprovalState,
    Decision,
    MayNotApprove,
    UnknownApproval,
    approval_id_for,
)
from bcce.approvals.tables import approval_decisions, approvals
from bcce.kit.errors import Conflict, Forbidden, NotFound
from bcce.kit.ids import DEFAULT_TENANT, ApprovalId, GateId, Ids, IncidentId, RunId, TenantId
from bcce.kit.text import canonical_json
from bcce.security.actor import Actor, role_actor, source_actor, system_actor
from bcce.security.audit import AuditLog
from bcce.security.audit.tables import audit
from bcce.security.authz import Permission, Role
from bcce.storage.doors import Database, open_database
from bcce.storage.metadata import metadata
from bcce.storage.outbox import outbox
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
REQUEST = ApprovalRequest(
    run_id=RunId("run_1"),
    gate_id=GateId("gate_1"),
    incident_id=IncidentId("inc_1"),
    digest=DIGEST,
    title="Restart checkout",
    shown={"plan": {"script": 'systemctl restart "$SERVICE"'}},
    reasons=("the incident is critical",),
    correlation_id="cor_1",
)
PIPELINE = system_actor("pipeline")
ALICE, BOB, CAROL = (role_actor(Role.APPROVER, id=f"user:{name}", name=name, kind="user") for name in ("alice", "bob", "carol"))
VIEWER = role_actor(Role.VIEWER, id="user:victor", name="victor", kind="user")

own = MetaData()
facts = Table(
    "test_facts",
    own,
    Column("number", Integer, primary_key=True),
    Column("run_id", String(64)),
    Column("gate_id", String(64)),
    Column("payload", Text),
)


class RunOver(Conflict):
    """The run is over."""


class NoRun(NotFound):
    """There is no such run."""


class Facts:
    """The engine's part: keeps each fact as a row of its own, so that it commits or vanishes with the rest. Refuses the runs in `over`."""

    def __init__(self) -> None:
        self.over: dict[str, Conflict | NotFound] = {}
        self.decisions_before: list[int] = []

    def __call__(self, conn: Connection, run_id: RunId, gate_id: GateId, payload: Mapping[str, object]) -> None:
        self.decisions_before.append(len(conn.execute(select(approval_decisions)).all()))
        conn.execute(insert(facts).values(run_id=run_id, gate_id=gate_id, payload=canonical_json(payload).decode()))
        if run_id in self.over:
            raise self.over[run_id]


@dataclass(kw_only=True)
class World:
    """A service over a fresh database, and what it left there."""

    db: Database
    clock: FrozenClock
    ids: Ids
    facts: Facts
    service: ApprovalService

    def with_settings(self, **settings: object) -> ApprovalService:
        """The same with other settings."""
        return _service(self.db, self.clock, self.ids, self.facts, ApprovalSettings.model_validate(settings))

    async def ask(self, request: ApprovalRequest = REQUEST, actor: Actor = PIPELINE) -> Approval:
        """A pending approval."""
        return await self.db.write(lambda conn: self.service.request(actor, conn, request))

    async def revoke(self, actor: Actor, approval_id: ApprovalId, *, reason: str) -> Approval:
        return await self.db.write(lambda conn: self.service.revoke(actor, conn, approval_id, reason=reason))

    async def say(self, actor: Actor, decision: Decision = Decision.APPROVE, digest_seen: str = DIGEST, comment: str = "") -> Approval:
        """A decision about the approval for REQUEST."""
        approval_id = approval_id_for(DEFAULT_TENANT, REQUEST)
        return await self.service.submit_decision(actor, approval_id, decision, comment=comment, digest_seen=digest_seen)

    async def is_granted(self, approval: Approval, digest: str = DIGEST, now: datetime | None = None) -> bool:
        """What the gate is told."""
        moment = now or self.clock.now()
        return await self.db.read(lambda conn: self.service.is_granted(conn, approval.id, digest, moment))

    async def execute(self, statement: Executable) -> None:
        """Changes rows by hand, as no code of ours would."""

        def write(conn: Connection) -> None:
            conn.execute(statement)

        await self.db.write(write)

    async def recorded_facts(self) -> list[tuple[str, str, str]]:
        """The committed facts, in order."""
        rows = await self.db.read(lambda conn: conn.execute(select(facts).order_by(facts.c.number)).all())
        return [(row.run_id, row.gate_id, row.payload) for row in rows]

    async def events(self) -> list[tuple[str, Mapping[str, object], str | None]]:
        """The committed events, in order."""
        rows = await self.db.read(lambda conn: conn.execute(select(outbox).order_by(outbox.c.ordinal)).all())
        return [(row.type, row.data, row.correlation_id) for row in rows]

    async def audited(self) -> list[tuple[str, str, str]]:
        """The committed audit records: actor, action, state that the record tells."""
        rows = await self.db.read(lambda conn: conn.execute(select(audit).order_by(audit.c.at, audit.c.id)).all())
        return [(row.actor, row.action, row.body["state"]) for row in rows]

    async def state(self) -> ApprovalState:
        """Where the approval for REQUEST is."""
        return (await self.service.get(ALICE, approval_id_for(DEFAULT_TENANT, REQUEST))).approval.state

    async def deciders(self) -> list[str]:
        """Who has decided about the approval for REQUEST."""
        return [record.actor_id for record in (await self.service.get(ALICE, approval_id_for(DEFAULT_TENANT, REQUEST))).decisions]


def _service(db: Database, clock: FrozenClock, ids: Ids, record_fact: Facts, settings: ApprovalSettings) -> ApprovalService:
    return ApprovalService(db=db, clock=clock, ids=ids, audit=AuditLog(b"k" * 32, clock, ids), settings=settings, record_fact=record_fact)


@asynccontextmanager
async def opened(url: str, clock: FrozenClock, ids: Ids) -> AsyncIterator[World]:
    """A fresh world in the database at `url`."""

    def create(conn: Connection) -> None:
        metadata.create_all(conn)
        own.create_all(conn)

    async with open_database(url, clock=clock, ids=ids, fence_table=runs) as db:
        await db.migrate(create)
        record_fact = Facts()
        service = _service(db, clock, ids, record_fact, ApprovalSettings())
        yield World(db=db, clock=clock, ids=ids, facts=record_fact, service=service)


@pytest.fixture
async def world(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[World]:
    """A fresh world on each database in turn: for what a database could do differently."""
    async with opened(database_url, frozen_clock, ids) as world:
        yield world


@pytest.fixture
async def local(sqlite_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[World]:
    """A fresh world on the embedded database: for rules that no database has a part in."""
    async with opened(sqlite_url, frozen_clock, ids) as world:
        yield world


def outcomes(results: Iterable[Approval | BaseException]) -> list[type]:
    """What came of each: the type of the result or error."""
    return sorted((type(result) for result in results), key=lambda kind: kind.__name__)


# -- request


async def test_a_request_waits_for_an_hour(world: World) -> None:
    approval = await world.ask()

    assert approval == Approval(
        id=approval_id_for(DEFAULT_TENANT, REQUEST),
        tenant_id=DEFAULT_TENANT,
        run_id=REQUEST.run_id,
        gate_id=REQUEST.gate_id,
        incident_id=REQUEST.incident_id,
        digest=DIGEST,
        title="Restart checkout",
        shown=REQUEST.shown,
        reasons=("the incident is critical",),
        required_count=1,
        requested_by="system:pipeline",
        state=ApprovalState.PENDING,
        requested_at=world.clock.now(),
        expires_at=world.clock.now() + timedelta(hours=1),
        decided_at=None,
        correlation_id="cor_1",
    )
    details = await world.service.get(ALICE, approval.id)
    assert (details.approval, details.decisions, details.missing_count) == (approval, (), 1)
    assert not await world.is_granted(approval)


async def test_a_request_is_published_and_audited_and_no_fact(local: World) -> None:
    approval = await local.ask()

    ((kind, data, correlation_id),) = await local.events()
    assert (kind, correlation_id) == ("approval.requested", "cor_1")
    assert data == {
        "approvalId": approval.id,
        "workflowId": "run_1",
        "gateId": "gate_1",
        "incidentId": "inc_1",
        "digest": DIGEST,
        "state": "pending",
        "requestedBy": "system:pipeline",
        "askedBy": [],
        "requiredCount": 1,
        "expiresAt": "2026-01-02T04:04:05.678901Z",
        "title": "Restart checkout",
    }
    assert await local.audited() == [("system:pipeline", "approval.requested", "pending")]
    assert await local.recorded_facts() == []


async def test_the_same_request_again_is_the_same_approval(world: World) -> None:
    first = await world.ask()
    await world.say(ALICE)
    world.clock.advance(10)
    again = await world.ask()

    assert (again.id, again.state, again.requested_at) == (first.id, ApprovalState.APPROVED, first.requested_at)
    assert [kind for kind, _, _ in await world.events()] == ["approval.requested", "approval.decided"]


async def test_another_digest_run_or_gate_is_another_approval(local: World) -> None:
    requests = [
        REQUEST,
        replace(REQUEST, digest=OTHER),
        replace(REQUEST, run_id=RunId("run_2")),
        replace(REQUEST, gate_id=GateId("gate_2")),
    ]
    assert len({(await local.ask(request)).id for request in requests}) == 4


async def test_asking_needs_the_right_to_ask(local: World) -> None:
    with pytest.raises(Forbidden):
        await local.ask(actor=VIEWER)


async def test_a_title_from_outside_is_kept_clean_and_short(local: World) -> None:
    approval = await local.ask(replace(REQUEST, title="\u202eR\x00estart" + "x" * 400))
    assert (approval.title[:8], len(approval.title)) == ("Restartx", 255)


# -- decide


async def test_one_person_agrees_and_the_gate_is_told_so(world: World) -> None:
    asked = await world.ask()
    world.clock.advance(600)
    approved = await world.say(ALICE, comment="looks\x00 right")

    assert approved == replace(
        asked, state=ApprovalState.APPROVED, decided_at=world.clock.now(), expires_at=world.clock.now() + timedelta(hours=1)
    )
    assert await world.is_granted(asked)
    details = await world.service.get(VIEWER, asked.id)
    (record,) = details.decisions
    assert details.approval == approved
    assert (record.actor_id, record.actor_name, record.decision, record.comment, record.digest_seen, record.decided_at) == (
        "user:alice",
        "alice",
        Decision.APPROVE,
        "looks right",
        DIGEST,
        world.clock.now(),
    )


async def test_a_decision_is_a_fact_of_the_run_before_anything_else_is_written(world: World) -> None:
    approval = await world.ask()
    await world.say(ALICE)

    assert await world.recorded_facts() == [
        ("run_1", "gate_1", f'{{"approvalId":"{approval.id}","by":"user:alice","decision":"approve"}}'),
    ]
    assert world.facts.decisions_before == [0]


async def test_a_decision_is_published_and_audited(local: World) -> None:
    approval = await local.ask()
    await local.say(ALICE, Decision.REJECT, comment="no")

    kind, data, correlation_id = (await local.events())[1]
    assert (kind, correlation_id) == ("approval.decided", "cor_1")
    assert data == {
        "approvalId": approval.id,
        "workflowId": "run_1",
        "gateId": "gate_1",
        "incidentId": "inc_1",
        "digest": DIGEST,
        "state": "rejected",
        "decision": "reject",
        "by": "user:alice",
        "comment": "no",
        "digestSeen": DIGEST,
        "agreed": 0,
    }
    assert (await local.audited())[1] == ("user:alice", "approval.decided", "rejected")


async def test_one_refusal_is_final(local: World) -> None:
    approval = await local.ask()
    rejected = await local.say(ALICE, Decision.REJECT)

    assert (rejected.state, rejected.expires_at) == (ApprovalState.REJECTED, approval.expires_at)
    assert not await local.is_granted(approval)
    with pytest.raises(ApprovalNotOpen) as caught:
        await local.say(BOB)
    assert caught.value.details == {"approvalId": approval.id, "state": "rejected"}


async def test_two_people_must_agree_when_two_are_asked_for(world: World) -> None:
    approval = await world.ask(replace(REQUEST, required_count=2))

    assert (await world.say(ALICE)).state is ApprovalState.PENDING
    assert not await world.is_granted(approval)
    assert (await world.service.get(ALICE, approval.id)).missing_count == 1
    assert (await world.say(BOB)).state is ApprovalState.APPROVED
    assert await world.is_granted(approval)
    assert [data["agreed"] for kind, data, _ in await world.events() if kind == "approval.decided"] == [1, 2]


async def test_nobodys_word_counts_twice(local: World) -> None:
    await local.ask(replace(REQUEST, required_count=2))
    await local.say(ALICE)

    for decision in Decision:
        with pytest.raises(AlreadyDecided):
            await local.say(ALICE, decision)
    assert (await local.state(), await local.deciders()) == (ApprovalState.PENDING, ["user:alice"])


async def test_one_of_two_people_can_refuse_what_the_other_agreed_to(local: World) -> None:
    await local.ask(replace(REQUEST, required_count=2))
    await local.say(ALICE)

    assert (await local.say(BOB, Decision.REJECT)).state is ApprovalState.REJECTED


@pytest.mark.parametrize("decision", list(Decision))
async def test_what_somebody_did_not_see_they_cannot_decide(local: World, decision: Decision) -> None:
    approval = await local.ask()
    with pytest.raises(ApprovalChanged) as caught:
        await local.say(ALICE, decision, digest_seen=OTHER + "x" * 500)

    assert (caught.value.code, caught.value.status) == ("approval-changed", 409)
    assert caught.value.details == {"approvalId": approval.id, "state": "pending", "digest": DIGEST, "digestSeen": (OTHER + "x" * 500)[:80]}
    assert await local.recorded_facts() == []
    assert (await local.state(), await local.deciders()) == (ApprovalState.PENDING, [])


async def test_the_time_to_decide_ends_on_the_second(local: World) -> None:
    await local.ask()
    local.clock.advance(3600)
    with pytest.raises(ApprovalExpired):
        await local.say(ALICE)

    assert (await local.state(), await local.deciders(), await local.recorded_facts()) == (ApprovalState.PENDING, [], [])


async def test_the_last_moment_is_in_time(local: World) -> None:
    await local.ask()
    local.clock.advance(3599.999999)
    assert (await local.say(ALICE)).state is ApprovalState.APPROVED


async def test_what_is_not_there_is_unknown(local: World) -> None:
    nothing = ApprovalId("apr_00000000000000000000000000")
    for call in (
        local.service.get(ALICE, nothing),
        local.service.submit_decision(ALICE, nothing, Decision.APPROVE, comment="", digest_seen=DIGEST),
        local.revoke(ALICE, nothing, reason=""),
    ):
        with pytest.raises(UnknownApproval):
            await call


async def test_another_tenants_approval_is_unknown(world: World) -> None:
    approval = await world.ask()
    stranger = replace(ALICE, tenant_id=TenantId("other"))
    for call in (
        world.service.get(stranger, approval.id),
        world.service.submit_decision(stranger, approval.id, Decision.APPROVE, comment="", digest_seen=DIGEST),
        world.revoke(stranger, approval.id, reason=""),
    ):
        with pytest.raises(UnknownApproval):
            await call
    assert await world.service.list(stranger) == ()
    assert await world.state() is ApprovalState.PENDING


# -- who


async def test_deciding_needs_the_right_to_decide(local: World) -> None:
    await local.ask()
    for actor in (VIEWER, role_actor(Role.RESPONDER, id="user:r", name="r"), PIPELINE, source_actor("alertmanager", "prod")):
        with pytest.raises(Forbidden):
            await local.say(actor)
    assert await local.recorded_facts() == []


@pytest.mark.parametrize("kind", ["system", "plugin", "source"])
@pytest.mark.parametrize("decision", list(Decision))
async def test_only_a_person_decides_whatever_the_permissions_say(local: World, kind: str, decision: Decision) -> None:
    await local.ask()
    actor = Actor(id=f"{kind}:x", name="x", tenant_id=DEFAULT_TENANT, kind=kind, permissions=frozenset(Permission))  # type: ignore[arg-type]  # one of the literals
    with pytest.raises(MayNotApprove) as caught:
        await local.say(actor, decision)

    assert (caught.value.code, caught.value.status) == ("may-not-approve", 403)
    assert await local.recorded_facts() == []


async def test_nobody_approves_what_they_asked_for(local: World) -> None:
    await local.ask(replace(REQUEST, requested_by="user:alice"))
    with pytest.raises(MayNotApprove):
        await local.say(ALICE)
    assert await local.recorded_facts() == []
    assert (await local.say(BOB)).state is ApprovalState.APPROVED


async def test_nobody_approves_what_they_asked_for_in_another_way(world: World) -> None:
    await world.ask(replace(REQUEST, requested_by="system:pipeline", asked_by=("system:pipeline", "user:alice", "user:carol")))
    for person in (ALICE, CAROL):
        with pytest.raises(MayNotApprove):
            await world.say(person)
    assert (await world.say(BOB)).state is ApprovalState.APPROVED


def token_of(owner: str | None, number: int) -> Actor:
    return role_actor(Role.APPROVER, id=f"token:tok_{number}", name=f"token {number}", owner=owner)


@pytest.mark.parametrize(("owner", "may"), [("Alice", False), ("  ALICE ", False), ("bob", True), (None, True)])
async def test_a_person_is_the_same_with_all_their_tokens(local: World, owner: str | None, may: bool) -> None:
    await local.ask(replace(REQUEST, requested_by="user:alice"))
    if may:
        assert (await local.say(token_of(owner, 1))).state is ApprovalState.APPROVED
    else:
        with pytest.raises(MayNotApprove):
            await local.say(token_of(owner, 1))


@pytest.mark.parametrize(("owner", "counts"), [("alice", False), ("bob", True), (None, True)])
async def test_two_tokens_of_one_person_are_one_word(local: World, owner: str | None, counts: bool) -> None:
    await local.ask(replace(REQUEST, required_count=2))
    await local.say(token_of("Alice", 1))
    if counts:
        assert (await local.say(token_of(owner, 2))).state is ApprovalState.APPROVED
    else:
        with pytest.raises(AlreadyDecided):
            await local.say(token_of(owner, 2))


async def test_who_asked_can_still_refuse(local: World) -> None:
    await local.ask(replace(REQUEST, requested_by="user:alice"))
    assert (await local.say(ALICE, Decision.REJECT)).state is ApprovalState.REJECTED


async def test_approving_what_one_asked_for_can_be_switched_on(local: World) -> None:
    approval = await local.ask(replace(REQUEST, requested_by="user:alice"))
    service = local.with_settings(allow_self_approval=True)
    approved = await service.submit_decision(ALICE, approval.id, Decision.APPROVE, comment="", digest_seen=DIGEST)
    assert approved.state is ApprovalState.APPROVED


# -- all or nothing


@pytest.mark.parametrize("problem", [RunOver(), NoRun()])
async def test_a_run_that_is_over_takes_no_decision(world: World, problem: Conflict | NotFound) -> None:
    approval = await world.ask()
    world.facts.over["run_1"] = problem
    with pytest.raises(type(problem)):
        await world.say(ALICE)
    with pytest.raises(type(problem)):
        await world.revoke(ALICE, approval.id, reason="")

    assert (await world.state(), await world.deciders(), await world.recorded_facts()) == (ApprovalState.PENDING, [], [])
    assert [kind for kind, _, _ in await world.events()] == ["approval.requested"]


async def test_of_two_who_agree_at_once_one_wins(world: World) -> None:
    await world.ask()
    results = await asyncio.gather(*(world.say(actor) for actor in (ALICE, BOB, CAROL)), return_exceptions=True)

    assert outcomes(results) == [Approval, ApprovalNotOpen, ApprovalNotOpen]
    assert (await world.state(), len(await world.deciders()), len(await world.recorded_facts())) == (ApprovalState.APPROVED, 1, 1)


async def test_two_who_agree_at_once_both_count_when_two_are_asked_for(world: World) -> None:
    approval = await world.ask(replace(REQUEST, required_count=2))
    results = await asyncio.gather(world.say(ALICE), world.say(BOB))

    assert sorted(result.state for result in results) == [ApprovalState.APPROVED, ApprovalState.PENDING]
    assert sorted(await world.deciders()) == ["user:alice", "user:bob"]
    assert await world.is_granted(approval)


async def test_one_person_with_two_windows_counts_once(world: World) -> None:
    await world.ask(replace(REQUEST, required_count=2))
    results = await asyncio.gather(*(world.say(ALICE) for _ in range(4)), return_exceptions=True)

    assert outcomes(results) == [AlreadyDecided, AlreadyDecided, AlreadyDecided, Approval]
    assert (await world.state(), await world.deciders()) == (ApprovalState.PENDING, ["user:alice"])


async def test_of_agreeing_and_refusing_at_once_one_wins(world: World) -> None:
    approval = await world.ask()
    results = await asyncio.gather(world.say(ALICE), world.say(BOB, Decision.REJECT), return_exceptions=True)

    assert outcomes(results) == [Approval, ApprovalNotOpen]
    (record,) = (await world.service.get(ALICE, approval.id)).decisions
    expected = ApprovalState.APPROVED if record.decision is Decision.APPROVE else ApprovalState.REJECTED
    assert await world.state() is expected


async def test_whoever_agrees_while_another_revokes_it_ends_revoked(world: World) -> None:
    approval = await world.ask()
    results = await asyncio.gather(world.say(ALICE), world.revoke(BOB, approval.id, reason="wait"), return_exceptions=True)

    assert outcomes(results) in ([Approval, Approval], [Approval, ApprovalNotOpen])
    assert await world.state() is ApprovalState.REVOKED
    assert not await world.is_granted(approval)


# -- what the gate asks


async def test_the_gate_is_granted_nothing_for_another_digest(local: World) -> None:
    approval = await local.ask()
    await local.say(ALICE)
    assert not await local.is_granted(approval, OTHER)


async def test_an_approval_holds_for_its_time_from_the_decision(world: World) -> None:
    approval = await world.ask()
    world.clock.advance(3000)
    await world.say(ALICE)

    decided = world.clock.now()
    assert await world.is_granted(approval, now=decided + timedelta(seconds=3599))
    assert not await world.is_granted(approval, now=decided + timedelta(seconds=3600))


async def test_a_state_changed_by_hand_grants_nothing(local: World) -> None:
    approval = await local.ask()
    await local.execute(update(approvals).values(state="approved"))

    assert await local.state() is ApprovalState.APPROVED
    assert not await local.is_granted(approval)


async def test_a_digest_changed_by_hand_grants_nothing(world: World) -> None:
    approval = await world.ask()
    await world.say(ALICE)
    await world.execute(update(approvals).values(digest=OTHER))

    assert not await world.is_granted(approval)
    assert not await world.is_granted(approval, OTHER)


# -- revoke


async def test_a_given_approval_can_be_taken_back(world: World) -> None:
    approval = await world.ask()
    await world.say(ALICE)
    world.clock.advance(5)
    revoked = await world.revoke(BOB, approval.id, reason="wrong\x00 host")

    assert (revoked.state, revoked.decided_at) == (ApprovalState.REVOKED, world.clock.now())
    assert not await world.is_granted(approval)
    kind, data, _ = (await world.events())[-1]
    assert (kind, data["state"], data["decision"], data["by"], data["reason"]) == (
        "approval.decided",
        "revoked",
        "revoke",
        "user:bob",
        "wrong host",
    )
    assert (await world.audited())[-1] == ("user:bob", "approval.decided", "revoked")
    assert len(await world.recorded_facts()) == 2


async def test_a_request_can_be_withdrawn_by_the_system_that_made_it(local: World) -> None:
    approval = await local.ask()
    assert (await local.revoke(PIPELINE, approval.id, reason="the alert is over")).state is ApprovalState.REVOKED


@pytest.mark.parametrize("actor", [VIEWER, role_actor(Role.RESPONDER, id="user:r", name="r"), source_actor("alertmanager", "prod")])
async def test_taking_back_needs_the_right_to_decide(local: World, actor: Actor) -> None:
    approval = await local.ask()
    with pytest.raises(Forbidden):
        await local.revoke(actor, approval.id, reason="")
    assert await local.state() is ApprovalState.PENDING


async def test_what_is_over_cannot_be_taken_back(local: World) -> None:
    approval = await local.ask()
    await local.say(ALICE, Decision.REJECT)
    with pytest.raises(ApprovalNotOpen) as caught:
        await local.revoke(BOB, approval.id, reason="")

    assert caught.value.details == {"approvalId": approval.id, "state": "rejected"}
    assert len(await local.recorded_facts()) == 1


# -- expire


async def test_nothing_expires_before_its_time(local: World) -> None:
    await local.ask()
    local.clock.advance(3599)

    assert await local.service.expire_overdue() == ()
    assert await local.state() is ApprovalState.PENDING


async def test_what_is_overdue_expires_and_wakes_its_run(world: World) -> None:
    approval = await world.ask()
    world.clock.advance(3600)

    assert await world.service.expire_overdue() == (RunId("run_1"),)
    assert await world.service.expire_overdue() == ()
    expired = (await world.service.get(ALICE, approval.id)).approval
    assert (expired.state, expired.decided_at, expired.expires_at) == (ApprovalState.EXPIRED, world.clock.now(), approval.expires_at)
    assert await world.recorded_facts() == [("run_1", "gate_1", '{"decision":"expire"}')]
    kind, data, _ = (await world.events())[-1]
    assert (kind, data["state"], data["decision"]) == ("approval.decided", "expired", "expire")
    assert (await world.audited())[-1] == ("system:approvals", "approval.decided", "expired")
    with pytest.raises(ApprovalNotOpen):
        await world.say(ALICE)


async def test_each_run_and_gate_expires_in_a_transaction_of_its_own(world: World) -> None:
    for number in (1, 2, 3):
        await world.ask(replace(REQUEST, run_id=RunId(f"run_{(number + 1) // 2}"), gate_id=GateId(f"gate_{number}")))
        world.clock.advance(1)
    world.clock.advance(3600)
    now = world.clock.now()

    assert await world.db.write(lambda conn: world.service.expire(conn, now)) == "run_1"
    assert [gate for _, gate, _ in await world.recorded_facts()] == ["gate_1"]
    assert await world.service.expire_overdue() == ("run_1", "run_2")


async def test_what_is_decided_does_not_expire(local: World) -> None:
    await local.ask()
    await local.say(ALICE)
    local.clock.advance(10_000)

    assert await local.service.expire_overdue() == ()
    assert await local.state() is ApprovalState.APPROVED


@pytest.mark.parametrize("problem", [RunOver(), NoRun()])
async def test_an_approval_of_a_run_that_is_over_expires_all_the_same(local: World, problem: Conflict | NotFound) -> None:
    await local.ask()
    local.clock.advance(3600)
    local.facts.over["run_1"] = problem

    assert await local.service.expire_overdue() == ("run_1",)
    assert await local.state() is ApprovalState.EXPIRED


async def test_whoever_agrees_in_time_while_another_process_expires_one_wins(world: World) -> None:
    await world.ask()
    now = world.clock.now() + timedelta(hours=1)  # the other process's clock is ahead
    results = await asyncio.gather(world.say(ALICE), world.db.write(lambda conn: world.service.expire(conn, now)), return_exceptions=True)

    if isinstance(results[0], Approval):
        assert await world.state() is ApprovalState.APPROVED
    else:
        assert (type(results[0]), await world.state(), await world.deciders()) == (ApprovalNotOpen, ApprovalState.EXPIRED, [])


# -- read


async def test_approvals_are_listed_newest_first_page_by_page(world: World) -> None:
    asked = []
    for number in range(5):
        asked.append(await world.ask(replace(REQUEST, gate_id=GateId(f"gate_{number}"))))
        world.clock.advance(number % 2)  # some were asked for at the same moment
    newest_first = sorted(asked, key=lambda approval: (approval.requested_at, approval.id), reverse=True)

    assert await world.service.list(VIEWER) == tuple(newest_first)
    first = await world.service.list(VIEWER, limit=2)
    second = await world.service.list(VIEWER, limit=2, before=first[-1].id)
    third = await world.service.list(VIEWER, limit=2, before=second[-1].id)
    assert (*first, *second, *third) == tuple(newest_first)


async def test_approvals_are_listed_by_state(local: World) -> None:
    await local.ask()
    other = await local.ask(replace(REQUEST, gate_id=GateId("gate_2")))
    await local.say(ALICE)

    assert [approval.id for approval in await local.service.list(VIEWER, state=ApprovalState.PENDING)] == [other.id]


async def test_reading_needs_the_right_to_read(local: World) -> None:
    approval = await local.ask()
    source = source_actor("alertmanager", "prod")
    with pytest.raises(Forbidden):
        await local.service.list(source)
    with pytest.raises(Forbidden):
        await local.service.get(source, approval.id)
