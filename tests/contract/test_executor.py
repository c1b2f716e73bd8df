"""The executor door: one suite over every executor. Each test states a sentence of `bcce.execution.executor.Executor`.

An executor that is added registers a rig in RIGS.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
from tests.contract.executor_support import FOREIGN_SIGNER, SIGNER, LocalBench, altered, clearance_for, ended, local_bench, signed

from bcce.execution.errors import ClearanceRefused, InvalidDispatchKey
from bcce.execution.executor import OUTPUT_CHUNK_BYTES, Executor
from bcce.execution.executors.local import LocalExecutor
from bcce.execution.model import Clearance, ExitReason, JobPhase, OutputChunk, Script, StartOutcome, StartReceipt, Target
from bcce.execution.settings import ExecutionSettings
from bcce.kit.clock import Clock
from bcce.testing.clock import FrozenClock
from bcce.testing.executor import Ending, RecordingExecutor

STARTED = StartReceipt(outcome=StartOutcome.STARTED)
ALREADY_DECIDED = StartReceipt(outcome=StartOutcome.ALREADY_DECIDED)


class Rig(Protocol):
    """An executor in an environment where the suite can say what scripts do and count what they did."""

    executor: Executor
    target: Target
    clock: Clock

    def script(self, *, exit_code: int = 0, output: bytes = b"") -> Script:
        """A script that leaves one effect, writes `output` and ends with `exit_code`."""
        ...

    def endless_script(self) -> Script:
        """A script that leaves one effect and does not end by itself."""
        ...

    def effect_count(self) -> int:
        """How many effects were left."""
        ...

    def successor(self) -> Executor:
        """Another instance for the same target, as after a crash of the server."""
        ...


class LocalRig:
    """The local executor in a temporary folder."""

    def __init__(self, bench: LocalBench) -> None:
        self.executor: Executor = bench.executor
        self.target = bench.target
        self.clock = bench.clock
        self._bench = bench

    def script(self, *, exit_code: int = 0, output: bytes = b"") -> Script:
        """The output comes as a file, because it may be large and may hold anything."""
        source = self._bench.folder / "to-write"
        source.write_bytes(output)
        script = self._bench.effect_script(f'cat -- "$SOURCE"\nexit {exit_code}')
        return replace(script, parameters={**script.parameters, "SOURCE": str(source)})

    def endless_script(self) -> Script:
        """It sleeps for longer than any test."""
        return self._bench.effect_script("sleep 3600")

    def effect_count(self) -> int:
        """Lines in the effects file."""
        return self._bench.effect_count()

    def successor(self) -> Executor:
        """A new instance; it shares nothing with the first but the machine."""
        return LocalExecutor(clock=self.clock, verifier=SIGNER.verifier(), settings=ExecutionSettings())


class RecordingRig:
    """The fake that ships with BCCE."""

    def __init__(self) -> None:
        self.clock: Clock = FrozenClock()
        self._endings: dict[str, Ending] = {}
        self._recording = RecordingExecutor(
            clock=self.clock, verifier=SIGNER.verifier(), ending=lambda script: self._endings.get(script.text)
        )
        self.executor: Executor = self._recording
        self.target = Target(name="there", executor="recording", base_dir="/var/lib/jobs")

    def script(self, *, exit_code: int = 0, output: bytes = b"") -> Script:
        """The text only names the ending."""
        text = f"exit {exit_code} # {len(self._endings)}"
        self._endings[text] = Ending(exit_code=exit_code, output=output)
        return Script(text=text)

    def endless_script(self) -> Script:
        """A text without an ending."""
        return Script(text="sleep 3600")

    def effect_count(self) -> int:
        """Recorded starts."""
        return len(self._recording.starts)

    def successor(self) -> Executor:
        """A new instance with the same memory."""
        return RecordingExecutor(clock=self.clock, verifier=SIGNER.verifier(), memory=self._recording.memory)


@asynccontextmanager
async def local_rig(folder: Path) -> AsyncIterator[Rig]:
    """A rig on this machine."""
    async with local_bench(folder) as bench:
        yield LocalRig(bench)


@asynccontextmanager
async def recording_rig(folder: Path) -> AsyncIterator[Rig]:
    """A rig without a machine."""
    yield RecordingRig()


RIGS: dict[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {"local": local_rig, "recording": recording_rig}


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """Each executor in turn."""
    async with RIGS[request.param](tmp_path) as rig:
        yield rig


async def start(rig: Rig, key: str, script: Script) -> StartReceipt:
    """Starts `script` with a fresh clearance."""
    return await rig.executor.start(key, signed(clearance_for(rig.clock, rig.target, key, script)), script)


async def test_a_ready_target_has_no_problems_however_often_it_is_probed(rig: Rig) -> None:
    probes = [await rig.executor.probe(rig.target) for _ in range(2)]
    assert [(probe.is_ready, probe.problems) for probe in probes] == [(True, ()), (True, ())]


async def test_a_script_that_ends_well_is_found_with_its_exit_code_and_output(rig: Rig) -> None:
    assert await start(rig, "job-1", rig.script(output=b"repaired\n")) == STARTED
    status = await ended(rig.executor, "job-1", rig.target)
    assert (status.phase, status.exit_code, status.reason) == (JobPhase.EXITED, 0, ExitReason.EXITED)
    assert await rig.executor.output("job-1", rig.target, 0) == OutputChunk(data=b"repaired\n", next_offset=9, complete=True)


@pytest.mark.parametrize("code", [1, 42, 255])
async def test_a_failing_script_is_found_with_its_own_exit_code(rig: Rig, code: int) -> None:
    await start(rig, "job-1", rig.script(exit_code=code))
    status = await ended(rig.executor, "job-1", rig.target)
    assert (status.phase, status.exit_code, status.reason) == (JobPhase.EXITED, code, ExitReason.EXITED)


async def test_a_second_start_under_the_same_key_starts_nothing(rig: Rig) -> None:
    script = rig.script()
    assert [await start(rig, "job-1", script), await start(rig, "job-1", script)] == [STARTED, ALREADY_DECIDED]
    await ended(rig.executor, "job-1", rig.target)
    assert rig.effect_count() == 1


async def test_concurrent_starts_under_one_key_start_one_script(rig: Rig) -> None:
    script = rig.script()
    receipts = await asyncio.gather(*(start(rig, "job-1", script) for _ in range(20)))
    await ended(rig.executor, "job-1", rig.target)
    assert (receipts.count(STARTED), receipts.count(ALREADY_DECIDED), rig.effect_count()) == (1, 19, 1)


async def test_different_keys_are_different_jobs(rig: Rig) -> None:
    await start(rig, "job-1", rig.script(exit_code=1))
    await start(rig, "job-2", rig.script(exit_code=2))
    codes = [(await ended(rig.executor, key, rig.target)).exit_code for key in ("job-1", "job-2")]
    assert (codes, rig.effect_count()) == ([1, 2], 2)


async def test_status_of_an_unused_key_fences_it_for_ever(rig: Rig) -> None:
    assert (await rig.executor.status("job-1", rig.target)).phase is JobPhase.NEVER_STARTED
    assert await start(rig, "job-1", rig.script()) == ALREADY_DECIDED
    assert (await rig.executor.status("job-1", rig.target)).phase is JobPhase.NEVER_STARTED
    assert rig.effect_count() == 0


async def test_status_right_after_start_only_observes(rig: Rig) -> None:
    await start(rig, "job-1", rig.endless_script())
    phases = [(await rig.executor.status("job-1", rig.target)).phase for _ in range(3)]
    assert phases == [JobPhase.RUNNING] * 3


async def test_starts_and_fences_that_race_agree_on_one_decision(rig: Rig) -> None:
    """Whoever loses must see what the winner decided: an effect if and only if nobody was told `never started`."""
    script = rig.script()
    for number in range(10):
        key = f"job-{number}"
        before = rig.effect_count()
        receipt, status = await asyncio.gather(start(rig, key, script), rig.executor.status(key, rig.target))
        final = await ended(rig.executor, key, rig.target)
        is_started = receipt == STARTED
        assert final.phase is (JobPhase.EXITED if is_started else JobPhase.NEVER_STARTED)
        assert (status.phase is JobPhase.NEVER_STARTED) is not is_started
        assert rig.effect_count() - before == int(is_started)


async def test_another_instance_finds_running_and_finished_jobs(rig: Rig) -> None:
    await start(rig, "running", rig.endless_script())
    await start(rig, "finished", rig.script(exit_code=7, output=b"seven"))
    await ended(rig.executor, "finished", rig.target)
    other = rig.successor()
    assert (await other.status("running", rig.target)).phase is JobPhase.RUNNING
    assert (await other.status("finished", rig.target)).exit_code == 7
    assert (await other.output("finished", rig.target, 0)).data == b"seven"


async def test_output_goes_on_where_the_last_call_ended(rig: Rig) -> None:
    await start(rig, "job-1", rig.script(output=b"0123456789"))
    await ended(rig.executor, "job-1", rig.target)
    assert await rig.executor.output("job-1", rig.target, 4) == OutputChunk(data=b"456789", next_offset=10, complete=True)
    assert await rig.executor.output("job-1", rig.target, 10) == OutputChunk(data=b"", next_offset=10, complete=True)


async def test_output_of_one_call_is_limited(rig: Rig) -> None:
    written = bytes(range(256)) * (OUTPUT_CHUNK_BYTES // 256)
    await start(rig, "job-1", rig.script(output=written))
    await ended(rig.executor, "job-1", rig.target)
    chunk = await rig.executor.output("job-1", rig.target, 0)
    assert (chunk.data == written, chunk.next_offset, chunk.complete) == (True, OUTPUT_CHUNK_BYTES, True)


async def test_a_running_job_has_no_complete_output(rig: Rig) -> None:
    await start(rig, "job-1", rig.endless_script())
    assert (await rig.executor.output("job-1", rig.target, 0)).complete is False


async def test_a_key_without_a_job_has_no_output_and_is_not_fenced_by_asking(rig: Rig) -> None:
    assert await rig.executor.output("job-1", rig.target, 0) == OutputChunk(data=b"", next_offset=0, complete=False)
    assert await start(rig, "job-1", rig.script()) == STARTED


async def test_a_stopped_job_is_over_and_never_a_success(rig: Rig) -> None:
    await start(rig, "job-1", rig.endless_script())
    assert (await rig.executor.stop("job-1", rig.target)).proven is True
    status = await rig.executor.status("job-1", rig.target)
    assert (status.phase, status.exit_code, status.reason) == (JobPhase.EXITED, 143, ExitReason.STOPPED)
    assert (await rig.executor.stop("job-1", rig.target)).proven is True


async def test_stopping_an_unused_key_keeps_it_from_ever_starting(rig: Rig) -> None:
    assert (await rig.executor.stop("job-1", rig.target)).proven is True
    assert await start(rig, "job-1", rig.script()) == ALREADY_DECIDED
    assert (await rig.executor.status("job-1", rig.target)).phase is JobPhase.NEVER_STARTED
    assert rig.effect_count() == 0


async def test_stopping_a_finished_job_leaves_its_outcome(rig: Rig) -> None:
    await start(rig, "job-1", rig.script(exit_code=3))
    before = await ended(rig.executor, "job-1", rig.target)
    assert (await rig.executor.stop("job-1", rig.target)).proven is True
    assert await rig.executor.status("job-1", rig.target) == before


OTHER_SCRIPT = Script(text="echo another")
OTHER_PARAMETERS = Script(text="echo this", parameters={"SERVICE": "another"})
OTHER_TARGET = Target(name="elsewhere", executor="elsewhere", base_dir="/elsewhere")
#: What is wrong with a clearance, and how it got so.
WRONG_CLEARANCES: list[tuple[str, Callable[[Clearance], Clearance]]] = [
    ("another key", lambda given: altered(given, dispatch_key="job-2")),
    ("another script", lambda given: altered(given, script_digest=OTHER_SCRIPT.digest)),
    ("other parameters", lambda given: altered(given, parameters_digest=OTHER_PARAMETERS.parameters_digest)),
    ("a target that was exchanged", lambda given: altered(given, target=replace(given.target, base_dir="/exchanged"))),
    ("a target digest that was exchanged", lambda given: altered(given, target_digest=OTHER_TARGET.digest)),
    ("a target of another executor", lambda given: altered(given, target=OTHER_TARGET, target_digest=OTHER_TARGET.digest)),
    ("expired", lambda given: _shifted(given, -60)),
    ("not valid yet", lambda given: _shifted(given, 30)),
    ("valid for too long", lambda given: altered(given, expires_at=given.issued_at + timedelta(seconds=61))),
    ("never valid", lambda given: altered(given, expires_at=given.issued_at)),
    ("no time at all", lambda given: altered(given, timeout_s=0)),
    ("endless time", lambda given: altered(given, timeout_s=10**9)),
]


def _shifted(clearance: Clearance, seconds: float) -> Clearance:
    delta = timedelta(seconds=seconds)
    return altered(clearance, issued_at=clearance.issued_at + delta, expires_at=clearance.expires_at + delta)


@pytest.mark.parametrize(("name", "spoil"), WRONG_CLEARANCES, ids=[name for name, _ in WRONG_CLEARANCES])
async def test_a_signed_clearance_for_anything_else_is_refused(rig: Rig, name: str, spoil: Callable[[Clearance], Clearance]) -> None:
    script = rig.script()
    clearance = spoil(clearance_for(rig.clock, rig.target, "job-1", script))
    with pytest.raises(ClearanceRefused) as caught:
        await rig.executor.start("job-1", signed(clearance), script)
    assert (caught.value.code, rig.effect_count()) == ("clearance-refused", 0)


async def test_a_clearance_under_a_key_that_is_not_trusted_is_refused(rig: Rig) -> None:
    script = rig.script()
    given = signed(clearance_for(rig.clock, rig.target, "job-1", script), FOREIGN_SIGNER)
    for candidate in (given, replace(given, key_id=SIGNER.key_id)):
        with pytest.raises(ClearanceRefused):
            await rig.executor.start("job-1", candidate, script)
    assert rig.effect_count() == 0


async def test_a_clearance_that_was_changed_after_signing_is_refused(rig: Rig) -> None:
    script = rig.script()
    clearance = clearance_for(rig.clock, rig.target, "job-1", script)
    given = signed(clearance)
    with pytest.raises(ClearanceRefused):
        await rig.executor.start("job-1", replace(given, payload=altered(clearance, epoch=4).payload()), script)
    assert rig.effect_count() == 0


async def test_another_script_or_other_parameters_than_were_cleared_are_refused(rig: Rig) -> None:
    script = rig.script()
    given = signed(clearance_for(rig.clock, rig.target, "job-1", script))
    for other in (replace(script, text=script.text + " "), replace(script, parameters={**script.parameters, "MORE": "1"})):
        with pytest.raises(ClearanceRefused):
            await rig.executor.start("job-1", given, other)
    assert rig.effect_count() == 0


async def test_a_refused_start_decides_nothing(rig: Rig) -> None:
    script = rig.script()
    with pytest.raises(ClearanceRefused):
        await rig.executor.start("job-1", signed(_shifted(clearance_for(rig.clock, rig.target, "job-1", script), -60)), script)
    assert await start(rig, "job-1", script) == STARTED


@pytest.mark.parametrize("key", ["", ".", "..", "../x", "a/b", ".hidden", "-option", "a b", "a\n", "a" * 65, "é"])
async def test_a_key_that_cannot_name_a_job_is_refused_by_every_method(rig: Rig, key: str) -> None:
    script = rig.script()
    with pytest.raises(InvalidDispatchKey):
        await rig.executor.start(key, signed(clearance_for(rig.clock, rig.target, key, script)), script)
    with pytest.raises(InvalidDispatchKey):
        await rig.executor.status(key, rig.target)
    with pytest.raises(InvalidDispatchKey):
        await rig.executor.output(key, rig.target, 0)
    with pytest.raises(InvalidDispatchKey):
        await rig.executor.stop(key, rig.target)
