"""What a step type is given when a test calls it without an engine."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from bcce.kit.ids import DEFAULT_TENANT, RunId, TenantId
from bcce.security.actor import system_actor
from bcce.testing.clock import DEFAULT_START
from bcce.workflows.step_type import StepContext

T = TypeVar("T")
Said = tuple[str, str, dict[str, object]]


def step_context(
    key: str = "step", *, run_id: str = "run_test", tenant_id: TenantId = DEFAULT_TENANT, attempt: int = 1, said: list[Said] | None = None
) -> StepContext:
    """The context of one call of the step `key`, as owner of its run for an hour. It has no database: `write` fails.

    What it says is added to `said`: level, message, facts.
    """

    async def write(fn: Callable[[Connection], T]) -> T:
        raise AssertionError("this test has no database")

    async def lease_remaining_s() -> float:
        return 3600.0

    return StepContext(
        run_id=RunId(run_id),
        tenant_id=tenant_id,
        key=key,
        attempt=attempt,
        actor=system_actor("tests", tenant_id),
        correlation_id="cor_test",
        subject=None,
        started_at=DEFAULT_START,
        is_waiting=False,
        epoch=1,
        write=write,
        lease_remaining_s=lease_remaining_s,
        say=lambda level, message, facts: (said if said is not None else []).append((level, message, dict(facts or {}))),
    )
