"""SIGKILL at many moments: never twice, never a false success, and every key ends in an answer."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.executor_support import LocalBench, clearance_for, kill_quietly, living_members, local_bench, spawn_wrapper, until

from bcce.execution.marker import protocol
from bcce.execution.model import JobPhase, Script, StartOutcome

#: Each run leaves `began` and, if it was not disturbed, `done`; in between it takes as long as the moments of the kills are spread.
SCRIPT = 'printf "began\\n" >>"$TRACE"\nsleep 0.03\nprintf "done\\n" >>"$TRACE"\n'

CALLER = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from tests.contract.executor_support import SIGNER, clearance_for, signed
from bcce.execution.executors.local import LocalExecutor
from bcce.execution.model import Script, Target
from bcce.execution.settings import ExecutionSettings
from bcce.kit.clock import SystemClock

async def main(base, key, text, trace):
    clock = SystemClock()
    executor = LocalExecutor(clock=clock, verifier=SIGNER.verifier(), settings=ExecutionSettings())
    target = Target(name="here", executor="local", base_dir=base)
    script = Script(text=text, parameters={"TRACE": trace})
    clearance = signed(clearance_for(clock, target, key, script))
    sys.stdout.write("go\\n")
    sys.stdout.flush()
    await executor.start(key, clearance, script)
    sys.stdout.write("started\\n")
    sys.stdout.flush()
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[LocalBench]:
    """A local executor with an empty base folder."""
    async with local_bench(tmp_path) as opened:
        yield opened


def traced(bench: LocalBench, key: str) -> Script:
    """The script, with a trace of its own."""
    return Script(text=SCRIPT, parameters={"TRACE": str(bench.folder / f"{key}.trace")})


def trace(bench: LocalBench, key: str) -> list[str]:
    """What the script under `key` left."""
    file = bench.folder / f"{key}.trace"
    return file.read_text().splitlines() if file.exists() else []


async def begin(bench: LocalBench, key: str) -> asyncio.subprocess.Process:
    """The wrapper, fed with everything it needs."""
    script = traced(bench, key)
    call = protocol.start_call(clearance_for(bench.clock, bench.target, key, script), script, output_limit_kib=64, grace_s=1)
    process = await spawn_wrapper(call)
    assert process.stdin is not None
    process.stdin.write(call.stdin)
    process.stdin.close()
    return process


def supervisors(key: str) -> list[int]:
    """The processes that supervise `key`, or are about to."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\x00")
            except OSError:
                continue
            if b"supervise" in words and key.encode() in words:
                found.append(int(entry.name))
    return found


async def check(bench: LocalBench, key: str) -> JobPhase:
    """What became of `key` after a kill, when everything about it agrees."""
    status = await bench.ended(key)
    seen = trace(bench, key)
    assert seen.count("began") <= 1, f"{key} ran twice"
    assert status.phase in (JobPhase.EXITED, JobPhase.NEVER_STARTED, JobPhase.UNKNOWN)
    if status.phase is JobPhase.EXITED and status.exit_code == 0:
        assert seen == ["began", "done"], f"{key} is a false success"
    if status.phase is JobPhase.NEVER_STARTED:
        assert seen == [], f"{key} ran although it is said never to have"
    return status.phase


async def check_later(bench: LocalBench, phases: dict[str, JobPhase]) -> None:
    """Nothing changes any more: no late start, no other answer, and a second start runs nothing."""
    await asyncio.sleep(0.5)
    for key, phase in phases.items():
        before = trace(bench, key)
        receipt = await bench.start_script(key, traced(bench, key))
        assert receipt.outcome is StartOutcome.ALREADY_DECIDED
        assert await check(bench, key) is phase
        assert trace(bench, key) == before


@pytest.mark.slow
async def test_kills_of_the_wrapper_at_many_moments(bench: LocalBench) -> None:
    phases = {}
    for number in range(40):
        key = f"wrapper-{number}"
        process = await begin(bench, key)
        await asyncio.sleep(0.002 * number)
        # Its process group: the wrapper and the programs it runs, not the supervisor, which has left it.
        kill_quietly(-process.pid, signal.SIGKILL)
        await process.communicate()
        phases[key] = await check(bench, key)
    await check_later(bench, phases)
    assert JobPhase.UNKNOWN not in phases.values(), "the supervisor does not depend on the wrapper"
    assert set(phases.values()) == {JobPhase.EXITED, JobPhase.NEVER_STARTED}, "the moments were badly chosen"


