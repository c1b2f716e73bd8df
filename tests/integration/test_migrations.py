"""The migrations make exactly the schema that the code has, on every database; twice is once."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bcce.kit.clock import SystemClock
from bcce.kit.ids import Ids
from bcce.runtime.schema import migrate
from bcce.runtime.tables import metadata
from bcce.storage.doors import open_database
from bcce.workflows.tables import runs


async def test_migrations_and_tables_agree(database_url: str) -> None:
    clock = SystemClock()
    async with open_database(database_url, clock=clock, ids=Ids(clock), fence_table=runs) as db:
        await migrate(db)
        await migrate(db)

        missing = await db.migrate(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata))

    assert [item for item in missing if item[0] in ("add_table", "remove_table", "add_column", "remove_column")] == []
