"""What the local executor concludes from the traces of a job, whatever state they are in."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.contract.executor_support import (
    SIGNER,
    LocalBench,
    ask_wrapper,
    boot_id,
    clearance_for,
    decision,
    is_running,
    kill_quietly,
    local_bench,
    signed,
    stat_fields,
    until,
)

from bcce.execution.errors import ExecutorUnavailable, NotStarted, TargetNotReady
from bcce.execution.executors.local import LocalExecutor
from bcce.execution.marker import protocol
from bcce.execution.model import ExitReason, JobPhase, Script, StartOutcome
from bcce.execution.settings import ExecutionSettings

OTHER_BOOT = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[LocalBench]:
    """A local executor with an empty base folder."""
    async with local_bench(tmp_path) as opened:
        yield opened


def redecide(bench: LocalBench, key: str, *, pid: int | None = None, start: str | None = None, boot: str | None = None) -> None:
    """Exchanges parts of a decision, as a restart of the machine or a reuse of the process number would."""
    link = bench.base / key / "decision"
    _, old_pid, old_start, old_boot = decision(link.parent).split(":")
    link.unlink()
    link.symlink_to(f"started:{pid or old_pid}:{start or old_start}:{boot or old_boot}")


async def test_the_decision_names_the_supervisor_in_the_documented_form(bench: LocalBench) -> None:
    await bench.start("job-1", "sleep 3600")
    kind, pid, start, boot = decision(bench.base / "job-1").split(":")
    stat = stat_fields(int(pid))
    assert (kind, start, boot) == ("started", stat[19], boot_id())
    assert stat[3] == pid, "the supervisor leads a session of its own"


async def test_everything_of_a_job_is_private_to_the_account(bench: LocalBench) -> None:
    await bench.start("job-1", "umask")
    await bench.ended("job-1")
    assert await bench.text("job-1") == "0077\n"
    modes = {
        path.relative_to(bench.base).as_posix(): path.lstat().st_mode & 0o077 for path in bench.base.rglob("*") if not path.is_symlink()
    }
    assert {name: mode for name, mode in modes.items() if mode} == {}
    assert bench.base.stat().st_mode & 0o777 == 0o700


async def test_thirty_wrappers_at_once_start_one_script(bench: LocalBench) -> None:
    """Without the executor's limit on processes, so that they truly run at the same time."""
    for round_number in range(3):
        key, before = f"job-{round_number}", bench.effect_count()
        script = bench.effect_script()
        call = protocol.start_call(clearance_for(bench.clock, bench.target, key, script), script, output_limit_kib=64, grace_s=1)
        answers = await asyncio.gather(*(ask_wrapper(call) for _ in range(30)))
        assert sorted(answer.word for answer in answers) == ["decided"] * 29 + ["started"]
        assert (await bench.ended(key)).exit_code == 0
        assert bench.effect_count() - before == 1
        assert list((bench.base / key).glob("attempt.*")) == []


async def test_a_job_from_before_a_restart_that_left_no_exit_code_is_unknown(bench: LocalBench) -> None:
    await bench.start("job-1", "sleep 3600")
    redecide(bench, "job-1", boot=OTHER_BOOT)
    status = await bench.executor.status("job-1", bench.target)
    assert (status.phase, status.exit_code) == (JobPhase.UNKNOWN, None)
    assert (await bench.executor.stop("job-1", bench.target)).proven is True, "a restart ends every process"


async def test_a_job_from_before_a_restart_that_left_an_exit_code_is_known(bench: LocalBench) -> None:
    await bench.start("job-1", "exit 9")
    await bench.ended("job-1")
    redecide(bench, "job-1", boot=OTHER_BOOT)
    status = await bench.executor.status("job-1", bench.target)
    assert (status.phase, status.exit_code) == (JobPhase.EXITED, 9)