@pytest.mark.slow
async def test_kills_of_the_supervisor_at_many_moments(bench: LocalBench) -> None:
    phases = {}
    for number in range(40):
        key = f"supervisor-{number}"
        process = await begin(bench, key)
        deadline = asyncio.get_running_loop().time() + 30
        while not (found := supervisors(key)) and process.returncode is None:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0)
        await asyncio.sleep(0.0025 * number)
        for pid in found:
            kill_quietly(pid, signal.SIGKILL)
        await process.communicate()
        phases[key] = await check(bench, key)
    await check_later(bench, phases)
    assert set(phases.values()) == {JobPhase.EXITED, JobPhase.NEVER_STARTED, JobPhase.UNKNOWN}, "the moments were badly chosen"


@pytest.mark.slow
async def test_kills_of_the_whole_session_at_many_moments(bench: LocalBench) -> None:
    """As the kernel does when memory runs out."""
    phases = {}
    for number in range(20):
        key = f"session-{number}"
        await bench.start_script(key, traced(bench, key))
        session = bench.supervisor(key)
        await asyncio.sleep(0.004 * number)
        for pid in living_members(session):
            kill_quietly(pid, signal.SIGKILL)
        phases[key] = await check(bench, key)
    await check_later(bench, phases)
    assert set(phases.values()) == {JobPhase.EXITED, JobPhase.UNKNOWN}, "the moments were badly chosen"


@pytest.mark.slow
async def test_kills_of_the_server_at_many_moments(bench: LocalBench) -> None:
    """A process that holds the executor, as the BCCE server does."""
    phases = {}
    for number in range(16):
        key = f"server-{number}"
        arguments = [str(bench.base), key, SCRIPT, str(bench.folder / f"{key}.trace")]
        server = await asyncio.create_subprocess_exec(sys.executable, "-c", CALLER, *arguments, stdout=asyncio.subprocess.PIPE)
        assert server.stdout is not None
        assert await server.stdout.readline() == b"go\n"
        await asyncio.sleep(0.006 * number)
        server.kill()
        await server.wait()
        phases[key] = await check(bench, key)
    await check_later(bench, phases)
    assert JobPhase.UNKNOWN not in phases.values(), "a job does not depend on the server"
    assert set(phases.values()) == {JobPhase.EXITED, JobPhase.NEVER_STARTED}, "the moments were badly chosen"


@pytest.mark.slow
async def test_a_running_script_survives_the_kill_of_the_server_and_of_its_process_group(bench: LocalBench) -> None:
    done = bench.folder / "job.trace"
    text = 'for i in 1 2 3 4 5 6 7 8; do echo "line $i"; sleep 0.1; done\necho done >>"$TRACE"\nexit 5\n'
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALLER, str(bench.base), "job", text, str(done), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    assert [await server.stdout.readline() for _ in range(2)] == [b"go\n", b"started\n"]
    kill_quietly(-server.pid, signal.SIGKILL)
    await server.wait()
    assert (await bench.executor.status("job", bench.target)).phase is JobPhase.RUNNING
    status = await bench.ended("job")
    assert (status.phase, status.exit_code, done.read_text()) == (JobPhase.EXITED, 5, "done\n")
    assert await bench.text("job") == "".join(f"line {number}\n" for number in range(1, 9))


async def test_a_polite_signal_to_the_supervisor_loses_nothing(bench: LocalBench) -> None:
    """A machine that shuts down tells every process to end; the supervisor stays to record how its script did."""
    ready = bench.folder / "ready"
    await bench.start("job", 'touch "$READY"; exec sleep 3600', {"READY": str(ready)})
    await until(ready.exists, "the script runs")
    session = bench.supervisor("job")
    kill_quietly(session, signal.SIGTERM)
    assert (await bench.executor.status("job", bench.target)).phase is JobPhase.RUNNING
    for pid in living_members(session):
        kill_quietly(pid, signal.SIGTERM)
    status = await bench.ended("job")
    assert (status.phase, status.exit_code) == (JobPhase.EXITED, 143)
