"""Dispatches and target locks on every database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Select
from sqlalchemy.util import await_only
from tests.contract.executor_support import clearance_for

from bcce.execution import repository
from bcce.execution.errors import IllegalDispatchTransition, UnknownDispatch
from bcce.execution.model import TRANSITIONS, Dispatch, DispatchState, Script, Target
from bcce.execution.tables import dispatches, machine_locks
from bcce.kit.ids import DEFAULT_TENANT, DispatchId, Ids, TenantId
from bcce.storage.doors import Database, open_database
from bcce.storage.errors import Duplicate
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

TARGET = Target(name="web", executor="ssh", address="web-1", base_dir="/var/lib/jobs", login="fixer", host_keys=("ssh-ed25519 AAAA",))
OTHER_TENANT = TenantId("other")


@pytest.fixture
async def db(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Database]:
    """An empty database of each kind in turn."""
    async with open_database(database_url, clock=frozen_clock, ids=ids, fence_table=runs) as opened:
        await opened.migrate(lambda conn: dispatches.metadata.create_all(conn, tables=[dispatches, machine_locks]))
        yield opened


def dispatch(
    clock: FrozenClock, key: str, *, after_s: float = 0, tenant_id: TenantId = DEFAULT_TENANT, incident_id: str = "inc_1"
) -> Dispatch:
    """A new dispatch under `key`."""
    clearance = replace(clearance_for(clock, TARGET, key, Script(text="true")), tenant_id=tenant_id)
    created_at = clearance.issued_at + timedelta(seconds=after_s)
    return Dispatch.cleared(clearance, step_key="repair[0]", incident_id=incident_id, created_at=created_at)


async def insert(db: Database, *rows: Dispatch) -> None:
    """Stores the rows."""

    def write(conn: Connection) -> None:
        for row in rows:
            repository.insert_dispatch(conn, row)

    await db.write(write)


async def become(
    db: Database, key: str, state: DispatchState, at: datetime, *, exit_code: int | None = None, output: str | None = None
) -> Dispatch:
    """The dispatch after the transition."""
    return await db.write(lambda conn: repository.transition(conn, key, state, at=at, exit_code=exit_code, output_excerpt=output))


async def lock(db: Database, key: str, at: datetime, *, tenant_id: TenantId = DEFAULT_TENANT, target: Target = TARGET) -> str | None:
    """Who has the target, when it is not `key`."""
    return await db.write(lambda conn: repository.lock_target(conn, tenant_id, target, key, at))


async def test_a_dispatch_is_read_back_as_it_was_written(db: Database, frozen_clock: FrozenClock) -> None:
    row = dispatch(frozen_clock, "dsp_1")
    await insert(db, row)
    assert await db.read(lambda conn: repository.get_by_key(conn, "dsp_1")) == row


async def test_a_dispatch_is_only_seen_by_its_tenant(db: Database, frozen_clock: FrozenClock) -> None:
    await insert(db, dispatch(frozen_clock, "dsp_1"))
    assert await db.read(lambda conn: repository.get_by_key(conn, "dsp_1", OTHER_TENANT)) is None
    assert await db.read(lambda conn: repository.get_by_key(conn, "dsp_1", DEFAULT_TENANT)) is not None
    assert await db.read(lambda conn: repository.list_dispatches(conn, OTHER_TENANT, limit=10)) == []


async def test_a_second_dispatch_under_one_key_is_refused(db: Database, frozen_clock: FrozenClock) -> None:
    await insert(db, dispatch(frozen_clock, "dsp_1"))
    with pytest.raises(Duplicate):
        await insert(db, replace(dispatch(frozen_clock, "dsp_1"), id=DispatchId("dsp_2")))


async def test_keys_differ_by_case(db: Database, frozen_clock: FrozenClock) -> None:
    await insert(db, dispatch(frozen_clock, "dsp_a"), dispatch(frozen_clock, "dsp_A"))
    found = await db.read(lambda conn: repository.get_by_key(conn, "dsp_A"))
    assert found is not None
    assert found.key == "dsp_A"


async def test_the_dispatches_of_a_step_come_in_the_order_of_its_attempts(db: Database, frozen_clock: FrozenClock) -> None:
    first, second = dispatch(frozen_clock, "dsp_b"), dispatch(frozen_clock, "dsp_a", after_s=1)
    await insert(db, second, first, replace(dispatch(frozen_clock, "dsp_c"), step_key="repair[1]"))
    assert await db.read(lambda conn: repository.list_for_step(conn, first.run_id, "repair[0]")) == [first, second]


async def test_dispatches_are_listed_newest_first_in_pages_and_by_condition(db: Database, frozen_clock: FrozenClock) -> None:
    rows = [dispatch(frozen_clock, f"dsp_{number}", after_s=number // 2, incident_id=f"inc_{number % 2}") for number in range(6)]
    await insert(db, *rows)
    await become(db, "dsp_4", DispatchState.STARTED, frozen_clock.now())

    def keys(conn: Connection, **conditions: object) -> list[str]:
        return [row.key for row in repository.list_dispatches(conn, DEFAULT_TENANT, **conditions)]  # type: ignore[arg-type]  # named below

    assert await db.read(lambda conn: keys(conn, limit=4)) == ["dsp_5", "dsp_4", "dsp_3", "dsp_2"]
    assert await db.read(lambda conn: keys(conn, limit=4, before=DispatchId("dsp_3"))) == ["dsp_2", "dsp_1", "dsp_0"]
    assert await db.read(lambda conn: keys(conn, limit=9, incident_id="inc_1")) == ["dsp_5", "dsp_3", "dsp_1"]
    assert await db.read(lambda conn: keys(conn, limit=9, state=DispatchState.STARTED)) == ["dsp_4"]


async def test_a_dispatch_that_ends_well_has_all_its_times(db: Database, frozen_clock: FrozenClock) -> None:
    row = dispatch(frozen_clock, "dsp_1")
    await insert(db, row)
    started, ended = row.created_at + timedelta(seconds=1), row.created_at + timedelta(seconds=2)
    await become(db, "dsp_1", DispatchState.STARTED, started)
    await become(db, "dsp_1", DispatchState.SUCCEEDED, ended, exit_code=0, output="🔥 done")
    expected = replace(row, state=DispatchState.SUCCEEDED, exit_code=0, output_excerpt="🔥 done", started_at=started, ended_at=ended)
    assert await db.read(lambda conn: repository.get_by_key(conn, "dsp_1")) == expected


async def test_the_same_state_again_changes_nothing(db: Database, frozen_clock: FrozenClock) -> None:
    await insert(db, dispatch(frozen_clock, "dsp_1"))
    first = await become(db, "dsp_1", DispatchState.STARTED, frozen_clock.now())
    assert await become(db, "dsp_1", DispatchState.STARTED, frozen_clock.now() + timedelta(hours=1), exit_code=3) == first


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("before", list(DispatchState))
@pytest.mark.parametrize("after", list(DispatchState))
async def test_only_transitions_of_the_table_are_possible(
    db: Database, frozen_clock: FrozenClock, before: DispatchState, after: DispatchState
) -> None:
    await insert(db, replace(dispatch(frozen_clock, "dsp_1"), state=before))
    if before is after or after in TRANSITIONS[before]:
        assert (await become(db, "dsp_1", after, frozen_clock.now())).state is after
        return
    with pytest.raises(IllegalDispatchTransition) as caught:
        await become(db, "dsp_1", after, frozen_clock.now())
    assert caught.value.details == {"key": "dsp_1", "from": before, "to": after}


async def test_an_unknown_key_has_no_transition(db: Database, frozen_clock: FrozenClock) -> None:
    with pytest.raises(UnknownDispatch):
        await become(db, "dsp_1", DispatchState.STARTED, frozen_clock.now())


@pytest.mark.parametrize("state", list(DispatchState))
async def test_a_dispatch_that_never_ran_is_no_start_of_what_was_approved(
    db: Database, frozen_clock: FrozenClock, state: DispatchState
) -> None:
    row = replace(dispatch(frozen_clock, "dsp_1"), state=state)
    await insert(db, row)
    found = await db.read(lambda conn: repository.has_started(conn, row.run_id, row.approval_digest))
    assert found is (state is not DispatchState.ABANDONED)


async def test_a_target_belongs_to_one_dispatch_at_a_time(db: Database, frozen_clock: FrozenClock) -> None:
    at = frozen_clock.now()
    await insert(db, dispatch(frozen_clock, "dsp_1"), dispatch(frozen_clock, "dsp_2"))
    assert [await lock(db, key, at) for key in ("dsp_1", "dsp_1", "dsp_2")] == [None, None, "dsp_1"]
    assert await db.write(lambda conn: repository.unlock_target(conn, DEFAULT_TENANT, "dsp_2")) is False
    assert await db.write(lambda conn: repository.unlock_target(conn, DEFAULT_TENANT, "dsp_1")) is True
    assert await lock(db, "dsp_2", at) is None
    assert await db.read(lambda conn: repository.lock_holders(conn, DEFAULT_TENANT, TARGET)) == {"dsp_2"}


@pytest.mark.parametrize(
    "other",
    [
        replace(TARGET, name="web-as-root", login="root", base_dir="/srv/jobs", host_keys=()),
        replace(TARGET, name="web-again", address="root@WEB-1.:2222"),
        replace(TARGET, executor="powershell", name="web-windows"),
        replace(TARGET, base_dir="/srv/jobs"),
        replace(TARGET, address="192.0.2.7"),
    ],
    ids=["another login", "another spelling", "another executor", "an edited entry", "an edited address"],
)
async def test_a_machine_belongs_to_one_dispatch_at_a_time_however_it_is_written(
    db: Database, frozen_clock: FrozenClock, other: Target
) -> None:
    at = frozen_clock.now()
    await insert(db, dispatch(frozen_clock, "dsp_1"), dispatch(frozen_clock, "dsp_2"))
    assert [await lock(db, "dsp_1", at), await lock(db, "dsp_2", at, target=other)] == [None, "dsp_1"]
    await db.write(lambda conn: repository.unlock_target(conn, DEFAULT_TENANT, "dsp_1"))
    assert await lock(db, "dsp_2", at, target=other) is None


async def test_whoever_does_not_get_a_machine_keeps_no_part_of_it(db: Database, frozen_clock: FrozenClock) -> None:
    at = frozen_clock.now()
    await insert(db, dispatch(frozen_clock, "dsp_1"), dispatch(frozen_clock, "dsp_2"))
    others = [replace(TARGET, name=f"other-{number}") for number in range(8)]
    await lock(db, "dsp_1", at)
    assert {await lock(db, "dsp_2", at, target=other) for other in others} == {"dsp_1"}
    assert await db.write(lambda conn: repository.unlock_target(conn, DEFAULT_TENANT, "dsp_2")) is False


async def test_tenants_lock_their_own_targets(db: Database, frozen_clock: FrozenClock) -> None:
    await insert(db, dispatch(frozen_clock, "dsp_1"), dispatch(frozen_clock, "dsp_2", tenant_id=OTHER_TENANT))
    assert await lock(db, "dsp_1", frozen_clock.now()) is None
    assert await lock(db, "dsp_2", frozen_clock.now(), tenant_id=OTHER_TENANT) is None


@pytest.mark.parametrize("state", list(DispatchState))
async def test_only_a_settled_dispatch_loses_its_target_to_another(db: Database, frozen_clock: FrozenClock, state: DispatchState) -> None:
    at = frozen_clock.now()
    await insert(db, dispatch(frozen_clock, "dsp_1"), dispatch(frozen_clock, "dsp_2"))
    await lock(db, "dsp_1", at)
    if state is not DispatchState.CLEARED:
        await become(db, "dsp_1", state, at)
    keeps = state in (DispatchState.CLEARED, DispatchState.STARTED, DispatchState.INDETERMINATE)
    assert await lock(db, "dsp_2", at) == ("dsp_1" if keeps else None)
    assert await db.read(lambda conn: repository.lock_holders(conn, DEFAULT_TENANT, TARGET)) == {"dsp_1" if keeps else "dsp_2"}


async def test_a_lock_without_a_dispatch_is_kept(db: Database, frozen_clock: FrozenClock) -> None:
    assert [await lock(db, key, frozen_clock.now()) for key in ("dsp_lost", "dsp_2")] == [None, "dsp_lost"]


async def test_of_many_that_lock_at_once_one_has_the_target(db: Database, frozen_clock: FrozenClock) -> None:
    keys = [f"dsp_{number}" for number in range(8)]
    await insert(db, *(dispatch(frozen_clock, key) for key in keys))
    holders = await asyncio.gather(*(lock(db, key, frozen_clock.now()) for key in keys))
    (winner,) = await db.read(lambda conn: repository.lock_holders(conn, DEFAULT_TENANT, TARGET))
    assert [key for key, holder in zip(keys, holders, strict=True) if holder is None] == [winner]
    assert {holder for holder in holders if holder is not None} == {winner}


async def test_of_many_that_take_a_settled_lock_over_at_once_one_has_it(db: Database, frozen_clock: FrozenClock) -> None:
    keys = [f"dsp_{number}" for number in range(8)]
    await insert(db, dispatch(frozen_clock, "dsp_old"), *(dispatch(frozen_clock, key) for key in keys))
    await lock(db, "dsp_old", frozen_clock.now())
    await become(db, "dsp_old", DispatchState.ABANDONED, frozen_clock.now())
    holders = await asyncio.gather(*(lock(db, key, frozen_clock.now()) for key in keys))
    (winner,) = await db.read(lambda conn: repository.lock_holders(conn, DEFAULT_TENANT, TARGET))
    assert [key for key, holder in zip(keys, holders, strict=True) if holder is None] == [winner]


async def test_a_machine_that_is_freed_in_the_middle_of_a_look_is_taken(postgres_url: str, frozen_clock: FrozenClock, ids: Ids) -> None:
    async with open_database(postgres_url, clock=frozen_clock, ids=ids, fence_table=runs) as db:
        await db.migrate(lambda conn: dispatches.metadata.create_all(conn, tables=[dispatches, machine_locks]))
        at = frozen_clock.now()
        await insert(db, dispatch(frozen_clock, "dsp_1"), dispatch(frozen_clock, "dsp_2"))
        assert await lock(db, "dsp_1", at) is None

        class Freeing:
            """A connection on which, between its first two statements, another one frees the machine."""

            def __init__(self, conn: Connection) -> None:
                self._conn, self._is_freed = conn, False

            def execute(self, statement: Any, *args: Any) -> Any:
                if isinstance(statement, Select) and not self._is_freed:
                    self._is_freed = True
                    await_only(db.write(lambda conn: repository.unlock_target(conn, DEFAULT_TENANT, "dsp_1")))
                return self._conn.execute(statement, *args)

        taken = await db.write(lambda conn: repository.lock_target(Freeing(conn), DEFAULT_TENANT, TARGET, "dsp_2", at))  # type: ignore[arg-type]  # as much of one as is used
        assert taken is None
