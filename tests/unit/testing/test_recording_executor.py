"""The levers of the recording executor; that it keeps the door's promises is for the contract suite."""

import pytest
from tests.contract.executor_support import SIGNER, clearance_for, signed

from bcce.execution.errors import ExecutorUnavailable
from bcce.execution.model import ExitReason, JobPhase, Probe, Script, StartOutcome, Target
from bcce.testing.clock import FrozenClock
from bcce.testing.executor import RecordedJobs, RecordingExecutor

TARGET = Target(name="there", executor="recording", base_dir="/jobs")
SCRIPT = Script(text="true", parameters={"A": "1"})


def recording(clock: FrozenClock, memory: RecordedJobs | None = None) -> RecordingExecutor:
    """An executor whose scripts run until they are ended."""
    return RecordingExecutor(clock=clock, verifier=SIGNER.verifier(), ending=lambda _: None, memory=memory)


async def start(executor: RecordingExecutor, clock: FrozenClock, key: str = "job") -> StartOutcome:
    """Starts the script with a fresh clearance."""
    return (await executor.start(key, signed(clearance_for(clock, TARGET, key, SCRIPT)), SCRIPT)).outcome


async def test_what_was_started_is_recorded_with_its_clearance(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    await start(executor, frozen_clock)
    assert [(item.key, item.script, item.clearance.dispatch_key) for item in executor.starts] == [("job", SCRIPT, "job")]


async def test_a_script_ends_when_the_test_says_so(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    await start(executor, frozen_clock)
    assert (await executor.status("job", TARGET)).phase is JobPhase.RUNNING
    executor.finish("job", exit_code=3, output=b"three")
    status = await executor.status("job", TARGET)
    assert (status.phase, status.exit_code, status.reason) == (JobPhase.EXITED, 3, ExitReason.EXITED)
    assert (await executor.output("job", TARGET, 1)).data == b"hree"


async def test_an_outcome_can_be_lost(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    await start(executor, frozen_clock)
    executor.lose("job")
    assert (await executor.status("job", TARGET)).phase is JobPhase.UNKNOWN


async def test_only_a_running_script_can_be_ended(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    for key in ("nobody", "job"):
        with pytest.raises(KeyError):
            executor.finish(key)
        await start(executor, frozen_clock)
        if key == "nobody":
            executor.lose("job")
    with pytest.raises(KeyError):
        executor.lose("job")


async def test_a_start_can_fail_before_anything_is_decided(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    executor.fail_next_start(ExecutorUnavailable())
    with pytest.raises(ExecutorUnavailable):
        await start(executor, frozen_clock)
    assert (executor.starts, await start(executor, frozen_clock)) == ([], StartOutcome.STARTED)


async def test_a_start_can_lose_only_its_answer(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    executor.fail_next_start(ExecutorUnavailable(), after_deciding=True)
    with pytest.raises(ExecutorUnavailable):
        await start(executor, frozen_clock)
    assert (len(executor.starts), await start(executor, frozen_clock)) == (1, StartOutcome.ALREADY_DECIDED)


async def test_a_successor_with_the_same_memory_knows_the_jobs(frozen_clock: FrozenClock) -> None:
    first = recording(frozen_clock)
    await start(first, frozen_clock)
    second = recording(frozen_clock, first.memory)
    assert (await start(second, frozen_clock), len(second.starts)) == (StartOutcome.ALREADY_DECIDED, 1)
    assert await start(recording(frozen_clock), frozen_clock) is StartOutcome.STARTED


async def test_readiness_can_be_set(frozen_clock: FrozenClock) -> None:
    executor = recording(frozen_clock)
    executor.readiness = Probe(problems=("it is on fire",))
    assert (await executor.probe(TARGET)).to_dict()["problems"] == ["it is on fire"]
