"""Brings a database's schema up to this release's (Alembic)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bcce.kit.errors import BcceError
from bcce.storage.doors import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaTooNew(BcceError):
    """The database was written by a newer release of BCCE."""

    code = "schema-too-new"


async def migrate(db: Database) -> None:
    """Applies every migration that the database lacks, in one transaction where the database can.

    Raises:
        SchemaTooNew: the database has migrations that this release does not know.
    """
    await db.migrate(upgrade)


def upgrade(conn: Connection, to: str = "head") -> None:
    """The same on an open connection, up to the revision `to`; does nothing when the schema is current."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(conn).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise SchemaTooNew(
            f"the database is at schema {current}, which this release does not know", hint="run the release that wrote it, or a newer one"
        )
    config.attributes["connection"] = conn
    command.upgrade(config, to)
