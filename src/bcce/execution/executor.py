"""The executor door: the one way in which a text becomes a process.

The contract suite (`tests/contract/test_executor.py`) runs against every implementation and cites these docstrings.
"""

from datetime import datetime
from typing import Protocol

from bcce.execution.errors import ClearanceRefused, InvalidDispatchKey, InvalidScript, InvalidTarget, NotStarted, TargetNotReady
from bcce.execution.model import JobStatus, OutputChunk, Probe, Script, SignedClearance, StartReceipt, StopResult, Target
from bcce.security.errors import SecretUnavailable

#: How many bytes one call of `output` gives at most.
OUTPUT_CHUNK_BYTES = 1024 * 1024
#: What `start` raises only when it is certain that nothing was started by that call, and that nothing will be.
NOTHING_STARTED = (ClearanceRefused, SecretUnavailable, InvalidScript, InvalidDispatchKey, InvalidTarget, TargetNotReady, NotStarted)


class Executor(Protocol):
    """Starts scripts as detached jobs on targets, and finds them again.

    A job is named by its *key*. For each key there is one *decision*, taken atomically on the target: `started`, or `abandoned` by whoever
    asked first. It is never changed. From that follow the three promises:

    1. A script is started at most once for each key, however often and from wherever `start` is called, and whatever is killed meanwhile.
    2. A finished job's outcome is found again after any crash of the caller.
    3. An outcome that cannot be known is reported as `unknown`, never guessed. `exited` with code 0 is only reported for a script that
       ended by itself with that code.

    A job belongs to the target, not to the caller: it goes on when the caller is killed. Instances keep nothing that matters between
    calls; any other instance with the same target can go on with its jobs. All methods may be called concurrently, do I/O and never
    block the event loop.
    """

    name: str

    async def probe(self, target: Target) -> Probe:
        """Look whether scripts can be started on `target`; makes its base folder if that is missing. Starts nothing. May be repeated.

        Every problem that is found is in the result; a target that does not answer at all is a problem too.

        Raises:
            InvalidTarget: this executor cannot address such a target.
        """
        ...

    async def start(self, key: str, clearance: SignedClearance, script: Script) -> StartReceipt:
        """Start `script` under `key` on the clearance's target; returns once that is decided there, so `status` may be called at once.

        Before anything is created or sent it verifies the signature, the time, and the key, and recomputes every digest from the bytes
        that it is going to send; references count by the names in them and are filled in only after that. The script sees its parameters
        and a minimal environment, an empty standard input and no terminal.

        A repeated call for a key that is decided starts nothing and says `already-decided`. The target must have been probed before the
        clearance was issued.

        All errors but the last (`NOTHING_STARTED`) are certain: this call ended before anything of it could have taken the decision, and
        nothing of it is left that could. Where there is the least doubt, it is the last.

        Raises:
            ClearanceRefused: the clearance does not permit this; nothing was created.
            SecretUnavailable, InvalidScript: a reference has no value, or one that no script can get; nothing was created.
            InvalidDispatchKey, InvalidTarget: no job can be called or kept like this; nothing was created.
            TargetNotReady: the base folder cannot be used; nothing was started by this call.
            NotStarted: the target could not take the script; nothing was started by this call, and another may succeed.
            ExecutorUnavailable: no usable answer; whether it was started is for `status` to find out.
        """
        ...

    async def status(self, key: str, target: Target, *, since: datetime | None = None) -> JobStatus:
        """What became of `key`. It *fences first*: a key without a decision becomes abandoned, so `never_started` is final.

        May be repeated. After `start` has returned it only observes.

        Args:
            since: when the key was first allowed to be used (the dispatch's `created_at`, UTC). A target whose memory of jobs is younger
                than that cannot say `never_started`, only `unknown`. None: not told; then a target whose memory does not outlive a
                restart cannot say it either.

        Raises:
            InvalidDispatchKey, InvalidTarget: nothing such can be asked about.
            ExecutorUnavailable: no usable answer; nothing follows from that.
        """
        ...

    async def output(self, key: str, target: Target, offset: int) -> OutputChunk:
        """What the script wrote from byte `offset` on, at most `OUTPUT_CHUNK_BYTES`; the bytes at an offset never change.

        Standard output and error are one stream. What is beyond the target's limit is thrown away without disturbing the script. A key
        without a job has no output. Does not fence. May be repeated.

        Raises:
            InvalidDispatchKey, InvalidTarget: nothing such can be asked about.
            ExecutorUnavailable: no usable answer.
        """
        ...

    async def stop(self, key: str, target: Target) -> StopResult:
        """Make sure that nothing of the job runs and nothing will: fence, then end the job's whole session, gently, then by force.

        `proven` is only true if it was seen that no process of the job is left. That includes processes which a finished script left
        behind, so a job that is over should not be stopped without need. May be repeated.

        Raises:
            InvalidDispatchKey, InvalidTarget: nothing such can be asked about.
            ExecutorUnavailable: no usable answer; nothing is proven.
        """
        ...
