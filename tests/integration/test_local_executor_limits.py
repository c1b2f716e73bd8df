"""Full disks, large outputs, unusable base folders: everything fails closed, and a script never notices BCCE's limits."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop
from tests.contract.executor_support import (
    PATIENCE_S,
    SIGNER,
    LocalBench,
    ask_wrapper,
    clearance_for,
    local_bench,
    signed,
    spawn_wrapper,
    until,
)

from bcce.execution.errors import ExecutorUnavailable, InvalidTarget, NotStarted, TargetNotReady
from bcce.execution.executors.local import LocalExecutor
from bcce.execution.marker import protocol
from bcce.execution.model import JobPhase, Script, StartOutcome, Target
from bcce.execution.settings import ExecutionSettings


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[LocalBench]:
    """A local executor with an empty base folder."""
    async with local_bench(tmp_path) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0 or os.system(f"mount -t tmpfs -o size=64k,mode=0700 tmpfs {folder} 2>/dev/null") != 0:  # noqa: S605 - a fixed command
        pytest.skip("a small filesystem can only be mounted as root")
    try:
        yield folder
    finally:
        os.system(f"umount --lazy {folder}")  # noqa: S605 - a fixed command


async def test_a_script_that_does_not_fit_is_not_started(small_disk: Path) -> None:
    async with local_bench(small_disk.parent, base=small_disk / "jobs") as bench:
        script = bench.effect_script("# " + "x" * 100_000)
        given = clearance_for(bench.clock, bench.target, "job", script)
        with pytest.raises(NotStarted, match="could not store the script"):
            await bench.executor.start("job", signed(given), script)
        status = await bench.executor.status("job", bench.target, since=given.issued_at)
        assert (status.phase, bench.effect_count()) == (JobPhase.NEVER_STARTED, 0)
        assert list((bench.base / "job").glob("attempt.*")) == []


async def test_nothing_starts_on_a_full_disk_and_nothing_is_claimed(small_disk: Path) -> None:
    async with local_bench(small_disk.parent, base=small_disk / "jobs") as bench:
        fill(bench.base / "filler")
        with pytest.raises((NotStarted, TargetNotReady)):
            await bench.start_script("job", bench.effect_script())
        assert bench.effect_count() == 0
        assert "the base folder is full" in " ".join((await bench.executor.probe(bench.target)).problems)
        (bench.base / "filler").unlink()
        # A full disk decides nothing for ever: once there is space again, the key may be used.
        status = await bench.executor.status("other", bench.target, since=bench.clock.now())
        assert status.phase is JobPhase.NEVER_STARTED


async def test_the_end_of_a_script_that_filled_the_disk_is_recorded(small_disk: Path) -> None:
    async with local_bench(small_disk.parent, base=small_disk / "jobs") as bench:
        text = 'cat /dev/zero >"$FILLER" 2>/dev/null; echo unheard; rm -f -- "$GONE"; exit 7'
        await bench.start("job", text, {"FILLER": str(bench.base / "filler"), "GONE": str(bench.base / "none")})
        status = await bench.ended("job")
        chunk = await bench.executor.output("job", bench.target, 0)
        assert (status.phase, status.exit_code, chunk.complete) == (JobPhase.EXITED, 7, True)
        assert (chunk.data, chunk.truncated) == (b"", True), "what could not be stored is missed, not forgotten"


async def test_a_script_on_a_full_disk_can_still_be_stopped(small_disk: Path) -> None:
    async with local_bench(small_disk.parent, base=small_disk / "jobs") as bench:
        await bench.start("job", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
        fill(bench.base / "filler")
        assert (await bench.executor.stop("job", bench.target)).proven is True
        assert (await bench.executor.status("job", bench.target)).exit_code == 143


def fill(file: Path) -> None:
    """Writes until there is no space."""
    with file.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
        while True:
            opened.write(b"x")


@pytest.mark.parametrize("limit_kib", [0, 1])
async def test_a_file_size_limit_fails_closed(bench: LocalBench, limit_kib: int) -> None:
    """The same as a full disk, for machines where no filesystem can be mounted."""
    script = bench.effect_script("# " + "x" * 5000)
    call = protocol.start_call(clearance_for(bench.clock, bench.target, "job", script), script, output_limit_kib=64, grace_s=1)
    process = await spawn_wrapper(call, file_limit_kib=limit_kib)
    stdout, _ = await process.communicate(call.stdin)
    assert b"started" not in stdout
    status = await bench.executor.status("job", bench.target)
    assert (status.phase, bench.effect_count()) == (JobPhase.NEVER_STARTED, 0)


async def test_output_beyond_the_limit_is_thrown_away_and_said_so(tmp_path: Path) -> None:
    settings = ExecutionSettings(output_limit_kib=4, reply_timeout_s=PATIENCE_S)
    async with local_bench(tmp_path, settings=settings) as bench:
        await bench.start("job", "seq 1 200000; echo last >&2; exit 3")
        status = await bench.ended("job")
        chunk = await bench.executor.output("job", bench.target, 0)
        expected = "".join(f"{number}\n" for number in range(1, 200_001)).encode()[:4096]
        assert (status.exit_code, chunk.data, chunk.complete, chunk.truncated) == (3, expected, True, True)


async def test_output_within_the_limit_is_whole(tmp_path: Path) -> None:
    settings = ExecutionSettings(output_limit_kib=4, reply_timeout_s=PATIENCE_S)
    async with local_bench(tmp_path, settings=settings) as bench:
        await bench.start("job", "head -c 4096 /dev/zero")
        await bench.ended("job")
        chunk = await bench.executor.output("job", bench.target, 0)
        assert (len(chunk.data), chunk.truncated) == (4096, False)


async def test_more_than_one_call_gives_the_whole_of_a_large_output(tmp_path: Path) -> None:
    settings = ExecutionSettings(output_limit_kib=3072, reply_timeout_s=PATIENCE_S)
    async with local_bench(tmp_path, settings=settings) as bench:
        await bench.start("job", 'head -c 2500000 /dev/urandom | tee -- "$COPY"', {"COPY": str(tmp_path / "copy")})
        await bench.ended("job")
        data, complete, calls = b"", False, 0
        while not complete:
            chunk = await bench.executor.output("job", bench.target, len(data))
            data, complete, calls = data + chunk.data, chunk.complete, calls + 1
        assert (data == (tmp_path / "copy").read_bytes(), calls) == (True, 3)


async def test_output_can_be_followed_while_the_script_runs(bench: LocalBench) -> None:
    await bench.start("job", "echo first; sleep 3600")
    chunk = await bench.executor.output("job", bench.target, 0)
    while not chunk.data:
        chunk = await bench.executor.output("job", bench.target, 0)
    assert (chunk.data, chunk.complete) == (b"first\n", False)


async def test_a_daemon_that_keeps_the_output_open_does_not_delay_the_end(bench: LocalBench) -> None:
    """It is not disturbed either: what it still writes is read, but no longer counted as the script's output."""
    heard = bench.folder / "heard"
    text = 'echo before; ( sleep 3; head -c 300000 /dev/zero && touch "$HEARD" ) & exit 8'
    await bench.start("job", text, {"HEARD": str(heard)})
    assert (await bench.ended("job")).exit_code == 8
    assert not heard.exists()
    for _ in range(2):
        chunk = await bench.executor.output("job", bench.target, 0)
        assert (chunk.data, chunk.complete) == (b"before\n", True)
        await until(heard.exists, "the daemon has written")


