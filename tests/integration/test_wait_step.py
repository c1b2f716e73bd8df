"""`wait` until a moment: past, future, over a restart, and when a signal comes first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.integration.workflow_support import ACTOR, finished, look, runtime_at, start, until

from bcce.workflows.model import RunState, StepState

TEXT = 'name: t\ninputs: {at: string}\nsteps:\n  - {id: w, type: wait, until: "{{ inputs.at }}"%s}\n'
OVER = {"event": None, "payload": {}, "timed_out": True}


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_moment_that_has_passed_ends_the_wait_at_once(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, TEXT % "", at="2020-02-29T23:59:59.5+14:00")
        run, _ = await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

    assert (run.state, records["w"].output, records["w"].waiting_for) == (RunState.COMPLETED, OVER, None)


async def test_the_wait_lasts_until_the_moment_also_over_a_restart(tmp_path: Path) -> None:
    at = moment(3)
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, TEXT % "", at=at)
        await until(runtime, run_id, lambda run, records: "w" in records and run.lease_owner is None)
        _, records = await look(runtime, run_id)
        assert records["w"].waiting_for == f"until {at}"
    async with runtime_at(tmp_path) as (runtime, _):
        run, _ = await finished(runtime, run_id)

    assert run.ended_at is not None
    assert timedelta() <= run.ended_at - datetime.fromisoformat(at) < timedelta(seconds=5)


async def test_a_signal_before_the_moment(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, TEXT % ", event: go", at=moment(3600))
        await until(runtime, run_id, lambda run, records: "w" in records and run.lease_owner is None)
        await runtime.workflows.signal(ACTOR, run_id, "go", {"by": "me"})
        runtime.ring(run_id)
        await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

    assert records["w"].output == {"event": "go", "payload": {"by": "me"}, "timed_out": False}


async def test_an_event_that_does_not_come_in_time(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, TEXT % ", event: go", at=moment(0.4))
        await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

    assert records["w"].output == OVER


async def test_an_expression_that_gives_no_moment_fails_the_step(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, TEXT % "", at="2026-03-01T07:30:00")
        await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

    assert records["w"].state is StepState.FAILED
    assert "time zone" in str(records["w"].error)
