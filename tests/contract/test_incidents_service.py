"""Incidents over every database: one for each matter, every change told everywhere or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from tests.contract.alerts_support import RESPONDER, SENDER, START, STRANGER, VIEWER, Intake, alert, body, intake

from bcce.alerts import Alert, UnknownAlert
from bcce.alerts.repository import get_alerts
from bcce.incidents import (
    IllegalTransition,
    Incident,
    IncidentChanged,
    IncidentService,
    IncidentState,
    UnknownIncident,
    repository,
)
from bcce.incidents.model import EVENTS, TRANSITIONS
from bcce.incidents.tables import incident_alerts, incident_timeline, incidents
from bcce.kit.clock import format_time
from bcce.kit.errors import Forbidden, InvalidInput
from bcce.kit.findings import Severity
from bcce.kit.ids import DEFAULT_TENANT, AlertId, Ids, IncidentId, RunId
from bcce.security.actor import Actor, system_actor
from bcce.security.audit import AuditLog
from bcce.security.audit.tables import audit
from bcce.storage.outbox import outbox
from bcce.testing.clock import FrozenClock

T = TypeVar("T")
S = IncidentState
PIPELINE = system_actor("pipeline")
MINUTE = timedelta(minutes=1)
#: What a change of state leaves behind, beside the incident itself.
TOLD = (incident_timeline, audit, outbox)


@dataclass(kw_only=True)
class World:
    """Incidents and the alerts that open them, over one database."""

    intake: Intake
    service: IncidentService

    @property
    def clock(self) -> FrozenClock:
        """The clock of both."""
        return self.intake.clock

    async def fired(self, **facts: object) -> Alert:
        """The alert as it is after a notification of it; `facts` as for `alert`."""
        (key,) = (await self.intake.send(body(alert(**facts)))).alert_ids  # type: ignore[arg-type]  # whatever the test says
        return await self.stored(key)

    async def stored(self, key: AlertId) -> Alert:
        """The alert as it is now."""
        found = await self.intake.db.read(lambda conn: get_alerts(conn, DEFAULT_TENANT, [key]))
        return found[0]

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """One transaction."""
        return await self.intake.db.write(fn)

    async def opened(self, found: Alert, *, actor: Actor = PIPELINE, correlation_id: str = "cor_1") -> tuple[Incident, bool]:
        """The incident of the alert's present episode."""
        return await self.write(lambda conn: self.service.open_for_alert(actor, conn, found, correlation_id=correlation_id))

    async def moved(self, incident_id: IncidentId, *path: IncidentState, reason: str = "because", actor: Actor = PIPELINE) -> Incident:
        """The incident after it has gone along `path`."""
        for state in path:
            await self.write(lambda conn, to=state: self.service.transition(actor, conn, incident_id, to, reason, correlation_id="cor_2"))
        return (await self.service.get(VIEWER, incident_id))[0]

    async def told(self) -> list[int]:
        """How many entries, audit records and events there are."""
        return [await self.intake.count(table) for table in TOLD]


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """The moment that the alerts are about."""
    return FrozenClock(START)


