"""Whether this process can do its work, asked one named check at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bcce.kit.findings import Outcome

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """One check's result; what could not be read is never a pass."""

    name: str
    outcome: Outcome


class HealthChecks:
    """The readiness checks of a process.

    Args:
        timeout_s: seconds after which a check counts as timed out.
    """

    def __init__(self, timeout_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._checks: dict[str, Check] = {}
        self._running: dict[str, asyncio.Task[bool]] = {}

    def add(self, name: str, check: Check) -> None:
        """Adds a check; it returns True when all is well and may raise.

        Raises:
            ValueError: there is a check of that name; one of the two would never be asked.
        """
        if name in self._checks:
            raise ValueError(f"there is a health check {name!r} already")
        self._checks[name] = check

    async def run(self) -> list[CheckResult]:
        """Every check's result, by name; never raises, and takes no longer than the timeout, whatever the checks do."""
        names = sorted(self._checks)
        outcomes = await asyncio.gather(*(self._one(name) for name in names))
        return [CheckResult(name=name, outcome=outcome) for name, outcome in zip(names, outcomes, strict=True)]

    async def _one(self, name: str) -> Outcome:
        # A check that hangs is asked once, not once for each probe that comes in meanwhile.
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(self._ask(name), name=f"health-{name}")
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name, None))
        await asyncio.wait({task}, timeout=self._timeout_s)
        if task.done() and not task.cancelled():
            return Outcome.PASS if task.result() else Outcome.FAIL
        # The task is not waited for: a check that is stuck may not even let itself be cancelled.
        task.cancel()
        log.warning("health.check_timed_out", check=name, timeout_s=self._timeout_s)
        return Outcome.TIMED_OUT

    async def _ask(self, name: str) -> bool:
        try:
            return await self._checks[name]()
        except Exception as error:  # a check asks something that may be broken in any way; that is its purpose
            log.warning("health.check_failed", check=name, error=type(error).__name__, reason=str(error))
            return False