async def test_another_process_with_the_supervisors_number_is_not_the_supervisor(bench: LocalBench) -> None:
    """The number is alive, its start time is another: the job's own process is long gone."""
    await bench.start("job-1", "sleep 3600")
    redecide(bench, "job-1", start="1")
    assert (await bench.executor.status("job-1", bench.target)).phase is JobPhase.UNKNOWN


async def test_stop_leaves_another_process_with_the_supervisors_number_alone(bench: LocalBench) -> None:
    innocent = await asyncio.create_subprocess_exec("/bin/sleep", "3600", start_new_session=True)
    try:
        await bench.start("job-1", "true")
        await bench.ended("job-1")
        (bench.base / "job-1" / "exit").unlink()
        redecide(bench, "job-1", pid=innocent.pid, start="1")
        assert (await bench.executor.stop("job-1", bench.target)).proven is True
        assert is_running(innocent.pid)
    finally:
        innocent.kill()
        await innocent.wait()


async def test_stop_leaves_a_session_alone_that_it_cannot_recognize(bench: LocalBench, tmp_path: Path) -> None:
    """Its leader is gone and no member holds the job's lock, so it may belong to anybody: nothing is killed, nothing is claimed."""
    file = tmp_path / "orphan"
    leader = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"sleep 3600 & echo $! >{file}", start_new_session=True)
    await leader.wait()
    orphan = int(file.read_text())
    try:
        await bench.start("job-1", "true")
        await bench.ended("job-1")
        (bench.base / "job-1" / "exit").unlink()
        redecide(bench, "job-1", pid=leader.pid, start="1")
        result = await bench.executor.stop("job-1", bench.target)
        assert (result.proven, str(orphan) in result.detail, is_running(orphan)) == (False, True, True)
    finally:
        kill_quietly(orphan, 9)


@pytest.mark.parametrize("broken", ["started", "started:1", "started:x:1:y", "else", "started:0001:2:" + "g" * 36])
async def test_a_damaged_decision_is_unknown_and_keeps_anything_from_starting(bench: LocalBench, broken: str) -> None:
    (bench.base / "job-1").mkdir(mode=0o700)
    (bench.base / "job-1" / "decision").symlink_to(broken)
    receipt = await bench.start_script("job-1", bench.effect_script())
    assert receipt.outcome is StartOutcome.ALREADY_DECIDED
    assert (await bench.executor.status("job-1", bench.target)).phase is JobPhase.UNKNOWN
    assert (await bench.executor.stop("job-1", bench.target)).proven is False
    assert bench.effect_count() == 0


@pytest.mark.parametrize("broken", ["", "0", "unfinished", "0 exited", "0 great 0", "-1 exited 0", "exited 0 0"])
async def test_a_damaged_exit_record_is_never_a_success(bench: LocalBench, broken: str) -> None:
    await bench.start("job-1", "exit 0")
    await bench.ended("job-1")
    (bench.base / "job-1" / "exit").write_text(broken)
    # The supervisor may need a moment to leave.
    await until(lambda: not is_running(bench.supervisor("job-1")), "the supervisor is gone")
    assert (await bench.executor.status("job-1", bench.target)).phase is JobPhase.UNKNOWN


async def test_a_decision_that_could_not_be_made_durable_never_started(bench: LocalBench) -> None:
    """The supervisor says so itself, before it has started anything."""
    await bench.start("job-1", "true")
    await bench.ended("job-1")
    (bench.base / "job-1" / "exit").write_text("126 not-run 0\n")
    assert (await bench.executor.status("job-1", bench.target)).phase is JobPhase.NEVER_STARTED


async def test_a_base_folder_younger_than_the_key_proves_nothing(bench: LocalBench) -> None:
    """It may be a new one in the place of one that knew the key, so not even its silence counts."""
    before = bench.clock.now() - timedelta(hours=1)
    for _ in range(2):
        assert (await bench.executor.status("job-1", bench.target, since=before)).phase is JobPhase.UNKNOWN
    assert (await bench.executor.status("job-1", bench.target)).phase is JobPhase.UNKNOWN, "the first answer stands"
    assert (await bench.executor.status("job-2", bench.target, since=bench.clock.now())).phase is JobPhase.NEVER_STARTED


