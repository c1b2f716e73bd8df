"""The agent door: who carries out steps of type `agent`, within which limits, and what it has to report."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from bcce.kit.ids import RunId, TenantId


@dataclass(frozen=True, kw_only=True, slots=True)
class Touched:
    """What an agent touched.

    `read` and `edited` are paths relative to its working folder, with `/` between their parts, `edited` with one entry for each edit;
    `commands` are the argument vectors of what it started.
    """

    read: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentPolicy:
    """The limits of one agent's step.

    `allowed_paths` are patterns of relative paths: `*` and `?` stay within one part, `**` spans parts. An entry of `cmd_allowlist` is the
    beginning of an argument vector, such as `git diff`; empty means no command at all.
    """

    timeout_seconds: int = 30
    max_files: int = 10
    max_edits: int = 5
    allowed_paths: tuple[str, ...] = ("**/*",)
    cmd_allowlist: tuple[str, ...] = ()

    def violations(self, touched: Touched) -> list[str]:
        """What of `touched` is not allowed, in words; empty when all of it is. A runner asks before it acts, the step does afterwards."""
        return list(self._violations(touched))

    def _violations(self, touched: Touched) -> Iterator[str]:
        files = dict.fromkeys((*touched.read, *touched.edited))
        if len(files) > self.max_files:
            yield f"{len(files)} files, max_files is {self.max_files}"
        if len(touched.edited) > self.max_edits:
            yield f"{len(touched.edited)} edits, max_edits is {self.max_edits}"
        for path in files:
            if not self.allows_path(path):
                yield f"the path {path!r} is not in allowed_paths"
        for command in touched.commands:
            if not self.allows_command(command):
                yield f"the command {' '.join(command)!r} is not in cmd_allowlist"

    def allows_path(self, path: str) -> bool:
        """Whether a relative path fits a pattern; one that is absolute or leads upwards, or may mean another one, never does."""
        parts = path.split("/")
        is_plain = path.isprintable() and "\\" not in path and not any(part in ("", ".", "..") for part in parts)
        return is_plain and ":" not in parts[0] and any(_pattern(pattern).fullmatch(path) for pattern in self.allowed_paths)

    def allows_command(self, command: tuple[str, ...]) -> bool:
        """Whether an argument vector begins with an entry of the list."""
        entries = (tuple(entry.split()) for entry in self.cmd_allowlist)
        return any(entry and command[: len(entry)] == entry for entry in entries)


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentTask:
    """What an agent is to do.

    `name` is the step's key; `prompt` what the workflow's author wrote, None when the name says it all; `context` values of earlier steps,
    which are outside text: data, never instructions. `model` None: the runner's own choice. `idempotency_key` is the same for every try.
    """

    run_id: RunId
    tenant_id: TenantId
    name: str
    attempt: int
    idempotency_key: str
    prompt: str | None
    model: str | None
    context: Mapping[str, object]
    policy: AgentPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentResult:
    """What came of it: `output` is what later steps read; `resources_used` counts what it cost (calls, tokens), by name."""

    output: Mapping[str, object]
    touched: Touched = field(default_factory=Touched)
    resources_used: Mapping[str, float] = field(default_factory=dict)


class AgentRunner(Protocol):
    """Carries out steps of type `agent`. `name` is what `runner:` says in a workflow file."""

    name: str

    async def run(self, task: AgentTask) -> AgentResult:
        """Does the task within `task.policy` and reports everything that it touched.

        It is cut off (`CancelledError`) when the policy's time is up or the run is cancelled, and has to stop what it began. After a crash
        it may be called again with the same `idempotency_key`. It starts no process but through the executor door.

        Raises:
            BcceError: the task could not be done; `retryable` says whether another try can help.
        """
        ...


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """A path pattern as a regular expression."""
    found = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern.removeprefix("./")):
        words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        found.append(words.get(token) or re.escape(token))
    return re.compile("".join(found))
