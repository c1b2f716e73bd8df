"""What the tests of executors share: keys, clearances, a local executor with its base folder."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from bcce.execution.executor import Executor
from bcce.execution.executors.local import LocalExecutor
from bcce.execution.marker import protocol
from bcce.execution.model import Clearance, JobPhase, JobStatus, Script, SignedClearance, StartReceipt, Target
from bcce.execution.settings import ExecutionSettings
from bcce.execution.signing import sign_clearance
from bcce.kit.clock import Clock, SystemClock
from bcce.kit.ids import DEFAULT_TENANT, ClearanceId, RunId
from bcce.security.crypto import Ed25519Signer

SIGNER = Ed25519Signer(bytes(range(32)))
FOREIGN_SIGNER = Ed25519Signer(bytes(range(1, 33)))
#: How long a test waits for what should come at once; a loaded machine needs some of it.
PATIENCE_S = 60.0


def clearance_for(clock: Clock, target: Target, key: str, script: Script, *, timeout_s: int | None = None) -> Clearance:
    """A clearance that permits to start `script` on `target` under `key` for the next minute."""
    now = clock.now()
    return Clearance(
        id=ClearanceId("clr_00000000000000000000000001"),
        dispatch_key=key,
        tenant_id=DEFAULT_TENANT,
        run_id=RunId("run_00000000000000000000000001"),
        epoch=3,
        target=target,
        target_digest=target.digest,
        script_digest=script.digest,
        parameters_digest=script.parameters_digest,
        approval_digest="sha256:" + "a" * 64,
        approval_ids=(),
        validator_version="bash/1",
        issued_at=now,
        expires_at=now + timedelta(seconds=60),
        timeout_s=timeout_s,
        correlation_id="cor_00000000000000000000000001",
    )


def signed(clearance: Clearance, signer: Ed25519Signer = SIGNER) -> SignedClearance:
    """`clearance` under the key that the executors of these tests trust."""
    return sign_clearance(signer, clearance)


async def ended(executor: Executor, key: str, target: Target, *, patience_s: float = PATIENCE_S) -> JobStatus:
    """The status of `key` once it no longer runs."""
    deadline = time.monotonic() + patience_s
    while True:
        status = await executor.status(key, target)
        if status.phase is not JobPhase.RUNNING:
            return status
        assert time.monotonic() < deadline, f"{key} still runs"
        await asyncio.sleep(0.05)


async def until(is_true: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + patience_s
    while not is_true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class LocalBench:
    """A local executor and a probed base folder in which it may start scripts."""

    executor: LocalExecutor
    target: Target
    clock: Clock
    folder: Path

    @property
    def base(self) -> Path:
        """The base folder."""
        return Path(self.target.base_dir)

    @property
    def effects(self) -> Path:
        """The file that `effect_script` adds a line to."""
        return self.folder / "effects"

    def effect_script(self, then: str = "") -> Script:
        """A script whose runs can be counted, followed by `then`."""
        return Script(text=f'printf "ran\\n" >>"$EFFECTS"\n{then}\n', parameters={"EFFECTS": str(self.effects)})

    def effect_count(self) -> int:
        """How often such a script ran."""
        return self.effects.read_text().count("ran\n") if self.effects.exists() else 0

    async def start(
        self, key: str, text: str, parameters: Mapping[str, str] | None = None, *, timeout_s: int | None = None
    ) -> StartReceipt:
        """Starts `text` under `key` with a fresh clearance."""
        script = Script(text=text, parameters=parameters or {})
        return await self.start_script(key, script, timeout_s=timeout_s)

    async def start_script(self, key: str, script: Script, *, timeout_s: int | None = None) -> StartReceipt:
        """Starts `script` under `key` with a fresh clearance."""
        clearance = clearance_for(self.clock, self.target, key, script, timeout_s=timeout_s)
        return await self.executor.start(key, signed(clearance), script)

    async def ended(self, key: str) -> JobStatus:
        """The status of `key` once it no longer runs."""
        return await ended(self.executor, key, self.target)

    async def text(self, key: str) -> str:
        """Everything that the job wrote."""
        return (await self.executor.output(key, self.target, 0)).data.decode()

    def supervisor(self, key: str) -> int:
        """The number of the job's supervisor, which is also that of its session."""
        return int(decision(self.base / key).split(":")[1])


async def spawn_wrapper(call: protocol.Call, *, file_limit_kib: int | None = None) -> asyncio.subprocess.Process:
    """The wrapper at work on `call`, without the executor around it.

    Args:
        file_limit_kib: how large a file may become that it or the job writes; None for no limit.
    """
    prefix = ("-c", f'ulimit -f {file_limit_kib}; exec /bin/bash "$@"', "limited") if file_limit_kib is not None else ()
    return await asyncio.create_subprocess_exec(
        "/bin/bash",
        *prefix,
        *protocol.SHELL_OPTIONS,
        "--",
        str(protocol.WRAPPER),
        *call.arguments(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": ExecutionSettings().search_path, "HOME": "/", "LANG": "C.UTF-8"},
        start_new_session=True,
    )


async def ask_wrapper(call: protocol.Call, *, stdin: bytes | None = None, file_limit_kib: int | None = None) -> protocol.Answer:
    """The wrapper's answer to `call`, or to other bytes on its input."""
    process = await spawn_wrapper(call, file_limit_kib=file_limit_kib)
    stdout, _ = await process.communicate(call.stdin if stdin is None else stdin)
    return protocol.read_answer(stdout)


def _sessions(base: Path) -> list[int]:
    """The sessions of all jobs in a base folder; what a test has damaged is left out."""
    links = [job / "decision" for job in base.iterdir() if (job / "decision").is_symlink()]
    found = [re.fullmatch(r"started:(\d+):\d+:.*", str(link.readlink())) for link in links]
    return [int(match[1]) for match in found if match is not None]


def decision(job: Path) -> str:
    """What was decided about a job."""
    return str((job / "decision").readlink())


def living_members(session: int) -> list[int]:
    """The processes of a session that still do something."""
    found = []
    for entry in Path("/proc").iterdir():
        fields = stat_fields(int(entry.name)) if entry.name.isdigit() else []
        if fields and int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the program's name: 0 state, 3 session, 19 start time; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def is_running(pid: int) -> bool:
    """Whether a process lives; one that ended but was not collected does not."""
    return stat_fields(pid)[:1] not in ([], ["Z"], ["X"])


def boot_id() -> str:
    """The name that the kernel gave to the time since the last restart."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def kill_quietly(pid: int, number: int) -> None:
    """Signals a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@asynccontextmanager
async def local_bench(folder: Path, *, settings: ExecutionSettings | None = None, base: Path | None = None) -> AsyncIterator[LocalBench]:
    """A bench in `folder`; whatever its jobs left running is ended afterwards."""
    clock = SystemClock()
    executor = LocalExecutor(
        clock=clock, verifier=SIGNER.verifier(), settings=settings or ExecutionSettings(stop_grace_s=1, reply_timeout_s=PATIENCE_S)
    )
    target = Target(name="here", executor="local", base_dir=str(base or folder / "jobs"))
    probe = await executor.probe(target)
    assert probe.problems == ()
    bench = LocalBench(executor=executor, target=target, clock=clock, folder=folder)
    try:
        yield bench
    finally:
        for session in _sessions(bench.base):
            for pid in living_members(session):
                kill_quietly(pid, signal.SIGKILL)


def altered(clearance: Clearance, **changes: object) -> Clearance:
    """`clearance` with other fields."""
    return replace(clearance, **changes)  # type: ignore[arg-type]  # the tests name real fields
