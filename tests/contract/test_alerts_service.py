"""Alert intake over every database: acknowledged means committed, nothing is half stored, every re-fire is visible."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.contract.alerts_support import RESPONDER, SENDER, START, STRANGER, VIEWER, Intake, alert, body, fixture, intake

from bcce.alerts import (
    AlertService,
    AlertStatus,
    AlreadyReplayed,
    InvalidSource,
    ParsedDelivery,
    Receipt,
    UnknownAlert,
    UnknownDeadLetter,
    UnknownProvider,
    UnparsableDelivery,
)
from bcce.alerts.model import alert_id_of
from bcce.alerts.providers.alertmanager import Alertmanager
from bcce.alerts.repository import senders as senders_of
from bcce.alerts.settings import AlertSettings
from bcce.alerts.tables import alert_episodes, alert_notifications, alerts, deliveries
from bcce.kit.clock import format_time
from bcce.kit.errors import Forbidden, InvalidInput
from bcce.kit.ids import DEFAULT_TENANT, Ids
from bcce.security.actor import Actor, source_actor
from bcce.storage.outbox import outbox
from bcce.testing.clock import FrozenClock

MINUTE = timedelta(minutes=1)
TABLES = (deliveries, alerts, alert_episodes, alert_notifications, outbox)


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A little after the fixtures were captured."""
    return FrozenClock(START)


@pytest.fixture
async def world(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Intake]:
    """Alert intake over a fresh database of each kind in turn."""
    async with intake(database_url, frozen_clock, ids) as opened:
        yield opened


@pytest.fixture
async def on_sqlite(sqlite_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Intake]:
    """Alert intake over a fresh SQLite file, for what no database can make different."""
    async with intake(sqlite_url, frozen_clock, ids) as opened:
        yield opened


async def test_a_delivery_becomes_an_alert_a_notification_and_an_event(world: Intake) -> None:
    receipt = await world.send(fixture("firing"), correlation_id="cor_7")

    found, notifications = await world.service.get(VIEWER, receipt.alert_ids[0])
    parsed = Alertmanager(AlertSettings()).parse(fixture("firing"), {}, source="prod", received_at=START).alerts[0]
    assert {name: getattr(found, name) for name in parsed.__slots__} == {name: getattr(parsed, name) for name in parsed.__slots__}
    assert found.id == alert_id_of(DEFAULT_TENANT, parsed.fingerprint)
    assert (found.tenant_id, found.first_seen_at, found.last_seen_at, found.delivery_id) == (
        DEFAULT_TENANT,
        START,
        START,
        receipt.delivery_id,
    )
    assert (found.times_seen, found.episode) == (1, 1)
    assert [(note.delivery_id, note.ordinal, note.status, note.starts_at, note.ends_at, note.received_at) for note in notifications] == [
        (receipt.delivery_id, 0, AlertStatus.FIRING, parsed.starts_at, None, START)
    ]
    assert await world.events() == [
        (
            "alert.received",
            {
                "alertId": found.id,
                "fingerprint": found.fingerprint,
                "name": "ServiceDown",
                "status": "firing",
                "severity": "critical",
                "provider": "alertmanager",
                "source": "prod",
                "startsAt": format_time(parsed.starts_at),
                "endsAt": None,
                "deliveryId": receipt.delivery_id,
            },
            "cor_7",
        )
    ]
    assert 'bcce_alerts_received_total{provider="alertmanager",source="prod"} 1.0' in world.metrics.render().decode()


async def test_the_raw_body_is_kept(world: Intake) -> None:
    await world.send(fixture("group-mixed"))

    row = await world.db.read(lambda conn: conn.execute(deliveries.select()).mappings().one())
    kept = {name: row[name] for name in ("tenant_id", "provider", "source", "body", "state", "reason", "alert_count", "truncated")}
    assert kept == {
        "tenant_id": DEFAULT_TENANT,
        "provider": "alertmanager",
        "source": "prod",
        "body": fixture("group-mixed"),
        "state": "accepted",
        "reason": None,
        "alert_count": 3,
        "truncated": 0,
    }


