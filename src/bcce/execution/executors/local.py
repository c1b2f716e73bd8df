"""The local executor: jobs on the machine that BCCE runs on, kept by the marker protocol."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from datetime import datetime
from typing import TYPE_CHECKING

from bcce.execution.errors import ExecutorUnavailable, NotStarted
from bcce.execution.marker import protocol
from bcce.execution.model import JobStatus, OutputChunk, Probe, Script, SignedClearance, StartReceipt, StopResult, Target, check_key
from bcce.execution.settings import ExecutionSettings
from bcce.execution.signing import Verifier, admit
from bcce.kit.clock import Clock
from bcce.security.secrets import SecretStore

if TYPE_CHECKING:
    from bcce.plugins import Services

#: How much longer than the grace period the wrapper may take to stop a job: it waits for the supervisor and looks twice.
_STOP_EXTRA_S = 30.0
_NO_BASH = "install bash, or set execution.searchPath to where it is"


class LocalExecutor:
    """An `Executor` for this machine; scripts run as the account of the BCCE server.

    A job is a session of its own and outlives the server, unless whoever stops the server ends its whole control group (systemd: set
    `KillMode=process`). A process that a script starts and that begins a session of its own is not ended by `stop`; it is noticed, and
    reported as unproven, as long as it keeps the inherited lock open. One that closes all its descriptors, as daemons do, is not.
    """

    name = "local"

    def __init__(self, *, clock: Clock, verifier: Verifier, settings: ExecutionSettings, secrets: SecretStore | None = None) -> None:
        self._clock = clock
        self._verifier = verifier
        self._settings = settings
        self._secrets = secrets or SecretStore({}, (), dict)
        self._bash = shutil.which("bash", path=settings.search_path)
        self._slots = asyncio.Semaphore(settings.max_processes)
        self._environment = {"PATH": settings.search_path, "HOME": _home(), "LANG": settings.locale}

    @classmethod
    def build(cls, services: "Services") -> "LocalExecutor":
        """Wires the executor."""
        clock: Clock = services.get(Clock)  # type: ignore[type-abstract]  # a Protocol is the key
        verifier: Verifier = services.get(Verifier)  # type: ignore[type-abstract]  # a Protocol is the key
        return cls(clock=clock, verifier=verifier, settings=services.get(ExecutionSettings), secrets=services.get(SecretStore))

    async def probe(self, target: Target) -> Probe:
        """Looks whether jobs can be kept in the base folder, which is made (0700) if it is missing."""
        call = protocol.probe_call(target.base_dir, self._clock.now())
        try:
            return protocol.probe_result(await self._ask(call))
        except ExecutorUnavailable as error:
            return Probe(problems=(error.message,))

    async def start(self, key: str, clearance: SignedClearance, script: Script) -> StartReceipt:
        """Starts the script once for each key."""
        cleared = admit(self._verifier, self._clock.now(), executor=self.name, key=key, signed=clearance, script=script)
        if self._bash is None:
            raise NotStarted("bash is missing on this machine", hint=_NO_BASH)
        settings = self._settings
        filled = {name: await self._secrets.fill(sealed) for name, sealed in script.references.items()}
        call = protocol.start_call(
            cleared, script, output_limit_kib=settings.output_limit_kib, grace_s=settings.stop_grace_s, filled=filled
        )
        return protocol.start_result(await self._ask(call))

    async def status(self, key: str, target: Target, *, since: datetime | None = None) -> JobStatus:
        """Fences, then looks at what the base folder and /proc say."""
        return protocol.status_result(await self._ask(protocol.status_call(target.base_dir, check_key(key), since)))

    async def output(self, key: str, target: Target, offset: int) -> OutputChunk:
        """Reads from the job's output file."""
        answer = await self._ask(protocol.output_call(target.base_dir, check_key(key), offset))
        return protocol.output_result(answer, offset)

    async def stop(self, key: str, target: Target) -> StopResult:
        """Fences, then ends the job's session; proof is an empty session and a free lock."""
        grace_s = self._settings.stop_grace_s
        call = protocol.stop_call(target.base_dir, check_key(key), grace_s)
        return protocol.stop_result(await self._ask(call, extra_s=grace_s + _STOP_EXTRA_S))

    async def _ask(self, call: protocol.Call, *, extra_s: float = 0.0) -> protocol.Answer:
        """The wrapper's answer.

        Raises:
            ExecutorUnavailable: bash is missing, the wrapper could not be started, was too slow, or said nothing.
        """
        if self._bash is None:
            raise ExecutorUnavailable("bash is missing on this machine", hint=_NO_BASH)
        async with self._slots:
            process = await self._spawn(self._bash, call)
            try:
                async with asyncio.timeout(self._settings.reply_timeout_s + extra_s):
                    stdout, _ = await process.communicate(call.stdin)
            except TimeoutError:
                raise ExecutorUnavailable("this machine did not answer in time") from None
            finally:
                # Also when the caller is cancelled: nobody would read the answer. What it has decided stays decided.
                await _end(process)
        return protocol.read_answer(stdout)

    async def _spawn(self, bash: str, call: protocol.Call) -> asyncio.subprocess.Process:
        """THE ONE PLACE in this package where a process is made.

        The arguments are fixed but for the verb, the base folder and the key, all checked; the script and its parameters only ever go in on
        standard input. The process is the wrapper; whether it starts the script is its decision.
        """
        try:
            return await asyncio.create_subprocess_exec(
                bash,
                *protocol.SHELL_OPTIONS,
                "--",
                str(protocol.WRAPPER),
                *call.arguments(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=self._environment,
                cwd="/",
                # Its own session, so that an interrupt from the server's terminal does not reach it.
                start_new_session=True,
            )
        except OSError as error:
            raise ExecutorUnavailable(f"bash cannot be started: {error.strerror}") from error


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills the wrapper with its children if it still runs, and waits for it. The supervisor is in a session of its own by then."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _home() -> str:
    """The home folder of the account; `/` for an account that the machine does not list, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"
