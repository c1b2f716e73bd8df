"""Circuit breakers in the database: the `BreakerStore` that all workers share and that a restart does not forget."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Column, Connection, Integer, RowMapping, Table, bindparam, select, update

from bcce.kit.clock import format_time, parse_time
from bcce.kit.ids import TenantId
from bcce.resilience import BreakerRecord, Circuit
from bcce.storage.doors import Database
from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, Name, UtcDateTime, db_now
from bcce.storage.upsert import upsert

T = TypeVar("T")

circuits = Table(
    "circuits",
    metadata,
    Column("tenant_id", Id(), primary_key=True),
    Column("name", Name(320), primary_key=True),
    Column("state", Name(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("failed_at", Json(), nullable=False),
    Column("until", UtcDateTime()),
)

_FOUND = (circuits.c.tenant_id == bindparam("of_tenant"), circuits.c.name == bindparam("of_name"))
_LOAD = select(circuits).where(*_FOUND)
_LOCK = select(circuits, db_now().label("now")).where(*_FOUND).with_for_update()
_BEGIN = upsert(circuits, keys=["tenant_id", "name"])
_STORE = update(circuits).where(*_FOUND)


class DatabaseBreakers:
    """Circuits as rows. Time is the database's own, so workers with different clocks agree on when a circuit may be tried."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load(self, tenant_id: TenantId, name: str) -> BreakerRecord:
        """The circuit as it is; closed when there is no row."""
        row = await self._db.read(lambda conn: conn.execute(_LOAD, {"of_tenant": tenant_id, "of_name": name}).mappings().first())
        return BreakerRecord() if row is None else _record(row)

    async def change(self, tenant_id: TenantId, name: str, fn: Callable[[BreakerRecord, datetime], tuple[BreakerRecord, T]]) -> T:
        """One transaction that holds the circuit's row from the look to the change."""
        where = {"of_tenant": tenant_id, "of_name": name}

        def write(conn: Connection) -> T:
            row = conn.execute(_LOCK, where).mappings().first()
            if row is None:
                conn.execute(_BEGIN, {"tenant_id": tenant_id, "name": name, **_values(BreakerRecord())})
                row = conn.execute(_LOCK, where).mappings().one()
            record = _record(row)
            after, result = fn(record, row["now"])
            if after != record:
                conn.execute(_STORE, {**where, **_values(after)})
            return result

        return await self._db.write(write)


def _record(row: RowMapping) -> BreakerRecord:
    failed_at = tuple(parse_time(moment) for moment in row["failed_at"])
    return BreakerRecord(state=Circuit(row["state"]), generation=row["generation"], failed_at=failed_at, until=row["until"])


def _values(record: BreakerRecord) -> dict[str, object]:
    failed_at = [format_time(moment) for moment in record.failed_at]
    return {"state": record.state.value, "generation": record.generation, "failed_at": failed_at, "until": record.until}