async def test_firing_resolved_and_fired_again_are_one_alert_with_two_episodes(world: Intake) -> None:
    seen = []
    for name in ("firing", "resolved", "fired-again"):
        receipt = await world.send(fixture(name))
        found, notifications = await world.service.get(VIEWER, receipt.alert_ids[0])
        seen.append((found.status, found.episode, found.times_seen, len(notifications)))
        world.clock.advance(60)

    assert seen == [(AlertStatus.FIRING, 1, 1, 1), (AlertStatus.RESOLVED, 1, 2, 2), (AlertStatus.FIRING, 2, 3, 3)]
    assert await world.count(alerts) == 1
    assert [kind for kind, _, _ in await world.events()] == ["alert.received", "alert.resolved", "alert.received"]


async def test_the_end_is_forgotten_when_it_fires_again(world: Intake) -> None:
    (key,) = (await world.send(fixture("resolved"))).alert_ids
    ended, _ = await world.service.get(VIEWER, key)
    await world.send(fixture("fired-again"))
    again, _ = await world.service.get(VIEWER, key)

    assert ended.ends_at is not None
    assert again.ends_at is None


async def test_a_mixed_group_gives_each_alert_its_own_status(world: Intake) -> None:
    await world.send(fixture("group-firing"))
    await world.send(fixture("group-mixed"))
    await world.send(fixture("group-later"))

    listed, _ = await world.service.list(VIEWER)
    assert {found.host: found.status for found in listed} == {
        "db-1.example": AlertStatus.RESOLVED,
        "db-2.example": AlertStatus.RESOLVED,
        "db-3.example": AlertStatus.FIRING,
    }


async def test_the_same_body_again_is_seen_again_and_changes_nothing_else(world: Intake) -> None:
    first = await world.send(fixture("firing"))
    before, _ = await world.service.get(VIEWER, first.alert_ids[0])
    world.clock.advance(30)
    second = await world.send(fixture("firing"))

    after, notifications = await world.service.get(VIEWER, first.alert_ids[0])
    assert second.alert_ids == first.alert_ids
    assert after == replace(before, times_seen=2, last_seen_at=START + timedelta(seconds=30), delivery_id=second.delivery_id)
    assert [note.delivery_id for note in notifications] == [second.delivery_id, first.delivery_id]


async def test_resolved_without_a_firing_before_it_is_stored_as_resolved(world: Intake) -> None:
    (key,) = (await world.send(fixture("resolved"))).alert_ids

    found, _ = await world.service.get(VIEWER, key)
    assert (found.status, found.episode, found.times_seen) == (AlertStatus.RESOLVED, 1, 1)


async def test_a_firing_that_arrives_after_its_resolved_is_only_seen(world: Intake) -> None:
    """A highly available pair sends this: prometheus/alertmanager#4008."""
    (key,) = (await world.send(fixture("resolved"))).alert_ids
    await world.send(fixture("firing"))

    found, notifications = await world.service.get(VIEWER, key)
    assert (found.status, found.episode, found.times_seen) == (AlertStatus.RESOLVED, 1, 2)
    assert [note.status for note in notifications] == [AlertStatus.FIRING, AlertStatus.RESOLVED]


async def test_an_older_episode_that_arrives_late_counts_but_does_not_show(world: Intake) -> None:
    (key,) = (await world.send(body(alert(start=START, summary="now")))).alert_ids
    await world.send(body(alert(start=START - MINUTE, end=START, summary="before")))

    found, _ = await world.service.get(VIEWER, key)
    assert (found.status, found.starts_at, found.summary) == (AlertStatus.FIRING, START, "now")
    assert (found.episode, found.times_seen) == (2, 2)


async def test_a_repeated_firing_brings_its_newer_text(world: Intake) -> None:
    (key,) = (await world.send(body(alert(summary="91 %")))).alert_ids
    world.clock.advance(1)
    await world.send(body(alert(summary="97 %")))

    found, _ = await world.service.get(VIEWER, key)
    assert found.summary == "97 %"


async def test_both_members_of_a_pair_in_one_body_are_one_alert_seen_twice(world: Intake) -> None:
    receipt = await world.send(fixture("replica-pair"))

    found, notifications = await world.service.get(VIEWER, receipt.alert_ids[0])
    assert len(receipt.alert_ids) == 1
    assert (found.times_seen, [note.ordinal for note in notifications]) == (2, [1, 0])
    assert found.labels["replica"] == "b"  # the later start


