"""What people do to runs: cancel, pause, resume, try again, and run again from a step. Each is one fact and one audit record."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from sqlalchemy import Connection, insert, update

from bcce.kit.clock import Clock
from bcce.kit.events import Event
from bcce.kit.ids import Ids, RunId
from bcce.kit.text import clean
from bcce.security.actor import Actor
from bcce.security.audit import AuditLog
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database, Item
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item
from bcce.storage.types import db_now
from bcce.workflows import repository
from bcce.workflows.artifacts.service import ArtifactStore
from bcce.workflows.askers.repository import How, add_asker, add_refusal, copy_askers
from bcce.workflows.definition import CONDITION, FOREACH, StepList
from bcce.workflows.errors import NotRepeatable, RunEnded, RunQueued, UnknownRun
from bcce.workflows.inputs import Hidden, complete_inputs, inputs_of_texts, parted
from bcce.workflows.inputs.repository import get_secret_inputs
from bcce.workflows.integrations.repository import reopen_lanes
from bcce.workflows.journal import record_fact
from bcce.workflows.model import Run, RunState, StepRecord, StepState
from bcce.workflows.reruns import OVER, check_answers, check_ended, owner, taken_over
from bcce.workflows.service import WorkflowService
from bcce.workflows.step_type import gate_id
from bcce.workflows.tables import runs, steps

_RETRYABLE = (RunState.FAILED, RunState.CANCELLED, RunState.DEAD)
_NOT_WELL = (StepState.FAILED, StepState.CANCELLED)


class BeforeAgain(Protocol):
    """Whoever a run was about hears that it is tried again, in the same transaction, which has locked the run's row."""

    def __call__(self, actor: Actor, conn: Connection, run: Run, again: RunId) -> None:
        """Does what has to be done so that the run `again` can go on: the run itself, or a new one that repeats it.

        Raises:
            BcceError: it must not be tried again; nothing has changed then.
        """
        ...


