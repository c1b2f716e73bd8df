"""A circuit breaker: what fails again and again is left alone for a while, then tried by one caller.

`admit`, `settle` and `abandon` decide and are pure. `Breaker` asks them and keeps the answer in a store that all workers share, so that an
open circuit stays open over a restart, and one worker's bad news is everybody's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Protocol, TypeVar

import structlog

from bcce.kit.errors import BcceError
from bcce.kit.ids import TenantId
from bcce.resilience.errors import CircuitOpen

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Circuit(StrEnum):
    """closed: calls pass. open: none passes. half-open: one call passes, and its end decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerPolicy:
    """When a circuit opens and for how long.

    It opens at the `failures`-th failure within `window_s` seconds, stays open for `open_s`, and then lets one call pass. That one has
    `probe_s` seconds: if nothing was heard of it by then (its worker died), another one may try.

    Raises:
        ValueError: a number is out of range.
    """

    failures: int = 5
    window_s: float = 60.0
    open_s: float = 30.0
    probe_s: float = 60.0

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError("a circuit opens at the first failure at the earliest")
        if not (self.window_s > 0 and self.open_s > 0 and self.probe_s > 0):
            raise ValueError("the times of a circuit are longer than nothing")


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerRecord:
    """What is remembered of one circuit.

    `generation` grows with every change of `state`: a call that began before a change does not count after it. `failed_at` are the
    failures that may still count, in UTC, oldest first, while it is closed. `until` is when an open circuit may be tried, or until when the
    call that tries it may take; None while it is closed.
    """

    state: Circuit = Circuit.CLOSED
    generation: int = 0
    failed_at: tuple[datetime, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Whether a call may pass, as a member of which generation; if not, after how many seconds it is worth asking again.

    `is_probe` says that the circuit was open and that the end of this call decides about it.
    """

    passes: bool
    generation: int
    is_probe: bool = False
    retry_after_s: float = 0.0


def admit(record: BreakerRecord, policy: BreakerPolicy, now: datetime) -> tuple[BreakerRecord, Admission]:
    """Whether a call may pass at `now`, and what is remembered from then on."""
    if record.state is Circuit.CLOSED:
        return record, Admission(passes=True, generation=record.generation)
    if record.until is not None and now < record.until:
        return record, Admission(passes=False, generation=record.generation, retry_after_s=(record.until - now).total_seconds())
    probed = _moved(record, Circuit.HALF_OPEN, until=now + timedelta(seconds=policy.probe_s))
    return probed, Admission(passes=True, generation=probed.generation, is_probe=True)


def settle(record: BreakerRecord, policy: BreakerPolicy, now: datetime, *, generation: int, worked: bool) -> BreakerRecord:
    """What is remembered after a call of `generation` has ended at `now`."""
    if generation != record.generation or record.state is Circuit.OPEN:
        return record
    opened = _moved(record, Circuit.OPEN, until=now + timedelta(seconds=policy.open_s))
    if record.state is Circuit.HALF_OPEN:
        return _moved(record, Circuit.CLOSED, until=None) if worked else opened
    if worked:
        return record
    begin = now - timedelta(seconds=policy.window_s)
    failed_at = (*(moment for moment in record.failed_at if moment > begin), now)
    return opened if len(failed_at) >= policy.failures else replace(record, failed_at=failed_at)


def abandon(record: BreakerRecord, now: datetime, *, generation: int) -> BreakerRecord:
    """What is remembered after a call of `generation` has ended without saying anything about the other side: another may try at once."""
    if generation != record.generation or record.state is not Circuit.HALF_OPEN:
        return record
    return _moved(record, Circuit.OPEN, until=now)


def _moved(record: BreakerRecord, state: Circuit, *, until: datetime | None) -> BreakerRecord:
    return BreakerRecord(state=state, generation=record.generation + 1, until=until)


class BreakerStore(Protocol):
    """Where circuits are remembered, for all workers and over restarts. A circuit that nobody has changed yet is closed."""

    async def load(self, tenant_id: TenantId, name: str) -> BreakerRecord:
        """The circuit as it is; reads only."""
        ...

    async def change(self, tenant_id: TenantId, name: str, fn: Callable[[BreakerRecord, datetime], tuple[BreakerRecord, T]]) -> T:
        """Stores the record that `fn(record, now)` returns and gives back the other thing that it returns.

        Changes of one circuit happen one after the other, each seeing the one before. `now` is the same clock for all workers. `fn` may be
        called more than once and must do nothing but decide.
        """
        ...


class Breaker:
    """Circuits under one policy, one for each tenant and name."""

    def __init__(self, store: BreakerStore, policy: BreakerPolicy) -> None:
        self._store = store
        self._policy = policy

    async def call(
        self, tenant_id: TenantId, name: str, fn: Callable[[], Awaitable[T]], *, is_failure: Callable[[BcceError], bool] | None = None
    ) -> T:
        """`fn()`, if the circuit lets it pass. A call that works on a closed circuit writes nothing.

        Args:
            name: what the circuit protects, at most 320 characters.
            is_failure: whether an error of `fn` speaks against the other side; None: every retryable one does. An error that does not
                speaks for it: it has answered.

        Raises:
            CircuitOpen: `fn` was not called.
            Exception: whatever `fn` raised.
        """
        generation, is_probe = await self._enter(tenant_id, name)
        try:
            result = await fn()
        except BcceError as error:
            failed = error.retryable if is_failure is None else is_failure(error)
            if failed or is_probe:
                await self._settle(tenant_id, name, generation, worked=not failed)
            raise
        except BaseException:
            if is_probe:
                await self._store.change(tenant_id, name, lambda record, now: (abandon(record, now, generation=generation), None))
            raise
        if is_probe:
            await self._settle(tenant_id, name, generation, worked=True)
        return result

    async def _enter(self, tenant_id: TenantId, name: str) -> tuple[int, bool]:
        """The generation of the call, and whether it is the one that tries a circuit that was open."""
        record = await self._store.load(tenant_id, name)
        if record.state is Circuit.CLOSED:
            return record.generation, False
        admission = await self._store.change(tenant_id, name, lambda record, now: admit(record, self._policy, now))
        if not admission.passes:
            wait_s = ceil(admission.retry_after_s)
            raise CircuitOpen(
                f"{name} failed too often and is left alone for another {wait_s} s",
                hint="look at the errors of the calls before; the circuit closes by itself once a call works again",
                details={"circuit": name, "retry_after_s": wait_s},
            )
        return admission.generation, admission.is_probe

    async def _settle(self, tenant_id: TenantId, name: str, generation: int, *, worked: bool) -> None:
        def decide(record: BreakerRecord, now: datetime) -> tuple[BreakerRecord, tuple[Circuit, Circuit]]:
            after = settle(record, self._policy, now, generation=generation, worked=worked)
            return after, (record.state, after.state)

        before, after = await self._store.change(tenant_id, name, decide)
        if before is not after:
            log.warning("circuit changed", circuit=name, tenant_id=tenant_id, before=before.value, after=after.value)