async def test_one_alert_twice_in_one_body_is_seen_twice(world: Intake) -> None:
    (key,) = (await world.send(body(alert(summary="one"), alert(summary="two"), alert(end=START + MINUTE)))).alert_ids

    found, notifications = await world.service.get(VIEWER, key)
    assert (found.status, found.times_seen, found.episode, len(notifications)) == (AlertStatus.RESOLVED, 3, 1, 3)


async def test_lost_alerts_are_said_to_the_sender_and_kept_with_the_delivery(world: Intake) -> None:
    receipt = await world.send(fixture("truncated"))

    assert len(receipt.notices) == 1
    assert "2 alerts" in receipt.notices[0]
    assert await world.db.read(lambda conn: conn.execute(deliveries.select()).mappings().one()["truncated"]) == 2


async def test_a_group_without_alerts_is_kept_as_a_delivery(world: Intake) -> None:
    receipt = await world.send(fixture("empty-group"))

    assert (receipt.alert_ids, receipt.notices) == ((), ("the body holds no alerts",))
    assert [await world.count(table) for table in TABLES] == [1, 0, 0, 0, 0]


async def test_the_ids_are_given_in_the_order_of_the_body(on_sqlite: Intake) -> None:
    receipt = await on_sqlite.send(fixture("group-firing"))

    hosts = [(await on_sqlite.service.get(VIEWER, key))[0].host for key in receipt.alert_ids]
    assert hosts == ["db-1.example", "db-2.example", "db-3.example"]


async def test_a_thousand_alerts_in_one_body_are_one_delivery(world: Intake) -> None:
    """Above 64 KiB, so it is parsed in another thread."""
    sent = body(*(alert(f"A{number}", summary="x" * 40) for number in range(1_000)))
    receipt = await world.send(sent)

    assert len(sent) > 64 * 1024
    assert len(set(receipt.alert_ids)) == 1_000
    assert [await world.count(table) for table in TABLES] == [1, 1_000, 1_000, 1_000, 1_000]


async def test_deliveries_at_the_same_time_lose_nothing(world: Intake) -> None:
    sent = [body(alert("shared"), alert(f"own-{number}")) for number in range(40)]
    receipts = await asyncio.gather(*(world.send(item) for item in sent))

    shared, _ = await world.service.get(VIEWER, receipts[0].alert_ids[0])
    assert shared.times_seen == 40
    assert len({receipt.delivery_id for receipt in receipts}) == 40
    assert [await world.count(table) for table in TABLES] == [40, 41, 41, 80, 80]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b'{"alerts": [', "$: the body is not JSON: Expecting value at line 1, column 13"),
        (b"\xff\xfe\x00", "$: the body is not UTF-8 at byte 0"),
        (b"", "$: the body is not JSON: Expecting value at line 1, column 1"),
        (fixture("wrong-types"), "$.alerts[0].labels.hosts: expected text, got a list"),
        (fixture("missing-name"), "$.alerts[1].labels.alertname: the alert's name is missing"),
    ],
    ids=["cut off", "not text", "empty", "wrong type", "second alert wrong"],
)
async def test_a_body_that_cannot_be_understood_is_kept_as_it_came_and_nothing_else_is(world: Intake, sent: bytes, reason: str) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        await world.send(sent, correlation_id="cor_9")

    dead_id = str(caught.value.details["deadLetterId"])
    letter = await world.service.dead_letter(VIEWER, dead_id)
    assert dead_id.startswith("dead_")
    assert (letter.id, letter.body, letter.reason, letter.correlation_id) == (dead_id, sent, reason, "cor_9")
    assert (letter.provider, letter.source, letter.received_at, letter.replayed_as) == ("alertmanager", "prod", START, None)
    assert [await world.count(table) for table in TABLES] == [1, 0, 0, 0, 0]
    assert 'bcce_webhooks_refused_total{reason="unparsable-delivery"} 1.0' in world.metrics.render().decode()


