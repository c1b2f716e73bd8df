"""Stopping: nothing of the job is left, or the result says that this is not proven."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.executor_support import LocalBench, is_running, kill_quietly, living_members, local_bench, until

from bcce.execution.model import ExitReason, JobPhase

#: Children that a script may leave in its session, each ends up in the file $PIDS.
CHILDREN = {
    "one in the background": 'sleep 3600 & echo $! >>"$PIDS"',
    "one that ignores SIGTERM": """bash -c 'trap "" TERM; echo $$ >>"$PIDS"; while :; do sleep 1; done' &""",
    "one that ignores every signal it can": """
        bash -c 'trap "" TERM INT HUP QUIT USR1 USR2 ALRM; echo $$ >>"$PIDS"; while :; do sleep 1; done' &""",
    "one that forked twice": '( ( sleep 3600 & echo $! >>"$PIDS" ) & )',
    "one in a process group of its own": 'set -m; sleep 3600 & echo $! >>"$PIDS"; set +m',
    "one that is suspended": 'sleep 3600 & echo $! >>"$PIDS"; kill -STOP $!',
    "one with all its descriptors closed": """bash -c 'echo $$ >>"$PIDS"; exec 0<&- 1>&- 2>&- 217<&-; sleep 3600; :' &""",
    "one with a strange name": """
        strange="$(dirname "$PIDS")/a) S 1 1"
        cp "$(type -P sleep)" "$strange"
        "$strange" 3600 & echo $! >>"$PIDS\"""",
}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[LocalBench]:
    """A local executor with an empty base folder."""
    async with local_bench(tmp_path) as opened:
        yield opened


def pids(bench: LocalBench) -> list[int]:
    """The processes that a script told about."""
    file = bench.folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


async def start(bench: LocalBench, text: str, *, count: int = 1, timeout_s: int | None = None) -> None:
    """Starts `text` and waits until it has told about `count` processes."""
    await bench.start("job", text, {"PIDS": str(bench.folder / "pids")}, timeout_s=timeout_s)
    await until(lambda: len(pids(bench)) >= count, "the processes are there")


@pytest.mark.parametrize("kind", sorted(CHILDREN))
async def test_stop_ends_every_process_of_the_session(bench: LocalBench, kind: str) -> None:
    await start(bench, f"{CHILDREN[kind]}\nsleep 3600")
    session = bench.supervisor("job")
    result = await bench.executor.stop("job", bench.target)
    assert (result.proven, living_members(session), [pid for pid in pids(bench) if is_running(pid)]) == (True, [], [])
    assert (await bench.executor.status("job", bench.target)).reason is ExitReason.STOPPED


async def test_stop_ends_what_a_finished_script_left_behind(bench: LocalBench) -> None:
    await start(bench, 'sleep 3600 & echo $! >>"$PIDS"')
    status = await bench.ended("job")
    assert (status.exit_code, is_running(pids(bench)[0])) == (0, True)
    assert (await bench.executor.stop("job", bench.target)).proven is True
    assert (is_running(pids(bench)[0]), await bench.executor.status("job", bench.target)) == (False, status)


async def test_a_script_gets_its_time_to_end_well(bench: LocalBench) -> None:
    await start(bench, "trap 'echo tidied up; exit 0' TERM; echo $$ >>\"$PIDS\"; while :; do sleep 0.05; done")
    assert (await bench.executor.stop("job", bench.target)).proven is True
    assert (await bench.text("job")).endswith("tidied up\n")


async def test_stop_without_the_supervisor_ends_its_session_all_the_same(bench: LocalBench) -> None:
    """The session's members are known by the lock that they hold."""
    await start(bench, 'sleep 3600 & echo $! >>"$PIDS"; wait')
    session = bench.supervisor("job")
    kill_quietly(session, 9)
    await until(lambda: not is_running(session), "the supervisor is gone")
    assert (await bench.executor.status("job", bench.target)).phase is JobPhase.UNKNOWN
    assert (await bench.executor.stop("job", bench.target)).proven is True
    assert (living_members(session), is_running(pids(bench)[0])) == ([], False)
    assert (await bench.executor.status("job", bench.target)).phase is JobPhase.UNKNOWN, "that nothing is left does not say how it ended"


