"""The journal: every state change of a run as a row, and the rules by which rows may change.

A *fact* bumps `wake_seq` under the run's row lock. A *claim* is a compare-and-set to the next epoch. A *park* succeeds only if no fact came
since the segment looked. A *fence* lets a write through only under the epoch that made it. Together: no lost wake-up, no two owners, no
write of a worker believed dead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, bindparam, insert, update

from bcce.kit.clock import Clock, format_time
from bcce.kit.events import Event
from bcce.kit.ids import GateId, Ids, RunId
from bcce.storage.doors import Append, Database, Fence, Item
from bcce.storage.doors import run as run_items
from bcce.storage.errors import StaleEpoch
from bcce.storage.outbox import event_item
from bcce.storage.types import db_now
from bcce.workflows import repository
from bcce.workflows.errors import RunEnded, UnknownRun
from bcce.workflows.model import Effect, Run, StepRecord, StepState
from bcce.workflows.step_type import gate_id
from bcce.workflows.tables import steps, workers

T = TypeVar("T")

_INSERT_STEP = insert(steps)
_KEY = (steps.c.run_id == bindparam("k_run"), steps.c.step_key == bindparam("k_step"), steps.c.attempt == bindparam("k_attempt"))
_UPDATE_STEP = (
    update(steps)
    .where(*_KEY)
    .values({name: bindparam(f"v_{name}") for name in ("state", "output", "error", "waiting_for", "ended_at", "wake_at", "deadline_at")})
)


def record_fact(conn: Connection, run_id: RunId) -> None:
    """Makes whatever else this transaction writes a fact of the run; call it before writing anything.

    Raises:
        UnknownRun: there is no such run.
        RunEnded: it has ended, so nothing about it may change any more.
    """
    state = repository.bump(conn, run_id)
    if state is None:
        raise UnknownRun(details={"runId": run_id})
    if state not in repository.LIVE:
        raise RunEnded(f"run {run_id} is {state}", details={"runId": run_id, "state": str(state)})


def record_answer(conn: Connection, run_id: RunId, gate: GateId) -> None:
    """`record_fact` for a person's answer at a gate, which a cancel that came before makes void; compensations still ask.

    Raises:
        UnknownRun: there is no such run.
        RunEnded: it has ended, or it is being cancelled and the step at the gate with it.
    """
    record_fact(conn, run_id)
    run = repository.get_run(conn, run_id)
    if run is not None and run.cancel_at is not None and ".compensate" not in (repository.step_at(conn, gate) or ""):
        raise RunEnded(f"run {run_id} is being cancelled", details={"runId": run_id})


def wake(conn: Connection, run_id: RunId) -> bool:
    """Like `record_fact` for a fact that a run need not live to hear; False when it has ended or never was."""
    return repository.bump(conn, run_id) in repository.LIVE


class Journal:
    """Writes one worker's share of the journal."""

    def __init__(self, db: Database, clock: Clock, ids: Ids) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._claims = _Claims(db)

    async def load(self, run_id: RunId) -> tuple[Run, dict[str, StepRecord]] | None:
        """The run and the latest attempt of each of its steps, as of one moment; None when there is no such run."""

        def read(conn: Connection) -> tuple[Run, dict[str, StepRecord]] | None:
            run = repository.get_run(conn, run_id)
            return (run, repository.get_records(conn, run_id)) if run else None

        return await self._db.read(read)

    async def run(self, run_id: RunId) -> Run | None:
        """The run's own row; None when there is none."""
        return await self._db.read(lambda conn: repository.get_run(conn, run_id))

    async def unseen(self, known: Mapping[RunId, int]) -> list[RunId]:
        """Those of the given runs that have had a fact since the given `wake_seq`."""
        return await self._db.read(lambda conn: repository.unseen(conn, known))

    async def claim(self, run_id: RunId, worker: str, *, even_suspect: bool = False) -> Run | None:
        """The run under a new epoch of ours; None when it is not to be had. A suspect only is when that is said."""
        run = await self._claims.ask(run_id, worker, even_suspect=even_suspect)
        if run is not None and run.suspect:
            # Told when it is taken up and not when its worker is found dead: that one may have had thousands.
            await self.append(run, [self.run_event(run, "workflow.recovered", {"crashes": run.crashes})])
        return run

    async def park(self, run: Run, *, seen: int, wake_at: datetime | None) -> bool:
        """Whether the run was given up; False means that a fact came meanwhile and it must be looked at again."""
        return await self._db.write(lambda conn: repository.park(conn, run.id, epoch=run.epoch, seen=seen, wake_at=wake_at))

    async def give_back(self, run: Run) -> None:
        """Lets anybody have the run at once, and counts what happened as a crash of its worker."""
        event = self.run_event(run, "workflow.recovered", {"crashes": run.crashes + 1})

        def write(conn: Connection) -> None:
            if repository.give_back(conn, run.id, run.epoch):
                run_items(conn, [event])

        await self._db.write(write)

    def write(self, run: Run, fn: Callable[[Connection], T]) -> Awaitable[T]:
        """`fn(conn)` under the run's row lock and epoch.

        Raises:
            StaleEpoch: the run is no longer ours.
        """

        def fenced(conn: Connection) -> T:
            if not repository.lock_run(conn, run.id, run.epoch):
                raise StaleEpoch(details={"runId": run.id, "epoch": run.epoch})
            return fn(conn)

        return self._db.write(fenced)

    async def append(self, run: Run, items: list[Item], *, changes_run: bool = False) -> None:
        """`items` in the next group commit, if the run is still ours; `changes_run`: they change its own row."""
        await self._db.append(Append(items=tuple(items), fences=(Fence(run.id, run.epoch, changes_run),)))

    def started(self, run: Run, record: StepRecord, effect: Effect, input_digest: str) -> list[Item]:
        """The rows that say that an attempt began; `step.started` is published for the first one only."""
        row = {
            "run_id": run.id,
            "step_key": record.key,
            "attempt": record.attempt,
            "tenant_id": run.tenant_id,
            "type": record.type,
            "effect": str(effect),
            "state": str(record.state),
            "input_digest": input_digest,
            "output": record.output,
            "error": record.error,
            "waiting_for": record.waiting_for,
            "started_at": record.started_at,
            "ended_at": record.ended_at,
            "wake_at": record.wake_at,
            "deadline_at": record.deadline_at,
        }
        items: list[Item] = [(_INSERT_STEP, row)]
        if record.attempt == 1 and record.state is not StepState.SKIPPED:
            items.append(self.step_event(run, record, "step.started", at=record.started_at))
        return items

    def changed(self, run: Run, record: StepRecord) -> Item:
        """The update that makes an attempt's row say what `record` says."""
        values = {"state": str(record.state), "output": record.output, "error": record.error, "waiting_for": record.waiting_for}
        times = {"ended_at": record.ended_at, "wake_at": record.wake_at, "deadline_at": record.deadline_at}
        return (
            _UPDATE_STEP,
            {
                "k_run": run.id,
                "k_step": record.key,
                "k_attempt": record.attempt,
                **{f"v_{name}": item for name, item in {**values, **times}.items()},
            },
        )

    def step_event(self, run: Run, record: StepRecord, kind: str, *, at: datetime) -> Item:
        """The outbox row of a `step.*` event, with the public field names."""
        data: dict[str, object] = {
            "stepId": record.key,
            "stepType": record.type,
            "executionId": f"{run.id}/{record.key}/{record.attempt}",
            "workflowId": run.id,
            "workflow": run.workflow,
        }
        if record.ended_at is not None and kind != "step.started":
            data["duration"] = round((record.ended_at - record.started_at).total_seconds() * 1000, 3)
        if kind == "step.completed":
            data["result"] = str(record.state)
        if kind == "step.failed":
            data["error"] = (record.error or {}).get("message")
            data["errorType"] = (record.error or {}).get("code")
        if kind == "step.retried":
            data["error"] = (record.error or {}).get("message")
            data["errorType"] = (record.error or {}).get("code")
            data["retryAt"] = format_time(record.wake_at) if record.wake_at is not None else None
        if kind == "step.waiting":
            data["waitingFor"] = record.waiting_for
        return self._event(run, kind, data, at)

    def run_event(self, run: Run, kind: str, data: Mapping[str, object]) -> Item:
        """The outbox row of a `workflow.*` event."""
        return self._event(run, kind, {"workflowId": run.id, "workflow": run.workflow, "subject": run.subject, **data}, self._clock.now())

    def _event(self, run: Run, kind: str, data: Mapping[str, object], at: datetime) -> Item:
        event = Event(type=kind, timestamp=at, source="workflows", tenant_id=run.tenant_id, data=data)
        return event_item(self._ids, event, correlation_id=run.correlation_id)

    def gate_values(self, run: Run, record: StepRecord, kind: str, name: str) -> dict[str, object]:
        """The row of the gate at which `record` waits; its id follows from the run and the step."""
        return {
            "id": gate_id(run.id, record.key, record.attempt),
            "tenant_id": run.tenant_id,
            "run_id": run.id,
            "step_key": record.key,
            "kind": kind,
            "name": name,
            "state": "open",
            "opened_at": self._clock.now(),
            "closed_at": None,
        }

    async def heartbeat(self, worker: str, incarnation: str, lease_s: float) -> None:
        """Says by the database's clock that this worker lives for `lease_s` more seconds."""

        def beat(conn: Connection) -> None:
            changed = conn.execute(
                update(workers).where(workers.c.id == worker, workers.c.incarnation == incarnation).values(lease_until=db_now(lease_s))
            )
            if changed.rowcount == 0:
                row = {"id": worker, "incarnation": incarnation, "started_at": self._clock.now()}
                conn.execute(insert(workers).values(**row, lease_until=db_now(lease_s)))

        await self._db.write(beat)