async def test_dead_letters_are_listed_newest_first_and_page_by_page(world: Intake) -> None:
    buried = []
    for number in range(5):
        with pytest.raises(UnparsableDelivery) as caught:
            await world.send(f"no json {number}".encode())
        buried.append(caught.value.details["deadLetterId"])
        world.clock.advance(1)
    await world.send(fixture("firing"))

    first = await world.service.dead_letters(VIEWER, limit=3)
    second = await world.service.dead_letters(VIEWER, limit=3, before=first[-1].id)
    assert [letter.id for letter in (*first, *second)] == buried[::-1]
    assert [letter.body for letter in second] == [b"no json 1", b"no json 0"]


class Learner:
    """A provider that understands a body only after it was taught to."""

    name = "alertmanager"

    def __init__(self) -> None:
        self.knows = False

    def parse(self, body: bytes, headers: Mapping[str, str], *, source: str, received_at: datetime) -> ParsedDelivery:
        """Alertmanager's body after a first line that nobody knew before."""
        if not self.knows:
            raise UnparsableDelivery("never seen that")
        return Alertmanager(AlertSettings()).parse(body.partition(b"\n")[2], headers, source=source, received_at=received_at)


async def buried(world: Intake, actor: Actor = SENDER) -> tuple[AlertService, Learner, str]:
    """A service whose provider can learn, and the dead letter that it made before."""
    learner = Learner()
    service = AlertService(db=world.db, clock=world.clock, ids=world.ids, providers={"alertmanager": learner}, metrics=world.metrics)
    with pytest.raises(UnparsableDelivery) as caught:
        await service.receive(
            actor, provider="alertmanager", source="prod", body=b"v5\n" + fixture("firing"), headers={}, correlation_id="cor_3"
        )
    return service, learner, str(caught.value.details["deadLetterId"])


async def test_a_dead_letter_that_is_understood_later_is_replayed_as_if_it_came_then(world: Intake) -> None:
    service, learner, dead_id = await buried(world)
    learner.knows = True
    world.clock.advance(3600)
    receipt = await service.replay(RESPONDER, dead_id)

    found, _ = await service.get(VIEWER, receipt.alert_ids[0])
    letter = await service.dead_letter(VIEWER, dead_id)
    assert (found.first_seen_at, found.last_seen_at, found.source) == (START, START, "prod")
    assert letter.replayed_as == receipt.delivery_id
    assert [(kind, correlation) for kind, _, correlation in await world.events()] == [("alert.received", "cor_3")]


async def test_the_people_who_sent_an_alert_are_known_and_a_monitor_is_none(world: Intake) -> None:
    async def senders(receipt: Receipt, since: datetime) -> frozenset[str]:
        return await world.db.read(lambda conn: senders_of(conn, RESPONDER.tenant_id, receipt.alert_ids[0], since))

    receipt = await world.send(fixture("firing"))
    starts_at = (await world.service.get(VIEWER, receipt.alert_ids[0]))[0].starts_at
    assert await senders(receipt, starts_at) == frozenset()
    await world.send(fixture("firing"), actor=RESPONDER)
    assert await senders(receipt, starts_at) == {"user:rosa"}
    assert await senders(receipt, starts_at + timedelta(seconds=1)) == frozenset()


async def test_who_replays_a_dead_letter_sends_it_beside_who_sent_it_first(world: Intake) -> None:
    service, learner, dead_id = await buried(world, RESPONDER)
    learner.knows = True
    receipt = await service.replay(replace(RESPONDER, id="token:tok_1", kind="token", owner="Boss"), dead_id)

    found = await world.db.read(lambda conn: senders_of(conn, RESPONDER.tenant_id, receipt.alert_ids[0], START - timedelta(days=9999)))
    assert found == {"user:rosa", "user:boss"}


async def test_a_dead_letter_is_replayed_once(world: Intake) -> None:
    service, learner, dead_id = await buried(world)
    learner.knows = True
    await service.replay(RESPONDER, dead_id)

    with pytest.raises(AlreadyReplayed):
        await service.replay(RESPONDER, dead_id)
    assert [await world.count(table) for table in TABLES] == [2, 1, 1, 1, 1]


async def test_a_dead_letter_that_is_still_not_understood_stays_one(world: Intake) -> None:
    service, _, dead_id = await buried(world)

    with pytest.raises(UnparsableDelivery) as caught:
        await service.replay(RESPONDER, dead_id)
    assert caught.value.details["deadLetterId"] == dead_id
    assert [letter.id for letter in await service.dead_letters(VIEWER)] == [dead_id]


