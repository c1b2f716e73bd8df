"""The log of a run for people: what its steps said and what the engine did, in one sequence that can be followed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from bcce.kit.clock import parse_time
from bcce.kit.errors import BcceError, InvalidInput
from bcce.kit.ids import RunId
from bcce.kit.redact import mask_text
from bcce.kit.text import clean
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.storage.outbox import OutboxRow, head, position_before, read_after
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.errors import UnknownRun
from bcce.workflows.logs import repository
from bcce.workflows.logs.model import LogLine
from bcce.workflows.logs.narration import HAS_WAITED, When, narrate, step_of
from bcce.workflows.model import Run
from bcce.workflows.repository import LIVE, get_attempts, get_run
from bcce.workflows.service import WorkflowService

_BATCH = 500
#: How many names a hint has room for.
_NAMED = 30
#: How much later than a run's end its last events may seem to be: the database's clock need not be ours.
_SLACK = timedelta(minutes=10)
#: Enough for a lifetime of events, and what every database takes for a number.
_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,9})")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPage:
    """A part of a run's log in the order of its times.

    `next` is where it goes on, None when nothing more is there yet; `follow` is where later lines will be.
    """

    lines: tuple[LogLine, ...]
    next: str | None
    follow: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the sequence: behind so many lines of the event at a position."""

    position: int
    seen: int

    @classmethod
    def parse(cls, cursor: str) -> "_Place":
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise InvalidInput(f"{clean(cursor, limit=60)!r} is no cursor of a log", hint="take `next` or `follow` of the page before")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.position}.{self.seen}"


class RunLogs:
    """Reads logs. Nothing is written for them but what steps say: the rest is told from the events that are there anyway."""

    def __init__(self, db: Database, workflows: WorkflowService) -> None:
        self._db = db
        self._workflows = workflows

    async def page(self, actor: Actor, run_id: RunId, *, after: str | None = None, limit: int = 500, step: str | None = None) -> LogPage:
        """The lines behind `after`, at most `limit`.

        Args:
            step: only lines of the step with this id, in all turns of its loops and with what was done instead, or with this key.

        Raises:
            UnknownRun: there is no such run in the actor's tenant.
            InvalidInput: `after` is no cursor, or the run has no such step.
        """
        require(actor, Permission.WORKFLOWS_READ)
        place = _Place.parse(after) if after is not None else None
        run = await self._db.read(lambda conn: get_run(conn, run_id, actor.tenant_id))
        if run is None:
            raise UnknownRun(f"there is no run {clean(run_id, limit=80)}")
        definition = await self._definition(run)
        if step is not None:
            await self._check(run, step, definition)
        conditions = {name: found.when for name, found in definition.by_id.items()} if definition is not None else {}
        when = conditions.get
        return await self._db.read(lambda conn: _read(conn, run, place, limit, step, when))

    async def _definition(self, run: Run) -> WorkflowDefinition | None:
        try:
            return await self._workflows.load(run.definition_id, run.definition_format)
        except BcceError:  # a text of a newer format: the log is readable all the same
            return None

    async def _check(self, run: Run, step: str, definition: WorkflowDefinition | None) -> None:
        """Nothing, if the run has or may have lines of this step or key."""
        if definition is not None and step in definition.loops:
            return
        keys = await self._db.read(lambda conn: [record.key for record in get_attempts(conn, run.id)])
        names = list(dict.fromkeys(step_of(key) for key in keys))
        if step not in keys and step not in names:
            some = ", ".join(names[:_NAMED]) + (", …" if names[_NAMED:] else "")
            hint = f"steps that have lines: {some}" if names else "no step has begun yet"
            raise InvalidInput(f"run {run.id} has no step {clean(step, limit=80)!r}", hint=hint)


def _read(conn: Connection, run: Run, place: _Place | None, limit: int, step: str | None, when: When) -> LogPage:
    place = place or _Place(position_before(conn, run.created_at) + 1, 0)
    last = head(conn)
    end = last
    if run.state not in LIVE and run.ended_at is not None:
        end = min(last, position_before(conn, run.ended_at + _SLACK))
    lines: list[LogLine] = []
    position = place.position - 1
    while True:
        rows = read_after(
            conn,
            position,
            _BATCH,
            tenant_id=run.tenant_id,
            correlation_id=run.correlation_id,
            until=end,
        )
        own = [row for row in rows if row.data.get("workflowId") == run.id]
        said = repository.lines_of(conn, run.id, [row.id for row in own]) if own else {}
        for row in own:
            skip = place.seen if row.position == place.position else 0
            for index, line in enumerate(_lines(run, row, said.get(row.id, ()), when)):
                if index < skip or (step is not None and (line.step is None or step not in (line.step, step_of(line.step)))):
                    continue
                lines.append(line)
                if len(lines) == limit:
                    return _page(lines, str(_Place(row.position, index + 1)), None)
        if len(rows) < _BATCH:
            return _page(lines, None, str(_Place(max(last + 1, place.position), 0 if last + 1 > place.position else place.seen)))
        position = rows[-1].position


def _page(lines: Sequence[LogLine], following: str | None, follow: str | None) -> LogPage:
    # Steps that run at the same time are recorded one after the other, seconds apart at most.
    return LogPage(lines=tuple(sorted(lines, key=lambda line: line.at)), next=following, follow=follow or following or "")


def _lines(run: Run, row: OutboxRow, said: Sequence[Mapping[str, Any]], when: When) -> Iterator[LogLine]:
    """What was said before the event, then the event's own line."""
    key = row.data.get("stepId") if row.type.startswith("step.") or row.type in ("workflow.event", "notification.requested") else None
    step = str(key) if key is not None else None
    number = str(row.data.get("executionId", "")).rpartition("/")[2]
    about: dict[str, Any] = {"step": step, "attempt": int(number) if number.isdigit() else None}
    index = 0
    for index, line in enumerate(said, start=1):
        facts = line.get("facts", {})
        yield LogLine(
            seq=f"{row.position}.{index}", at=parse_time(line["at"]), level=line["level"], message=line["text"], facts=facts, **about
        )
    # A run that need not wait begins in the very moment in which it is asked for.
    own = narrate(row.type, {**row.data, HAS_WAITED: row.at > run.created_at}, when)
    if own is not None:
        message = clean(mask_text(own.message), limit=2000)
        yield LogLine(seq=f"{row.position}.{index + 1}", at=row.at, level=own.level, message=message, facts={}, **about)