def add_items(conn: Connection, items: list[Item]) -> None:
    """Executes prepared items inside a write."""
    run_items(conn, items)


class _Claims:
    """Claims of many runs in one write: whatever is asked for while one is in progress goes into the next."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._wanted: dict[str, dict[RunId, bool]] = {}
        self._next: asyncio.Task[dict[RunId, Run]] | None = None
        self._last: asyncio.Task[dict[RunId, Run]] | None = None

    async def ask(self, run_id: RunId, worker: str, *, even_suspect: bool) -> Run | None:
        """The run, if this is who got it."""
        self._wanted.setdefault(worker, {})[run_id] = even_suspect
        if self._next is None:
            self._next = asyncio.create_task(self._claim(self._last))
        claimed = await asyncio.shield(self._next)
        run = claimed.get(run_id)
        # Of two that asked for the same run as the same worker one gets it.
        return claimed.pop(run_id) if run is not None and run.lease_owner == worker else None

    async def _claim(self, before: "asyncio.Task[dict[RunId, Run]] | None") -> dict[RunId, Run]:
        await (asyncio.wait([before]) if before is not None else asyncio.sleep(0))
        self._last, self._next = self._next, None
        wanted, self._wanted = self._wanted, {}

        def write(conn: Connection) -> dict[RunId, Run]:
            claimed: dict[RunId, Run] = {}
            for worker, asked in wanted.items():
                tried = [run_id for run_id, even_suspect in asked.items() if even_suspect]
                claimed |= repository.claim(conn, list(asked), worker, tried)
            return claimed

        return await self._db.write(write)