async def test_who_may_not_send_may_not_replay(on_sqlite: Intake) -> None:
    service, learner, dead_id = await buried(on_sqlite)
    learner.knows = True

    for actor in (VIEWER, source_actor("alertmanager", "another")):
        with pytest.raises(Forbidden):
            await service.replay(actor, dead_id)
    with pytest.raises(UnknownDeadLetter):
        await service.replay(STRANGER, dead_id)


async def test_who_may_not_send_leaves_no_trace(on_sqlite: Intake) -> None:
    with pytest.raises(Forbidden):
        await on_sqlite.send(fixture("firing"), actor=VIEWER)
    with pytest.raises(Forbidden):
        await on_sqlite.send(fixture("firing"), actor=source_actor("alertmanager", "another"))
    with pytest.raises(Forbidden):
        await on_sqlite.send(b"no json", actor=source_actor("datadog", "prod"))
    assert [await on_sqlite.count(table) for table in TABLES] == [0, 0, 0, 0, 0]


async def test_an_unknown_provider_leaves_no_trace(on_sqlite: Intake) -> None:
    with pytest.raises(UnknownProvider) as caught:
        await on_sqlite.service.receive(RESPONDER, provider="alertmanger", source="prod", body=b"{}", headers={}, correlation_id="cor_1")

    assert caught.value.hint == "installed: alertmanager"
    assert await on_sqlite.count(deliveries) == 0


@pytest.mark.parametrize("source", ["", "x" * 65, "a\u202eb", "a\x00"])
async def test_a_source_has_a_name_that_can_be_seen(on_sqlite: Intake, source: str) -> None:
    with pytest.raises(InvalidSource):
        await on_sqlite.send(fixture("firing"), actor=RESPONDER, source=source)
    assert await on_sqlite.count(deliveries) == 0


async def test_sources_have_alerts_of_their_own(world: Intake) -> None:
    one = await world.send(fixture("firing"))
    other = await world.send(fixture("firing"), actor=RESPONDER, source="staging")

    assert one.alert_ids != other.alert_ids


async def test_tenants_have_alerts_of_their_own(world: Intake) -> None:
    ours = await world.send(fixture("firing"))
    theirs = await world.send(fixture("resolved"), actor=STRANGER)

    assert ours.alert_ids != theirs.alert_ids
    assert [found.id for found in (await world.service.list(VIEWER))[0]] == list(ours.alert_ids)
    assert [found.id for found in (await world.service.list(STRANGER))[0]] == list(theirs.alert_ids)
    with pytest.raises(UnknownAlert):
        await world.service.get(VIEWER, theirs.alert_ids[0])
    assert await world.service.notifications(VIEWER, theirs.alert_ids[0]) == ((), None)


async def test_another_tenants_dead_letters_are_not_shown(world: Intake) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        await world.send(b"no json")
    dead_id = str(caught.value.details["deadLetterId"])

    assert await world.service.dead_letters(STRANGER) == ()
    with pytest.raises(UnknownDeadLetter):
        await world.service.dead_letter(STRANGER, dead_id)


async def test_an_accepted_delivery_is_no_dead_letter(world: Intake) -> None:
    receipt = await world.send(fixture("firing"))

    with pytest.raises(UnknownDeadLetter):
        await world.service.dead_letter(VIEWER, receipt.delivery_id)


async def test_a_source_may_send_and_nothing_else(on_sqlite: Intake) -> None:
    (key,) = (await on_sqlite.send(fixture("firing"))).alert_ids

    for refused in (
        on_sqlite.service.list(SENDER),
        on_sqlite.service.get(SENDER, key),
        on_sqlite.service.notifications(SENDER, key),
        on_sqlite.service.dead_letters(SENDER),
        on_sqlite.service.dead_letter(SENDER, "dead_x"),
    ):
        with pytest.raises(Forbidden):
            await refused