class RunControl:
    """Changes what runs do. `ring` the run after each."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        audit: AuditLog,
        workflows: WorkflowService,
        artifacts: ArtifactStore,
        before_again: BeforeAgain = lambda *_: None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._workflows = workflows
        self._artifacts = artifacts
        self._before_again = before_again

    async def cancel(self, actor: Actor, run_id: RunId) -> Run:
        """Stops what runs, undoes what can be undone, and ends the run as cancelled. Once more changes nothing.

        What acts on the world and cannot be stopped is followed to its end first.

        Raises:
            UnknownRun: there is no such run.
            RunEnded: it is over.
        """

        def write(conn: Connection, run: Run) -> None:
            repository.request_cancel(conn, run.id)
            add_refusal(conn, run, actor, self._clock.now())

        return await self._change(actor, run_id, "run.cancelled", "workflow.cancelling", write)

    async def supersede(self, actor: Actor, run_id: RunId, *, by: RunId, group: str) -> None:
        """Cancels a run because a newer one of its concurrency group wants to be alone; nothing when it is over or cancelled already."""
        require(actor, Permission.WORKFLOWS_RUN)

        def write(conn: Connection) -> None:
            repository.bump(conn, run_id)
            run = repository.get_run(conn, run_id, actor.tenant_id)
            if run is None or run.state not in repository.LIVE or run.cancel_at is not None:
                return
            repository.request_cancel(conn, run_id)
            run_items(conn, self._told(actor, run, "run.cancelled", "workflow.cancelling", {"group": group, "supersededBy": by}))

        await self._db.write(write)

    async def pause(self, actor: Actor, run_id: RunId) -> Run:
        """Lets what runs end, and begins nothing until `resume`, in the runs that it waits for too.

        Raises:
            UnknownRun: there is no such run.
            RunEnded: it is over, or being cancelled.
            RunQueued: it has not begun, because it waits for its turn.
        """

        def write(conn: Connection, run: Run) -> None:
            _check_begun(run)
            if run.cancel_at is not None:
                raise RunEnded(f"run {run.id} is being cancelled", details={"runId": run.id})
            conn.execute(update(runs).where(runs.c.id == run.id).values(state=RunState.PAUSED, paused_with=None))
            self._pause_below(actor, conn, run.id, run.id)

        return await self._change(actor, run_id, "run.paused", "workflow.paused", write)

    async def resume(self, actor: Actor, run_id: RunId) -> Run:
        """Goes on with a paused run, and with those that were paused with it; nothing when it is not paused.

        Raises:
            UnknownRun: there is no such run.
            RunEnded: it is over.
            RunQueued: it has not begun, because it waits for its turn.
        """

        def write(conn: Connection, run: Run) -> None:
            _check_begun(run)
            if run.state is RunState.PAUSED:
                conn.execute(update(runs).where(runs.c.id == run.id).values(state=RunState.ACTIVE, paused_with=None))
                self._resume_below(actor, conn, run.id, {run.id, run.paused_with or run.id})

        return await self._change(actor, run_id, "run.resumed", "workflow.resumed", write)

    async def retry(self, actor: Actor, run_id: RunId) -> Run:
        """Tries the steps again that did not end well, and goes on from there; a run of a concurrency group waits for its turn again.

        What a fallback made good, and what is inside a block that ended well, is settled and stays as it is.

        Raises:
            UnknownRun: there is no such run.
            NotRepeatable: it is not over, ended well, or what it had done was undone.
            BcceError: what it is about does not allow it.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        source, _ = await self._workflows.run(actor, run_id)
        definition = await self._workflows.load(source.definition_id, source.definition_format)
        turn = self._workflows.turn_of(definition, source.inputs)

        def write(conn: Connection) -> Run:
            repository.bump(conn, run_id)
            run = repository.get_run(conn, run_id, actor.tenant_id)
            if run is None:
                raise UnknownRun(f"there is no run {run_id}")
            if run.state not in _RETRYABLE:
                hint = "only a run that failed or was cancelled can be tried again"
                if run.state is RunState.COMPLETED:
                    hint += f"; to begin anew at one of its steps: bcce run retry {run_id} --from STEP"
                raise NotRepeatable(f"run {run_id} is {run.state}", hint=hint)
            records = repository.get_records(conn, run_id)
            if any(".compensate" in key for key in records):
                raise NotRepeatable(f"what run {run_id} had done was undone", hint="start a new run, or run it again from a step")
            for record in _unsettled(definition.body, "", records):
                _revive(conn, run_id, record, self._clock)
            # A run that ended by itself, and not by its steps, left them waiting and closed their gates.
            waiting = [gate_id(run_id, record.key, record.attempt) for record in records.values() if record.state is StepState.WAITING]
            repository.reopen_gates(conn, waiting)
            state = RunState.ACTIVE if turn is None else RunState.QUEUED
            fresh = {"state": state, "error": None, "output": None, "ended_at": None, "cancel_at": None, "crashes": 0, "paused_with": None}
            conn.execute(update(runs).where(runs.c.id == run_id).values(**fresh, **repository.CLEARED, wake_at=db_now()))
            self._before_again(actor, conn, run, run_id)
            add_asker(conn, run, actor, How.RETRIED, self._clock.now())
            if definition.integrations:
                reopen_lanes(conn, run_id)
            if turn is None:
                run_items(conn, self._told(actor, run, "run.retried", "workflow.resumed", {}))
            else:
                turn.enter(conn, run_id, run.tenant_id)
                run_items(conn, self._told(actor, run, "run.retried", "workflow.waiting", {"group": turn.group}))
            return repository.get_run(conn, run_id) or run

        return await self._db.write(write)

    async def rerun(
        self, actor: Actor, run_id: RunId, *, step: str, inputs: Mapping[str, object], texts: Mapping[str, str] | None = None
    ) -> RunId:
        """Starts a new run that begins at `step`: what the step waits for is taken over from `run_id`, and `inputs` replace its inputs.

        Args:
            texts: more inputs, as somebody typed them: read by the type that each is declared with, they win.

        Raises:
            UnknownRun: there is no such run.
            InvalidInput: there is no such step, it stands in a loop, or an input does not fit.
            NotRepeatable: something that the step waits for has not ended, or people have to answer it anew.
            BcceError: what it is about does not allow it.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        source, _ = await self._workflows.run(actor, run_id)
        definition = await self._workflows.load(source.definition_id, source.definition_format)
        kept = taken_over(definition, step)
        check_answers(definition, step, self._workflows.asks_anew)
        fresh = {**inputs, **inputs_of_texts(definition, texts or {})}
        complete = complete_inputs(definition, {**source.inputs, **fresh})

        def write(conn: Connection) -> RunId:
            records = repository.get_records(conn, run_id)
            check_ended(definition, step, records)
            shown, given = parted(definition, complete)
            # Of what was not given anew only the mask is known here.
            hidden: dict[str, Hidden] = {**get_secret_inputs(conn, run_id), **{name: given[name] for name in given.keys() & fresh.keys()}}
            new_id = self._workflows.insert_like(actor, conn, source, definition, step=step, inputs=(shown, hidden))
            self._before_again(actor, conn, source, new_id)
            # The inputs and what is taken over are still those of whoever asked for the first one.
            copy_askers(conn, source, new_id, self._clock.now())
            taken: dict[str, int] = {}
            for record in records.values():
                name = owner(record.key)
                if name in kept.steps and (record.state in OVER or name in kept.scopes):
                    conn.execute(insert(steps), [_seed(source, new_id, record, is_open=name in kept.scopes)])
                    taken[record.key] = record.attempt
            self._artifacts.copy(conn, run_id, new_id, taken)
            facts = {"from": step, "of": run_id}
            run_items(conn, [self._audit.item(actor, "run.rerun", new_id, facts, correlation_id=source.correlation_id)])
            return new_id

        return await self._db.write(write)

    def _pause_below(self, actor: Actor, conn: Connection, run_id: RunId, root: RunId) -> None:
        """Pauses the runs that a run waits for, and those that they wait for, from above as all locks; who waits for a turn is marked.

        What is paused with another run already now goes on with this one, which is nearer. What somebody paused apart is left alone.
        """
        for child in self._awaited(actor, conn, run_id):
            if child.cancel_at is not None or (child.state is RunState.PAUSED and child.paused_with is None):
                continue
            state = RunState.PAUSED if child.state is RunState.ACTIVE else child.state
            conn.execute(update(runs).where(runs.c.id == child.id).values(state=state, paused_with=root))
            if child.state is not RunState.PAUSED:
                run_items(conn, self._told(actor, child, "run.paused", "workflow.paused", {"with": root}))
            self._pause_below(actor, conn, child.id, root)

    def _resume_below(self, actor: Actor, conn: Connection, run_id: RunId, roots: set[RunId]) -> None:
        """Lets those go on that were paused with one of `roots`; what somebody paused apart stays so."""
        for child in self._awaited(actor, conn, run_id):
            if child.paused_with not in roots:
                continue
            state = RunState.ACTIVE if child.state is RunState.PAUSED else child.state
            conn.execute(update(runs).where(runs.c.id == child.id).values(state=state, paused_with=None))
            run_items(conn, self._told(actor, child, "run.resumed", "workflow.resumed", {"with": run_id}))
            self._resume_below(actor, conn, child.id, roots)

    def _awaited(self, actor: Actor, conn: Connection, run_id: RunId) -> Iterator[Run]:
        """The runs that a run waits for, each with its row locked, as it then is."""
        for child_id in repository.awaited_children(conn, run_id):
            repository.bump(conn, child_id)
            child = repository.get_run(conn, child_id, actor.tenant_id)
            if child is not None and child.state in repository.LIVE:
                yield child

    async def _change(self, actor: Actor, run_id: RunId, action: str, event: str, change: Callable[[Connection, Run], None]) -> Run:
        require(actor, Permission.WORKFLOWS_RUN)

        def write(conn: Connection) -> Run:
            run = repository.get_run(conn, run_id, actor.tenant_id)
            if run is None:
                raise UnknownRun(f"there is no run {run_id}")
            record_fact(conn, run_id)
            change(conn, repository.get_run(conn, run_id) or run)
            run_items(conn, self._told(actor, run, action, event, {}))
            return repository.get_run(conn, run_id) or run

        return await self._db.write(write)

    def _told(self, actor: Actor, run: Run, action: str, event: str, facts: Mapping[str, object]) -> list[Item]:
        data = {"workflowId": run.id, "workflow": run.workflow, "subject": run.subject, "by": clean(actor.name, limit=200), **facts}
        published = Event(type=event, timestamp=self._clock.now(), source="workflows", tenant_id=run.tenant_id, data=data)
        return [
            self._audit.item(actor, action, run.id, {"workflow": run.workflow, **facts}, correlation_id=run.correlation_id),
            event_item(self._ids, published, correlation_id=run.correlation_id),
        ]


def _check_begun(run: Run) -> None:
    if run.state is RunState.QUEUED:
        raise RunQueued(f"run {run.id} waits for its turn", hint="cancel it, or wait until it begins", details={"runId": run.id})


def _seed(source: Run, new_id: RunId, record: StepRecord, *, is_open: bool) -> dict[str, object]:
    """The row of `record` in another run; a scope that is still open has not ended, but for a condition, whose record is its decision."""
    is_begun = is_open and "branch" not in (record.output or {})
    return {
        "run_id": new_id,
        "step_key": record.key,
        "attempt": record.attempt,
        "tenant_id": source.tenant_id,
        "type": record.type,
        "effect": "pure",
        "state": str(StepState.STARTED if is_begun else record.state),
        "input_digest": "",
        "output": record.output,
        "error": record.error,
        "waiting_for": None,
        "started_at": record.started_at,
        "ended_at": None if is_begun else record.ended_at,
        "wake_at": None,
        "deadline_at": None,
    }


def _unsettled(body: StepList, suffix: str, records: Mapping[str, StepRecord]) -> Iterator[StepRecord]:
    """The records of the list that did not end well and that nothing made good."""
    for step in body.steps:
        record = records.get(step.id + suffix)
        if record is None or (record.state is StepState.COMPLETED and step.type != CONDITION):
            continue
        instead = records.get(step.fallback.id + suffix) if step.fallback is not None else None
        if instead is not None and instead.state not in _NOT_WELL:
            # It ended well instead of the step, or is about to.
            continue
        # A fallback that failed too has its time if the step fails again.
        yield from (item for item in (record, instead) if item is not None and item.state in _NOT_WELL)
        for name, branch in step.branches.items():
            if step.type == FOREACH:
                items = (record.output or {}).get("items")
                for turn in range(len(items) if isinstance(items, list) else 0):
                    yield from _unsettled(branch, f"{suffix}[{turn}]", records)
            elif step.type != CONDITION or (record.output or {}).get("branch") == name:
                yield from _unsettled(branch, suffix, records)


def _revive(conn: Connection, run_id: RunId, record: StepRecord, clock: Clock) -> None:
    """Makes a step that did not end well one that is to be tried again now, and a scope that had begun one that goes on."""
    has_begun = record.type in ("parallel", "group", "composite") or "items" in (record.output or {})
    values: dict[str, object] = {"state": str(StepState.STARTED), "error": None, "ended_at": None, "wake_at": None, "deadline_at": None}
    if not has_begun:
        values |= {"state": str(StepState.RETRYING), "error": record.error, "ended_at": record.ended_at, "wake_at": clock.now()}
    key = (steps.c.run_id == run_id, steps.c.step_key == record.key, steps.c.attempt == record.attempt)
    conn.execute(update(steps).where(*key).values(**values))