async def test_a_base_folder_that_vanished_makes_its_jobs_unknown(bench: LocalBench) -> None:
    await bench.start("job-1", "true")
    await bench.ended("job-1")
    aside = bench.base.rename(bench.folder / "aside")
    try:
        assert (await bench.executor.status("job-1", bench.target)).phase is JobPhase.UNKNOWN
        assert not bench.base.exists(), "asking does not make it"
    finally:
        aside.rename(bench.base)


async def test_a_job_for_which_there_is_no_room_is_known_not_to_have_been_started(bench: LocalBench) -> None:
    script = bench.effect_script()
    (bench.base / "job-1").write_text("a file where the job's folder has to be: as if nothing could be made there")
    with pytest.raises(TargetNotReady) as caught:
        await bench.executor.start("job-1", signed(clearance_for(bench.clock, bench.target, "job-1", script)), script)
    assert (caught.value.details, bench.effect_count()) == ({"reason": "no-room"}, 0)


async def test_a_clearance_from_before_the_base_folder_starts_nothing(bench: LocalBench) -> None:
    """Whoever deletes the folder while a clearance is valid does not get the script run twice."""
    script = bench.effect_script()
    given = signed(clearance_for(bench.clock, bench.target, "job-1", script))
    await bench.executor.start("job-1", given, script)
    await bench.ended("job-1")
    bench.base.rename(bench.folder / "aside")
    with pytest.raises(TargetNotReady, match="does not exist"):
        await bench.executor.start("job-1", given, script)
    assert (await bench.executor.probe(bench.target)).is_ready
    with pytest.raises(TargetNotReady, match="after this start was permitted"):
        await bench.executor.start("job-1", given, script)
    assert bench.effect_count() == 1


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder on a filesystem that does not outlive a restart."""
    memory = Path("/dev/shm")  # noqa: S108 - a filesystem in memory is what this is about
    if not memory.is_mount():
        pytest.skip("this machine has no /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory, prefix="bcce-test-") as folder:
        yield Path(folder)


async def test_a_base_folder_in_memory_only_vouches_for_keys_that_are_younger(memory_folder: Path) -> None:
    async with local_bench(memory_folder) as bench:
        probe = await bench.executor.probe(bench.target)
        assert (probe.is_ready, probe.memory_backed) == (True, True)
        told = await bench.executor.status("told", bench.target, since=bench.clock.now())
        not_told = await bench.executor.status("not-told", bench.target)
        assert (told.phase, not_told.phase) == (JobPhase.NEVER_STARTED, JobPhase.UNKNOWN)
        assert (await bench.executor.stop("stopped", bench.target)).proven is False, "it may have been started before"


async def test_scripts_get_a_minimal_environment_an_empty_input_and_no_terminal(bench: LocalBench) -> None:
    await bench.start(
        "job-1", "env -0 | sort -z | tr '\\0' '\\n'; cat; tty; pwd; echo $-; ulimit -c >/dev/null; trap", {"SERVICE": "checkout"}
    )
    await bench.ended("job-1")
    # Signals that whoever started the server had ignored stay ignored, and no shell can change that: nohup(1), jobs in the background.
    lines = [line for line in (await bench.text("job-1")).splitlines() if not line.startswith("trap -- '' SIG")]
    *environment, tty, folder, options = lines
    names = {line.partition("=")[0] for line in environment}
    assert "BCCE_CORRELATION_ID=cor_00000000000000000000000001" in environment
    assert names == {"BCCE_CORRELATION_ID", "HOME", "LANG", "LC_ALL", "PATH", "PWD", "SERVICE", "SHLVL", "_"}
    assert (tty, folder, options) == ("not a tty", "/", "hB")


async def test_scripts_can_be_interrupted_and_piped_as_usual(bench: LocalBench) -> None:
    """SIGPIPE, which Python ignores for itself, is not ignored, nor anything else that was not ignored before the server started."""
    await bench.start("job-1", "grep -E '^Sig(Ign|Blk)' /proc/self/status | cut -f2")
    await bench.ended("job-1")
    usual = (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)
    inherited = {number for number in usual if signal.getsignal(number) is signal.SIG_IGN} - {signal.SIGPIPE}
    blocked, ignored = (int(mask, 16) for mask in (await bench.text("job-1")).split())
    assert {number for number in usual if (blocked | ignored) >> (number - 1) & 1} <= inherited


async def test_a_lost_answer_after_the_decision_does_not_lose_the_job(bench: LocalBench) -> None:
    """The caller gives up while the wrapper works; whatever was decided meanwhile is found again."""
    script = bench.effect_script()
    for number in range(10):
        key = f"job-{number}"
        given = signed(clearance_for(bench.clock, bench.target, key, script))
        task = asyncio.create_task(bench.executor.start(key, given, script))
        await asyncio.sleep(0.006 * number)
        before = bench.effect_count()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        status = await bench.ended(key)
        assert status.phase in (JobPhase.EXITED, JobPhase.NEVER_STARTED)
        assert bench.effect_count() - before <= 1


async def test_a_wrapper_that_is_too_slow_is_given_up(bench: LocalBench) -> None:
    hasty = LocalExecutor(clock=bench.clock, verifier=SIGNER.verifier(), settings=ExecutionSettings(reply_timeout_s=0.001))
    with pytest.raises(ExecutorUnavailable, match="in time"):
        await hasty.status("job-1", bench.target)


async def test_a_machine_without_bash_is_a_problem_and_not_a_crash(bench: LocalBench) -> None:
    bare = LocalExecutor(clock=bench.clock, verifier=SIGNER.verifier(), settings=ExecutionSettings(search_path="/nowhere"))
    assert (await bare.probe(bench.target)).problems == ("bash is missing on this machine",)
    with pytest.raises(NotStarted, match="bash is missing"):
        await bare.start("job-1", signed(clearance_for(bench.clock, bench.target, "job-1", Script(text="true"))), Script(text="true"))


async def test_wrong_bytes_start_nothing(bench: LocalBench) -> None:
    """The wrapper itself compares what arrives with what was announced."""
    script = bench.effect_script()
    call = protocol.start_call(clearance_for(bench.clock, bench.target, "job-1", script), script, output_limit_kib=64, grace_s=1)
    spoiled = {
        "wrong-length": [call.stdin[:-1], call.stdin + b"x", call.stdin + b"\x00", call.stdin.partition(b"\n")[0] + b"\n"],
        "wrong-digest": [call.stdin[:-1] + b"#", call.stdin.replace(b"EFFECTS=", b"EFFECTZ=", 1)],
    }
    for reason, bodies in spoiled.items():
        for body in bodies:
            assert await ask_wrapper(call, stdin=body) == protocol.Answer(word="declined", fields=(reason,), data=b"")
    assert (bench.effect_count(), list((bench.base / "job-1").iterdir())) == (0, [])


async def test_arguments_hold_nothing_but_verb_folder_and_key(bench: LocalBench) -> None:
    script = Script(text="echo SECRET-SCRIPT", parameters={"TOKEN": "SECRET-VALUE"})
    call = protocol.start_call(clearance_for(bench.clock, bench.target, "job-1", script), script, output_limit_kib=64, grace_s=1)
    assert call.arguments() == ("start", bench.target.base_dir, "job-1")


async def test_status_of_a_stopped_script_that_called_itself_a_success_is_no_success(bench: LocalBench) -> None:
    await bench.start("job-1", "trap 'exit 0' TERM; touch \"$READY\"; while :; do sleep 0.05; done", {"READY": str(bench.folder / "ready")})
    await until((bench.folder / "ready").exists, "the script is ready")
    assert (await bench.executor.stop("job-1", bench.target)).proven is True
    status = await bench.executor.status("job-1", bench.target)
    assert (status.exit_code, status.reason) == (143, ExitReason.STOPPED)