@pytest.fixture
async def world(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[World]:
    """A fresh world on each database in turn."""
    async with intake(database_url, frozen_clock, ids) as opened:
        yield _world(opened)


@pytest.fixture
async def on_sqlite(sqlite_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[World]:
    """A fresh world on a SQLite file, for what no database can make different."""
    async with intake(sqlite_url, frozen_clock, ids) as opened:
        yield _world(opened)


def _world(opened: Intake) -> World:
    log = AuditLog(b"k" * 32, opened.clock, opened.ids)
    return World(intake=opened, service=IncidentService(db=opened.db, clock=opened.clock, ids=opened.ids, audit=log))


def path_to(state: IncidentState) -> list[IncidentState]:
    """A shortest way from open to `state`."""
    paths: dict[IncidentState, list[IncidentState]] = {S.OPEN: []}
    queue = [S.OPEN]
    while state not in paths:
        here = queue.pop(0)
        for following in sorted(TRANSITIONS[here] - paths.keys()):
            paths[following] = [*paths[here], following]
            queue.append(following)
    return paths[state]


async def test_the_first_episode_of_an_alert_opens_an_incident(world: World) -> None:
    found = await world.fired(name="Down", summary="shop is down", severity="critical", service="shop", host="web-1")
    world.clock.advance(5)
    incident, is_new = await world.opened(found, correlation_id="cor_7")

    assert is_new
    assert incident == Incident(
        id=incident.id,
        tenant_id=DEFAULT_TENANT,
        title="shop is down",
        severity=Severity.CRITICAL,
        state=S.OPEN,
        service="shop",
        host="web-1",
        fingerprint=found.fingerprint,
        run_id=None,
        opened_at=START + timedelta(seconds=5),
        resolved_at=None,
        closed_at=None,
        summary=None,
        version=1,
    )
    stored, timeline = await world.service.get(VIEWER, incident.id)
    facts = {"alertId": found.id, "fingerprint": found.fingerprint, "startsAt": format_time(START), "episode": 1}
    assert stored == incident
    assert [(entry.seq, entry.at, entry.actor, entry.kind, entry.text, entry.data) for entry in timeline] == [
        (1, incident.opened_at, "system:pipeline", "open", "opened by the alert Down", facts)
    ]
    published = {
        **facts,
        "incidentId": incident.id,
        "title": "shop is down",
        "state": "open",
        "severity": "critical",
        "service": "shop",
        "host": "web-1",
        "runId": None,
        "version": 1,
        "reason": "opened by the alert Down",
        "openedAt": format_time(incident.opened_at),
        "resolvedAt": None,
        "closedAt": None,
        "timeToResolve": None,
    }
    assert (await world.intake.events())[1:] == [("incident.opened", published, "cor_7")]
    assert await world.intake.audited() == [("system:pipeline", "incident.opened", incident.id, published)]


async def test_the_same_episode_gives_the_same_incident_and_changes_nothing(world: World) -> None:
    found = await world.fired()
    first, _ = await world.opened(found)
    before = await world.told()
    second, is_new = await world.opened(found)

    assert (second, is_new) == (first, False)
    assert await world.told() == before


async def test_the_same_episode_belongs_to_its_incident_even_when_that_is_closed(world: World) -> None:
    found = await world.fired()
    first, _ = await world.opened(found)
    await world.moved(first.id, *path_to(S.CLOSED))

    assert (await world.opened(found))[0].id == first.id
    assert await world.intake.count(incidents) == 1


async def test_an_alert_that_fires_again_joins_its_open_incident_visibly(world: World) -> None:
    first, _ = await world.opened(await world.fired(severity="warning"))
    await world.moved(first.id, S.INVESTIGATING)
    again = await world.fired(severity="warning", start=START + MINUTE)
    joined, is_new = await world.opened(again, correlation_id="cor_8")

    _, timeline = await world.service.get(VIEWER, first.id)
    assert (joined.id, is_new, joined.state) == (first.id, False, S.INVESTIGATING)
    assert joined.version == 3
    assert (timeline[-1].kind, timeline[-1].text, timeline[-1].data["episode"]) == (
        "alert-fired-again",
        "A fired again (episode 2)",
        2,
    )
    kind, data, correlation_id = (await world.intake.events())[-1]
    assert (kind, data["incidentId"], data["state"], correlation_id) == ("incident.updated", first.id, "investigating", "cor_8")
    assert await world.intake.count(incident_alerts) == 2
    assert await world.write(lambda conn: repository.alert_ids(conn, first.id)) == [again.id]


async def test_a_join_is_not_a_change_of_state_for_the_audit_log(world: World) -> None:
    await world.opened(await world.fired())
    await world.opened(await world.fired(start=START + MINUTE))

    assert [action for _, action, _, _ in await world.intake.audited()] == ["incident.opened"]


@pytest.mark.parametrize(("before", "after", "expected"), [("low", "high", "high"), ("high", "low", "high")])
async def test_an_incident_is_as_severe_as_its_worst_alert(on_sqlite: World, before: str, after: str, expected: str) -> None:
    found = await on_sqlite.fired()
    await on_sqlite.opened(replace(found, severity=Severity(before)))
    joined, _ = await on_sqlite.opened(replace(found, severity=Severity(after), starts_at=START + MINUTE, episode=2))

    stored, _ = await on_sqlite.service.get(VIEWER, joined.id)
    assert (joined.severity, stored.severity) == (Severity(expected), Severity(expected))


@pytest.mark.parametrize("state", [S.RESOLVED, S.CLOSED])
async def test_an_alert_that_fires_again_after_the_end_opens_a_new_incident(world: World, state: IncidentState) -> None:
    first, _ = await world.opened(await world.fired())
    await world.moved(first.id, *path_to(state))
    second, is_new = await world.opened(await world.fired(start=START + MINUTE))

    assert is_new
    assert second.id != first.id


@pytest.mark.parametrize("state", sorted(set(S) - {S.RESOLVED, S.CLOSED}))
async def test_an_alert_that_fires_again_before_the_end_opens_none(on_sqlite: World, state: IncidentState) -> None:
    first, _ = await on_sqlite.opened(await on_sqlite.fired())
    await on_sqlite.moved(first.id, *path_to(state))

    assert (await on_sqlite.opened(await on_sqlite.fired(start=START + MINUTE)))[1] is False


async def test_an_older_episode_told_late_does_not_count_as_fired_again_for_the_present_one(world: World) -> None:
    """Its number changes from 1 to 2, its start does not."""
    found = await world.fired(start=START)
    first, _ = await world.opened(found)
    await world.fired(start=START - MINUTE, end=START)
    now = await world.stored(found.id)
    before = await world.told()

    assert now.episode == 2
    assert await world.opened(now) == (first, False)
    assert await world.told() == before


async def test_different_alerts_have_incidents_of_their_own(world: World) -> None:
    one, _ = await world.opened(await world.fired(host="web-1"))
    other, is_new = await world.opened(await world.fired(host="web-2"))

    assert is_new
    assert one.id != other.id


async def test_workers_with_the_same_alert_open_one_incident(world: World) -> None:
    found = await world.fired()
    outcomes = await asyncio.gather(*(world.opened(found) for _ in range(8)))

    assert [is_new for _, is_new in outcomes].count(True) == 1
    assert len({incident.id for incident, _ in outcomes}) == 1
    assert await world.intake.count(incidents) == 1


async def test_workers_with_different_episodes_of_an_alert_open_one_incident(world: World) -> None:
    found = await world.fired()
    episodes = [replace(found, starts_at=START + number * MINUTE, episode=number + 1) for number in range(6)]
    outcomes = await asyncio.gather(*(world.opened(episode) for episode in episodes))

    _, timeline = await world.service.get(VIEWER, outcomes[0][0].id)
    assert [is_new for _, is_new in outcomes].count(True) == 1
    assert sorted(entry.kind for entry in timeline) == [*["alert-fired-again"] * 5, "open"]
    assert [entry.seq for entry in timeline] == [1, 2, 3, 4, 5, 6]


async def test_an_alert_that_fires_again_while_its_incident_is_resolved_is_never_lost(world: World) -> None:
    """Either it joined before the end, or it opened a new incident; never did it join what was over."""
    first, _ = await world.opened(await world.fired())
    again = await world.fired(start=START + MINUTE)
    joined, _ = await asyncio.gather(world.opened(again), world.moved(first.id, S.RESOLVED))
    incident, is_new = joined

    _, timeline = await world.service.get(VIEWER, first.id)
    kinds = ["open", "resolved"] if is_new else ["open", "alert-fired-again", "resolved"]
    assert [entry.kind for entry in timeline] == kinds
    assert (incident.id == first.id) is not is_new


async def test_an_alert_that_is_not_stored_opens_nothing(on_sqlite: World) -> None:
    found = await on_sqlite.fired()

    with pytest.raises(UnknownAlert):
        await on_sqlite.opened(replace(found, id=AlertId("alr_00000000000000000000000000")))
    with pytest.raises(UnknownAlert):
        await on_sqlite.opened(found, actor=STRANGER)
    assert await on_sqlite.intake.count(incidents) == 0


async def test_the_title_is_the_alerts_name_when_it_has_no_summary_and_is_never_long(on_sqlite: World) -> None:
    found = await on_sqlite.fired()

    assert (await on_sqlite.opened(replace(found, summary="")))[0].title == "A"
    long = replace(found, summary="x" * 4_000, id=(await on_sqlite.fired(host="web-1")).id, starts_at=START + MINUTE)
    assert (await on_sqlite.opened(long))[0].title == "x" * 299 + "…"


@pytest.mark.parametrize("state", sorted(S))
async def test_moves_follow_the_table(on_sqlite: World, state: IncidentState) -> None:
    for to in sorted(S):
        incident, _ = await on_sqlite.opened(await on_sqlite.fired(host=f"{state}-{to}"))
        await on_sqlite.moved(incident.id, *path_to(state))
        before = await on_sqlite.told()

        if to in TRANSITIONS[state]:
            moved = await on_sqlite.moved(incident.id, to)
            assert (moved.state, (await on_sqlite.intake.events())[-1][0]) == (to, EVENTS[to])
            assert await on_sqlite.told() == [count + 1 for count in before]
        elif to is state:
            assert (await on_sqlite.moved(incident.id, to)).state is state
            assert await on_sqlite.told() == [before[0] + 1, *before[1:]]
        else:
            with pytest.raises(IllegalTransition) as caught:
                await on_sqlite.moved(incident.id, to)
            assert caught.value.details == {"incidentId": incident.id, "state": str(state), "wanted": str(to)}
            assert await on_sqlite.told() == before


async def test_a_change_that_rests_on_an_older_version_writes_nothing(on_sqlite: World) -> None:
    incident, _ = await on_sqlite.opened(await on_sqlite.fired())
    later = replace(incident, state=S.ESCALATED, version=incident.version + 2)

    with pytest.raises(IncidentChanged):
        await on_sqlite.write(lambda conn: repository.save(conn, later))
    assert (await on_sqlite.service.get(VIEWER, incident.id))[0] == incident


async def test_a_repair_from_the_alert_to_the_end(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    for state in (S.INVESTIGATING, S.AWAITING_APPROVAL, S.REMEDIATING, S.VERIFYING):
        world.clock.advance(60)
        await world.moved(incident.id, state, reason=f"now {state}")
    world.clock.advance(60)
    resolved = await world.moved(incident.id, S.RESOLVED, reason="restarted it")
    world.clock.advance(60)
    closed = await world.moved(incident.id, S.CLOSED, reason="ticket closed")

    stored, timeline = await world.service.get(VIEWER, incident.id)
    assert stored == closed
    assert (resolved.resolved_at, resolved.closed_at) == (START + 5 * MINUTE, None)
    assert (closed.resolved_at, closed.closed_at) == (START + 5 * MINUTE, START + 6 * MINUTE)
    assert (closed.summary, closed.version, closed.time_to_resolve) == ("restarted it", 7, 5 * MINUTE)
    assert [(entry.seq, entry.kind, entry.data.get("previousState")) for entry in timeline] == [
        (1, "open", None),
        (2, "investigating", "open"),
        (3, "awaiting_approval", "investigating"),
        (4, "remediating", "awaiting_approval"),
        (5, "verifying", "remediating"),
        (6, "resolved", "verifying"),
        (7, "closed", "resolved"),
    ]
    events = await world.intake.events()
    assert [kind for kind, _, _ in events] == [
        "alert.received",
        "incident.opened",
        *["incident.updated"] * 4,
        "incident.resolved",
        "incident.closed",
    ]
    assert (events[-2][1]["timeToResolve"], events[-2][1]["previousState"], events[-2][2]) == (300_000.0, "verifying", "cor_2")
    assert [action for _, action, _, _ in await world.intake.audited()] == [kind for kind, _, _ in events[1:]]


async def test_an_escalation_says_why(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    escalated = await world.moved(incident.id, S.ESCALATED, reason="the script\u202e is blocked")

    stored, timeline = await world.service.get(VIEWER, incident.id)
    assert stored == escalated
    assert (stored.summary, timeline[-1].text) == ("the script is blocked", "the script is blocked")
    assert (await world.intake.audited())[-1][3]["reason"] == "the script is blocked"


async def test_the_time_to_resolve_ends_with_the_first_resolution(on_sqlite: World) -> None:
    incident, _ = await on_sqlite.opened(await on_sqlite.fired())
    on_sqlite.clock.advance(60)
    await on_sqlite.moved(incident.id, S.RESOLVED, S.ESCALATED)
    on_sqlite.clock.advance(60)
    again = await on_sqlite.moved(incident.id, S.RESOLVED)

    assert again.time_to_resolve == MINUTE


async def test_more_facts_can_be_told_with_a_move_but_not_instead_of_its_own(on_sqlite: World) -> None:
    incident, _ = await on_sqlite.opened(await on_sqlite.fired())
    await on_sqlite.write(
        lambda conn: on_sqlite.service.transition(
            PIPELINE, conn, incident.id, S.INVESTIGATING, "r", correlation_id="cor_1", data={"planId": "plan_1", "incidentId": "inc_other"}
        )
    )

    _, data, _ = (await on_sqlite.intake.events())[-1]
    assert (data["planId"], data["incidentId"]) == ("plan_1", incident.id)


async def test_a_decision_that_rests_on_an_older_version_is_refused(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    await world.moved(incident.id, S.INVESTIGATING)
    before = await world.told()

    def escalate(conn: Connection, version: int) -> Incident:
        return world.service.transition(RESPONDER, conn, incident.id, S.ESCALATED, "mine", correlation_id="cor_1", expected_version=version)

    with pytest.raises(IncidentChanged) as caught:
        await world.write(lambda conn: escalate(conn, 1))
    assert caught.value.details == {"incidentId": incident.id, "state": "investigating", "version": 2}
    assert await world.told() == before
    assert (await world.write(lambda conn: escalate(conn, 2))).version == 3


async def test_of_two_who_decide_on_the_same_version_one_wins(world: World) -> None:
    incident, _ = await world.opened(await world.fired())

    async def move(to: IncidentState) -> str:
        try:
            await world.write(
                lambda conn: world.service.transition(RESPONDER, conn, incident.id, to, "mine", correlation_id="cor_1", expected_version=1)
            )
        except IncidentChanged:
            return "refused"
        return "won"

    outcomes = await asyncio.gather(*(move(to) for to in (S.INVESTIGATING, S.ESCALATED, S.RESOLVED)))
    assert sorted(outcomes) == ["refused", "refused", "won"]


async def test_notes_at_the_same_time_all_get_a_number(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    await asyncio.gather(
        *(
            world.write(lambda conn, text=f"note {number}": world.service.note(RESPONDER, conn, incident.id, "note", text))
            for number in range(10)
        )
    )

    _, timeline = await world.service.get(VIEWER, incident.id)
    assert [entry.seq for entry in timeline] == list(range(1, 12))
    assert {entry.text for entry in timeline[1:]} == {f"note {number}" for number in range(10)}


async def test_a_note_changes_nothing_else(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    await world.moved(incident.id, S.ESCALATED, S.CLOSED)
    before, told = (await world.service.get(VIEWER, incident.id))[0], await world.told()
    world.clock.advance(7)
    await world.write(lambda conn: world.service.note(RESPONDER, conn, incident.id, "seen", "it is\x00 the disk", {"disk": "/dev/sda"}))

    after, timeline = await world.service.get(VIEWER, incident.id)
    assert after == before
    assert await world.told() == [told[0] + 1, *told[1:]]
    last = timeline[-1]
    assert (last.at, last.actor, last.kind, last.text, last.data) == (
        START + timedelta(seconds=7),
        "user:rosa",
        "seen",
        "it is the disk",
        {"disk": "/dev/sda"},
    )


async def test_what_fails_later_in_the_transaction_undoes_the_move(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    before = await world.told()

    def write(conn: Connection) -> None:
        world.service.transition(PIPELINE, conn, incident.id, S.INVESTIGATING, "r", correlation_id="cor_1")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        await world.write(write)
    assert (await world.service.get(VIEWER, incident.id))[0] == incident
    assert await world.told() == before


async def test_who_may_only_look_changes_nothing(on_sqlite: World) -> None:
    found = await on_sqlite.fired()
    incident, _ = await on_sqlite.opened(found)
    service, before = on_sqlite.service, await on_sqlite.told()

    for actor in (VIEWER, SENDER):
        for refused in (
            lambda conn, who=actor: service.open_for_alert(who, conn, found, correlation_id="cor_1"),
            lambda conn, who=actor: service.transition(who, conn, incident.id, S.ESCALATED, "r", correlation_id="cor_1"),
            lambda conn, who=actor: service.note(who, conn, incident.id, "note", "r"),
        ):
            with pytest.raises(Forbidden):
                await on_sqlite.write(refused)
    assert await on_sqlite.told() == before


async def test_who_may_not_look_sees_nothing(on_sqlite: World) -> None:
    incident, _ = await on_sqlite.opened(await on_sqlite.fired())

    with pytest.raises(Forbidden):
        await on_sqlite.service.list(SENDER)
    with pytest.raises(Forbidden):
        await on_sqlite.service.get(SENDER, incident.id)


async def test_another_tenants_incidents_do_not_exist(world: World) -> None:
    incident, _ = await world.opened(await world.fired())

    assert await world.service.list(STRANGER) == ([], None)
    with pytest.raises(UnknownIncident):
        await world.service.get(STRANGER, incident.id)
    with pytest.raises(UnknownIncident):
        await world.moved(incident.id, S.ESCALATED, actor=STRANGER)
    with pytest.raises(UnknownIncident):
        await world.write(lambda conn: world.service.note(STRANGER, conn, incident.id, "note", "x"))


async def opened_many(world: World, count: int) -> list[IncidentId]:
    """The ids of as many incidents, oldest first, a second apart."""
    found = []
    for number in range(count):
        incident, _ = await world.opened(await world.fired(host=f"web-{number}"))
        found.append(incident.id)
        world.clock.advance(1)
    return found


async def test_incidents_are_listed_newest_first_and_page_by_page(world: World) -> None:
    ids = await opened_many(world, 5)

    first, cursor = await world.service.list(VIEWER, limit=2)
    second, further = await world.service.list(VIEWER, limit=2, cursor=cursor)
    third, end = await world.service.list(VIEWER, limit=2, cursor=further)
    assert [incident.id for incident in (*first, *second, *third)] == ids[::-1]
    assert end is None


async def test_a_full_last_page_of_incidents_has_no_page_behind_it(on_sqlite: World) -> None:
    await opened_many(on_sqlite, 2)

    assert (await on_sqlite.service.list(VIEWER, limit=2))[1] is None


async def test_incidents_are_listed_by_state(world: World) -> None:
    ids = await opened_many(world, 3)
    await world.moved(ids[1], S.ESCALATED)

    assert [incident.id for incident in (await world.service.list(VIEWER, state="open"))[0]] == [ids[2], ids[0]]
    assert [incident.id for incident in (await world.service.list(VIEWER, state="escalated"))[0]] == [ids[1]]
    assert await world.service.list(VIEWER, state="closed") == ([], None)


@pytest.mark.parametrize("arguments", [{"state": "done"}, {"state": ""}, {"cursor": "x"}, {"cursor": "alr_00000000000000000000000000"}])
async def test_what_cannot_be_listed_by_is_refused(on_sqlite: World, arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        await on_sqlite.service.list(VIEWER, **arguments)


async def test_what_is_not_there_is_unknown(world: World) -> None:
    with pytest.raises(UnknownIncident):
        await world.service.get(VIEWER, "inc_00000000000000000000000000")
    with pytest.raises(UnknownIncident):
        await world.moved(IncidentId("inc_00000000000000000000000000"), S.ESCALATED)


async def test_an_alerts_unfinished_incidents_are_found(world: World) -> None:
    found = await world.fired()
    first, _ = await world.opened(found)

    def unfinished(conn: Connection) -> list[IncidentId]:
        return [incident.id for incident in repository.open_for(conn, DEFAULT_TENANT, found.id)]

    assert await world.intake.db.read(unfinished) == [first.id]
    await world.moved(first.id, S.RESOLVED)
    assert await world.intake.db.read(unfinished) == []
    second, _ = await world.opened(await world.fired(start=START + MINUTE))
    assert await world.intake.db.read(unfinished) == [second.id]


async def test_earlier_incidents_of_an_alert_are_its_history(world: World) -> None:
    opened = []
    for number in range(4):
        incident, _ = await world.opened(await world.fired(start=START + number * MINUTE))
        opened.append(incident)
        await world.moved(incident.id, S.RESOLVED)
        world.clock.advance(60)
    await world.opened(await world.fired(host="web-1"))
    last = opened[-1]

    found = await world.intake.db.read(
        lambda conn: repository.history(conn, DEFAULT_TENANT, last.fingerprint, before=last.opened_at, limit=2)
    )
    assert [incident.id for incident in found] == [opened[2].id, opened[1].id]


async def test_the_run_that_repairs_an_incident_is_remembered(world: World) -> None:
    incident, _ = await world.opened(await world.fired())
    await world.write(lambda conn: repository.set_run(conn, incident.id, RunId("run_1")))

    assert (await world.service.get(VIEWER, incident.id))[0] == replace(incident, run_id=RunId("run_1"))


async def test_an_incidents_alerts_are_given_the_first_one_first(world: World) -> None:
    first = await world.fired(host="web-9")
    incident, _ = await world.opened(first)
    world.clock.advance(1)
    other = await world.fired(host="web-1")
    values = {"alert_id": other.id, "starts_at": other.starts_at, "episode": 1, "incident_id": incident.id, "tenant_id": DEFAULT_TENANT}
    await world.write(lambda conn: repository.add_alert(conn, {**values, "added_at": world.clock.now()}))
    await world.opened(await world.fired(host="web-9", start=START + MINUTE))

    assert await world.write(lambda conn: repository.alert_ids(conn, incident.id)) == [first.id, other.id]