async def test_alerts_are_listed_latest_start_first_and_page_by_page(world: Intake) -> None:
    starts = [0, 3, 1, 3, 2, 3, 0]  # some begin at the same moment
    await world.send(body(*(alert(f"A{number}", start=START + minute * MINUTE) for number, minute in enumerate(starts))))
    everything, following = await world.service.list(VIEWER)

    assert [found.starts_at for found in everything] == [START + minute * MINUTE for minute in sorted(starts, reverse=True)]
    assert following is None
    paged, cursor = [], None
    for size in (3, 3, 1):
        page, cursor = await world.service.list(VIEWER, cursor=cursor, limit=3)
        assert len(page) == size
        paged += page
    assert (paged, cursor) == (everything, None)


async def test_a_full_last_page_has_no_page_behind_it(on_sqlite: Intake) -> None:
    await on_sqlite.send(fixture("group-firing"))

    assert (await on_sqlite.service.list(VIEWER, limit=3))[1] is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"Disk", "Down", "down"}),
        ({"status": "firing"}, {"Disk", "down"}),
        ({"status": "resolved"}, {"Down"}),
        ({"name": "Down"}, {"Down"}),
        ({"severity": "critical"}, {"Down", "down"}),
        ({"source": "prod"}, {"Disk", "Down", "down"}),
        ({"source": "staging"}, set()),
        ({"provider": "alertmanager", "service": "shop"}, {"Down"}),
        ({"host": "db-1"}, {"Disk"}),
        ({"status": "firing", "severity": "critical"}, {"down"}),
        ({"name": "' OR 1=1 --"}, set()),
    ],
)
async def test_alerts_are_found_by_exact_values(world: Intake, filters: dict[str, str], expected: set[str]) -> None:
    await world.send(
        body(
            alert("Disk", host="db-1", severity="warning"),
            alert("Down", end=START + MINUTE, severity="critical", service="shop"),
            alert("down", severity="critical", service="Shop"),
        )
    )

    assert {found.name for found in (await world.service.list(VIEWER, filters=filters))[0]} == expected


@pytest.mark.parametrize("filters", [{"colour": "red"}, {"status": "acknowledged"}, {"severity": "P1"}, {"tenant_id": "other"}])
async def test_a_filter_that_does_not_exist_is_refused(on_sqlite: Intake, filters: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        await on_sqlite.service.list(VIEWER, filters=filters)


@pytest.mark.parametrize("cursor", ["", "~", "alr_1", "yesterday~alr_1", "2026-01-01T00:00:00~alr_1"])
async def test_a_cursor_that_is_not_ours_is_refused(on_sqlite: Intake, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await on_sqlite.service.list(VIEWER, cursor=cursor)


async def test_notifications_are_listed_latest_delivery_first_and_page_by_page(world: Intake) -> None:
    sent = []
    for _ in range(3):
        receipt = await world.send(body(alert(), alert()))
        sent += [(receipt.delivery_id, 0), (receipt.delivery_id, 1)]
        world.clock.advance(1)
    key = receipt.alert_ids[0]

    first, cursor = await world.service.notifications(VIEWER, key, limit=3)
    second, end = await world.service.notifications(VIEWER, key, cursor=cursor, limit=3)
    assert [(note.delivery_id, note.ordinal) for note in (*first, *second)] == sent[::-1]
    assert [note.received_at - START for note in first] == [timedelta(seconds=second) for second in (2, 2, 1)]
    assert end is None


@pytest.mark.parametrize("cursor", ["", "dlv_1", "dlv_1~", "dlv_1~x", "dlv_1~-1", "dlv_1~9999999999"])
async def test_a_notification_cursor_that_is_not_ours_is_refused(on_sqlite: Intake, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await on_sqlite.service.notifications(VIEWER, "alr_1", cursor=cursor)


async def test_what_is_not_there_is_unknown(world: Intake) -> None:
    with pytest.raises(UnknownAlert):
        await world.service.get(VIEWER, "alr_00000000000000000000000000")
    with pytest.raises(UnknownDeadLetter):
        await world.service.dead_letter(VIEWER, "dead_00000000000000000000000000")


async def test_hostile_text_survives_the_database_unchanged(world: Intake) -> None:
    strange = "😀 \t\n'\"\\ %s :name {{ x }} é"
    (key,) = (await world.send(json.dumps({"alerts": [alert(summary=strange, note=strange)]}).encode())).alert_ids

    found, _ = await world.service.get(VIEWER, key)
    assert (found.summary, found.labels["note"]) == (strange, strange)
