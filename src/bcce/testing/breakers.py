"""Circuits that a test keeps in memory."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from bcce.kit.clock import Clock
from bcce.kit.ids import TenantId
from bcce.resilience import BreakerRecord

T = TypeVar("T")


class MemoryBreakers:
    """A `BreakerStore` of one process; `records` is what it holds, `changes` how often it was asked for a change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.records: dict[tuple[TenantId, str], BreakerRecord] = {}
        self.changes = 0

    async def load(self, tenant_id: TenantId, name: str) -> BreakerRecord:
        """The circuit as it is."""
        return self.records.get((tenant_id, name), BreakerRecord())

    async def change(self, tenant_id: TenantId, name: str, fn: Callable[[BreakerRecord, datetime], tuple[BreakerRecord, T]]) -> T:
        """Changes it at once: nothing else runs in between."""
        self.changes += 1
        record, result = fn(await self.load(tenant_id, name), self._clock.now())
        self.records[tenant_id, name] = record
        return result