async def test_a_decision_that_cannot_be_made_durable_starts_nothing(bench: LocalBench, tmp_path: Path) -> None:
    """A power failure could forget it, and the script would be started again."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sync").write_text("#!/bin/sh\nexit 1\n")
    (tools / "sync").chmod(0o755)
    settings = ExecutionSettings(search_path=f"{tools}:{ExecutionSettings().search_path}", reply_timeout_s=PATIENCE_S)
    executor = LocalExecutor(clock=bench.clock, verifier=SIGNER.verifier(), settings=settings)
    script = bench.effect_script()
    with pytest.raises(ExecutorUnavailable, match="durable"):
        await executor.start("job", signed(clearance_for(bench.clock, bench.target, "job", script)), script)
    assert ((await bench.ended("job")).phase, bench.effect_count()) == (JobPhase.NEVER_STARTED, 0)
    assert "cannot" not in " ".join((await bench.executor.probe(bench.target)).problems)
    assert not (await executor.probe(bench.target)).is_ready


def test_the_executor_works_in_the_servers_event_loop(tmp_path: Path) -> None:
    async def run_one() -> tuple[int | None, str]:
        async with local_bench(tmp_path) as bench:
            await bench.start("job", 'echo "$WORD"; exit 2', {"WORD": "hello"})
            return (await bench.ended("job")).exit_code, await bench.text("job")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run_one()) == (2, "hello\n")


#: What is wrong with a base folder, how it gets so, and what a probe says.
UNUSABLE = {
    "others may write": ("chmod 0777", "others can write"),
    "the group may write": ("chmod 0770", "others can write"),
    "a link": ("link", "is a symbolic link"),
    "a file": ("file", "does not exist"),
    "below a folder that anybody may change": ("expose", "others can exchange"),
}


def spoil(base: Path, how: str) -> None:
    """Makes the base folder unusable."""
    if how.startswith("chmod"):
        base.chmod(int(how.split()[1], 8))
    elif how == "expose":
        base.parent.chmod(0o777)
    else:
        aside = base.rename(base.with_name("aside"))
        if how == "link":
            base.symlink_to(aside)
        else:
            base.write_text("")


@pytest.mark.parametrize("name", sorted(UNUSABLE))
async def test_an_unusable_base_folder_is_a_problem_and_starts_nothing(tmp_path: Path, name: str) -> None:
    how, said = UNUSABLE[name]
    folder = tmp_path / "way"
    folder.mkdir(mode=0o700)
    async with local_bench(tmp_path, base=folder / "jobs") as bench:
        script = bench.effect_script()
        given = signed(clearance_for(bench.clock, bench.target, "job", script))
        spoil(bench.base, how)
        try:
            assert said in " ".join((await bench.executor.probe(bench.target)).problems)
            with pytest.raises(TargetNotReady, match=said) as caught:
                await bench.executor.start("job", given, script)
            assert (caught.value.code, bench.effect_count()) == ("target-not-ready", 0)
        finally:
            folder.chmod(0o700)
            if (folder / "aside").exists():
                bench.base.unlink()
                (folder / "aside").rename(bench.base)
            bench.base.chmod(0o700)
        assert (await bench.executor.start("job", given, script)).outcome is StartOutcome.STARTED


async def test_a_probe_makes_the_base_folder_private_and_describes_it(tmp_path: Path) -> None:
    async with local_bench(tmp_path, base=tmp_path / "a" / "b" / "jobs") as bench:
        modes = [folder.stat().st_mode & 0o777 for folder in (bench.base, bench.base.parent, bench.base.parent.parent)]
        probe = await bench.executor.probe(bench.target)
        assert (modes, probe.is_ready) == ([0o700] * 3, True)
        assert probe.free_bytes is not None
        assert abs(probe.free_bytes - shutil.disk_usage(bench.base).free) < 1 << 30
        assert (isinstance(probe.filesystem, str), probe.memory_backed is not None) == (True, True)
        assert probe.shell_version is not None
        assert probe.shell_version.split(".")[0].isdigit()
        assert [path.name for path in bench.base.iterdir()] == [".birth"], "it cleans up after itself"


async def test_missing_tools_are_problems(bench: LocalBench, tmp_path: Path) -> None:
    """The wrapper is told of a PATH that holds bash and nothing else."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "bash").symlink_to("/bin/bash")
    executor = LocalExecutor(
        clock=bench.clock, verifier=SIGNER.verifier(), settings=ExecutionSettings(search_path=str(tools), reply_timeout_s=PATIENCE_S)
    )
    problems = (await executor.probe(bench.target)).problems
    assert {f"{tool} is missing on the target" for tool in ("setsid", "sha256sum", "flock", "sync")} <= set(problems)


