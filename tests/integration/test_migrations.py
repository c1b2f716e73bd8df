"""The migrations make exactly the schema that the code has, on every database; twice is once."""

from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, bindparam, event, insert, text

from bcce.execution.model import Target
from bcce.execution.repository import lock_holders
from bcce.execution.tables import dispatches
from bcce.kit.clock import SystemClock
from bcce.kit.errors import Unavailable
from bcce.kit.ids import DEFAULT_TENANT, Ids
from bcce.runtime.schema import migrate, upgrade
from bcce.runtime.tables import metadata
from bcce.storage.doors import open_database
from bcce.storage.types import UtcDateTime
from bcce.workflows.tables import runs

_AT = bindparam("at", type_=UtcDateTime())


async def test_migrations_and_tables_agree(database_url: str) -> None:
    clock = SystemClock()
    async with open_database(database_url, clock=clock, ids=Ids(clock), fence_table=runs) as db:
        await migrate(db)
        await migrate(db)

        missing = await db.migrate(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata))

    assert [item for item in missing if item[0] in ("add_table", "remove_table", "add_column", "remove_column")] == []


def cut_off(conn: Connection, statement: str) -> None:
    """Migrates until just before the first statement on the new table, or on the old one, that begins so."""

    def before(*args: object) -> None:
        if str(args[2]).lstrip().startswith(statement) and ("machine_locks" in str(args[2]) or "target_locks" in str(args[2])):
            raise Unavailable("cut off")

    event.listen(conn, "before_cursor_execute", before)
    try:
        upgrade(conn, "0008")
    finally:
        event.remove(conn, "before_cursor_execute", before)


async def test_targets_that_were_locked_by_configuration_stay_locked_by_machine(database_url: str) -> None:
    """What is under way keeps its target; of two on one machine it is the one that nobody but a person can settle."""
    clock = SystemClock()
    target = Target(name="web", executor="ssh", address="web-1", base_dir="/var/lib/jobs")
    states = {"dsp_old": "succeeded", "dsp_first": "started", "dsp_lost": "indeterminate"}
    async with open_database(database_url, clock=clock, ids=Ids(clock), fence_table=runs) as db:
        await db.migrate(lambda conn: upgrade(conn, "0006"))

        def lock(conn: Connection) -> None:
            for number, (dispatch_id, state) in enumerate(states.items()):
                entry = replace(target, name=f"web-{number}").to_dict()
                names = ("run_id", "step_key", "key", "target_name", "target_digest", "script_digest", "parameters_digest")
                values = {**dict.fromkeys((*names, "approval_digest", "clearance_id"), dispatch_id), "epoch": 1, "target": entry}
                at = {"created_at": clock.now()}
                conn.execute(insert(dispatches).values(id=dispatch_id, tenant_id=DEFAULT_TENANT, state=state, **values, **at))
                held = {"tenant": DEFAULT_TENANT, "digest": f"sha256:{number}", "id": dispatch_id}
                conn.execute(
                    text("INSERT INTO target_locks VALUES (:tenant, :digest, :id, :at)").bindparams(_AT), {**held, "at": clock.now()}
                )

        await db.migrate(lock)
        # Cut off after any change of the schema, and done again.
        await db.migrate(lambda conn: upgrade(conn, "0007"))
        for statement in ("CREATE TABLE", "DELETE", "INSERT", "DROP TABLE"):
            with pytest.raises(Unavailable):
                await db.migrate(lambda conn, statement=statement: cut_off(conn, statement))
        await migrate(db)
        holders = await db.read(lambda conn: [lock_holders(conn, DEFAULT_TENANT, replace(target, name=f"web-{n}")) for n in range(3)])

    assert holders == [{"dsp_lost"}, {"dsp_lost", "dsp_first"}, {"dsp_lost"}]