async def test_a_child_in_a_session_of_its_own_is_reported_as_unproven(bench: LocalBench) -> None:
    await start(bench, "setsid bash -c 'echo $$ >>\"$PIDS\"; sleep 3600; :' & sleep 3600")
    session = bench.supervisor("job")
    escaped = pids(bench)[0]
    try:
        result = await bench.executor.stop("job", bench.target)
        assert (result.proven, result.detail) == (False, "a process that it started left the session and still runs")
        assert (living_members(session), is_running(escaped)) == ([], True)
    finally:
        for pid in living_members(escaped):
            kill_quietly(pid, 9)
    await until(lambda: not is_running(escaped), "the escaped process is gone")
    assert (await bench.executor.stop("job", bench.target)).proven is True


async def test_a_child_that_left_the_session_and_closed_everything_is_not_seen(bench: LocalBench) -> None:
    """The documented limit: such a process holds nothing of the job any more, as a service that a script restarts does not."""
    await start(bench, "setsid bash -c 'echo $$ >>\"$PIDS\"; exec 0<&- 1>&- 2>&- 217<&-; sleep 3600; :' & sleep 3600")
    escaped = pids(bench)[0]
    await asyncio.sleep(0.2)
    try:
        assert (await bench.executor.stop("job", bench.target)).proven is True
        assert is_running(escaped)
    finally:
        for pid in living_members(escaped):
            kill_quietly(pid, 9)


async def test_a_script_that_forks_while_it_is_stopped_is_ended_too(bench: LocalBench) -> None:
    await start(bench, "trap '' TERM; echo $$ >>\"$PIDS\"; for i in 1 2 3 4; do ( while :; do sleep 0.01 & wait; done ) & done; wait")
    session = bench.supervisor("job")
    result = await bench.executor.stop("job", bench.target)
    assert (result.proven, living_members(session)) == (True, [])


@pytest.mark.slow
async def test_stops_at_many_moments_after_the_start_leave_nothing_running(bench: LocalBench) -> None:
    for number in range(15):
        key = f"job-{number}"
        await bench.start(key, "sleep 3600 & sleep 3600")
        await asyncio.sleep(0.004 * number)
        session = bench.supervisor(key)
        result = await bench.executor.stop(key, bench.target)
        status = await bench.executor.status(key, bench.target)
        assert (result.proven, living_members(session)) == (True, [])
        assert (status.phase, status.reason) == (JobPhase.EXITED, ExitReason.STOPPED)


async def test_a_script_out_of_time_is_ended_with_its_whole_session(bench: LocalBench) -> None:
    begun = time.monotonic()
    await start(bench, f"{CHILDREN['one that ignores SIGTERM']}\necho so far\nsleep 3600", timeout_s=1)
    session = bench.supervisor("job")
    status = await bench.ended("job")
    assert (status.phase, status.exit_code, status.reason) == (JobPhase.EXITED, 124, ExitReason.TIMED_OUT)
    assert 1 <= time.monotonic() - begun < 30
    assert (living_members(session), is_running(pids(bench)[0]), await bench.text("job")) == ([], False, "so far\n")


async def test_a_script_that_calls_its_timeout_a_success_is_no_success(bench: LocalBench) -> None:
    await start(bench, "trap 'exit 0' TERM; echo $$ >>\"$PIDS\"; while :; do sleep 0.05; done", timeout_s=1)
    status = await bench.ended("job")
    assert (status.exit_code, status.reason) == (124, ExitReason.TIMED_OUT)


async def test_a_script_within_its_time_is_not_disturbed(bench: LocalBench) -> None:
    await bench.start("job", "sleep 0.2; exit 4", timeout_s=30)
    begun = time.monotonic()
    status = await bench.ended("job")
    assert (status.exit_code, status.reason, time.monotonic() - begun < 20) == (4, ExitReason.EXITED, True)


async def test_signals_to_the_supervisor_do_not_end_a_script_before_its_time(bench: LocalBench) -> None:
    await start(bench, 'echo $$ >>"$PIDS"; sleep 1.5; exit 6', timeout_s=20)
    for number in (1, 2, 15, 17, 18):
        kill_quietly(bench.supervisor("job"), number)
    status = await bench.ended("job")
    assert (status.exit_code, status.reason) == (6, ExitReason.EXITED)