@pytest.mark.parametrize("base", ["jobs", "/", "//x", "/a/../b", "/a/", "/a//b", "~/jobs"])
async def test_a_base_folder_that_is_no_absolute_path_is_refused(bench: LocalBench, base: str) -> None:
    target = Target(name="here", executor="local", base_dir=base)
    with pytest.raises(InvalidTarget):
        await bench.executor.probe(target)
    with pytest.raises(InvalidTarget):
        await bench.executor.status("job", target)


async def test_a_refused_clearance_creates_nothing(bench: LocalBench) -> None:
    before = sorted(bench.base.iterdir())
    script = bench.effect_script()
    other = Script(text="echo other")
    with pytest.raises(Exception, match="another script"):
        await bench.executor.start("job", signed(clearance_for(bench.clock, bench.target, "job", script)), other)
    assert sorted(bench.base.iterdir()) == before


@pytest.mark.parametrize("header", [b"", b"\n", b"x\n", b"1 x\n", b"-1\n", b"1;touch /x\n", b"9" * 30 + b"\n"])
@pytest.mark.parametrize("verb", list(protocol.Verb))
async def test_a_malformed_question_gets_no_action(bench: LocalBench, verb: protocol.Verb, header: bytes) -> None:
    answer = await ask_wrapper(protocol.Call(verb=verb, base_dir=bench.target.base_dir, key="job", stdin=header))
    assert (answer.word, (bench.base / "job").exists()) == ("malformed", False)


@pytest.mark.parametrize(
    ("base", "key"), [("relative", "job"), ("/x\ny", "job"), ("/x", "../y"), ("/x", ""), ("/x", "-rf"), ("/x", ".birth")]
)
async def test_the_wrapper_checks_its_arguments_itself(base: str, key: str) -> None:
    answer = await ask_wrapper(protocol.Call(verb=protocol.Verb.STATUS, base_dir=base, key=key, stdin=b"0\n"))
    assert answer.word == "malformed"
