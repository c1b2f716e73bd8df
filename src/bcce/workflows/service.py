"""Use cases around workflows: register and show definitions, start runs, signal them, look at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert

from bcce.kit.clock import Clock
from bcce.kit.errors import InvalidInput
from bcce.kit.events import Event
from bcce.kit.findings import Finding
from bcce.kit.ids import DefinitionId, Ids, RunId, derived_id
from bcce.kit.text import clean
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item
from bcce.workflows import repository
from bcce.workflows.askers.repository import How, add_asker
from bcce.workflows.concurrency.turns import Turn, check_no_circle, turn_of
from bcce.workflows.connector import Connector
from bcce.workflows.definition import Integration, Step, WorkflowDefinition
from bcce.workflows.errors import UnknownRun, UnknownWorkflow
from bcce.workflows.expressions import Expressions
from bcce.workflows.filters import ALL_RUNS, RunFilter
from bcce.workflows.form import refusal
from bcce.workflows.graph import GraphFormat, render
from bcce.workflows.inputs import Hidden, complete_inputs, inputs_of_texts, parted
from bcce.workflows.inputs.repository import put_secret_inputs
from bcce.workflows.integrations.repository import open_lanes
from bcce.workflows.journal import record_fact
from bcce.workflows.model import DEFINITION_FORMAT, Child, Run, RunState, StepRecord
from bcce.workflows.reader import read_definition
from bcce.workflows.references import KnownReferences
from bcce.workflows.registered import repository as registered
from bcce.workflows.step_type import Asking, StepType
from bcce.workflows.tables import runs
from bcce.workflows.validation import check_support, check_text


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDefinition:
    """A registered workflow. `origin` is the file or package it came from; `created_at` is when this text was first registered."""

    id: DefinitionId
    name: str
    digest: str
    origin: str
    source: str
    created_at: datetime


class WorkflowService:
    """What others may ask of the engine."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        step_types: Mapping[str, StepType],
        expressions: Expressions,
        connectors: Mapping[str, Connector],
        known: KnownReferences | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._types = step_types
        self._expressions = expressions
        self._connectors = connectors
        self._known = known
        self._parsed: dict[str, WorkflowDefinition] = {}

    def validate(self, actor: Actor, text: str, path: str | None = None) -> tuple[WorkflowDefinition | None, tuple[Finding, ...]]:
        """The definition that `text` holds (None: it is no workflow at all) and everything that keeps it from running here."""
        require(actor, Permission.WORKFLOWS_READ)
        definition, findings = check_text(text, path, self._types, self._expressions, self._connectors, self._known)
        return definition, findings if definition is None else (*findings, *check_support(definition, self._types))

    async def register(self, actor: Actor, text: str, origin: str) -> StoredDefinition:
        """Makes this text the one that new runs of its name use; the same text again changes nothing.

        Raises:
            InvalidWorkflow: it cannot run here; all findings are in the details.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        definition, findings = self.validate(actor, text, origin)
        if definition is None or findings:
            raise refusal(findings, origin)
        values = {
            "id": derived_id("def", actor.tenant_id, definition.name, definition.digest, str(DEFINITION_FORMAT)),
            "tenant_id": actor.tenant_id,
            "name": definition.name,
            "digest": definition.digest,
            "format": DEFINITION_FORMAT,
            "source": text,
            "origin": origin[:255],
            "created_at": self._clock.now(),
            "is_current": True,
        }
        await self._db.write(lambda conn: registered.make_current(conn, values))
        return await self.show(actor, definition.name)

    async def is_registered(self, actor: Actor, text: str) -> bool:
        """Whether new runs of some name use this very text, read by the rules of this release."""
        require(actor, Permission.WORKFLOWS_READ)
        rows = await self._db.read(lambda conn: registered.current_definitions(conn, actor.tenant_id))
        return any(row["source"] == text and row["format"] == DEFINITION_FORMAT for row in rows)

    async def definitions(self, actor: Actor, *, after: str | None = None, limit: int | None = None) -> list[StoredDefinition]:
        """The workflows that can be started, by name: at most `limit` (None: all) from behind the name `after`."""
        require(actor, Permission.WORKFLOWS_READ)
        rows = await self._db.read(lambda conn: registered.current_definitions(conn, actor.tenant_id, after=after, limit=limit))
        return [_stored(dict(row)) for row in rows]

    async def show(self, actor: Actor, name: str) -> StoredDefinition:
        """The workflow that new runs of this name use.

        Raises:
            UnknownWorkflow: there is none.
        """
        require(actor, Permission.WORKFLOWS_READ)
        return _stored(await self._current(actor, name))

    async def _current(self, actor: Actor, name: str) -> dict[str, object]:
        rows = await self._db.read(lambda conn: registered.current_definitions(conn, actor.tenant_id, name))
        if not rows:
            raise UnknownWorkflow(f"there is no workflow {name!r}", hint="`bcce workflow list` shows which there are")
        return dict(rows[0])

    async def graph(self, actor: Actor, name: str, form: GraphFormat) -> str:
        """The workflow that new runs of this name use, as a picture.

        Raises:
            UnknownWorkflow: there is none.
        """
        require(actor, Permission.WORKFLOWS_READ)
        row = await self._current(actor, name)
        return render(read_definition(str(row["source"]), str(row["origin"]), number=int(str(row["format"]))), form)

    async def load(self, definition_id: str, number: int) -> WorkflowDefinition:
        """The snapshot with this id, read by the rules of the format; it never changes, so it is parsed once."""
        if definition_id not in self._parsed:
            row = await self._db.read(lambda conn: registered.get_definition(conn, DefinitionId(definition_id)))
            if row is None:
                raise UnknownWorkflow(f"there is no definition {definition_id}")
            return self._read(row, number)
        return self._parsed[definition_id]

    def asks_anew(self, step: Step) -> bool:
        """Whether what the step said, or what was done instead of it, holds for its own run alone."""
        both = [(each.given, self._types.get(each.type)) for each in (step, step.fallback) if each is not None]
        return any(isinstance(kind, Asking) and kind.asks_anew(given) for given, kind in both)

    def _read(self, row: RowMapping, number: int) -> WorkflowDefinition:
        """The definition in a row, which takes a hundred times as long to read as a run takes to start."""
        known = self._parsed.get(row["id"])
        if known is None:
            known = self._parsed[row["id"]] = read_definition(row["source"], row["origin"], number=number)
        return known

    def start(
        self,
        actor: Actor,
        conn: Connection,
        *,
        workflow: str,
        inputs: Mapping[str, object],
        correlation_id: str,
        texts: Mapping[str, str] | None = None,
        subject: str | None = None,
        version: str | None = None,
        child: Child | None = None,
    ) -> RunId:
        """Starts a run inside the caller's transaction; ring it after the commit.

        Args:
            inputs: those that the workflow asks for; a secret one may be given a `SealedText`.
            texts: more inputs, as somebody typed them: read by the type that each is declared with, they win.
            version: the beginning of the digest of the text to use; None for the present one.
            child: set when another run starts it.

        Raises:
            UnknownWorkflow: there is no such workflow, or not in this version.
            InvalidInput: an input is missing, unknown or of the wrong type, or no secret and given a reference.
            ConcurrencyDeadlock: it would wait for its turn until a run is over that waits for it.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        rows = registered.definitions_of(conn, actor.tenant_id, workflow, version)
        if not rows:
            what = f"there is no workflow {workflow!r}" + (f" in version {version!r}" if version else "")
            raise UnknownWorkflow(what, hint="`bcce workflow list` shows which there are")
        row = rows[0]
        definition = self._read(row, row["format"])
        shown, hidden = parted(definition, complete_inputs(definition, {**inputs, **inputs_of_texts(definition, texts or {})}))
        turn = self.turn_of(definition, shown)
        if turn is not None and child is not None and child.is_awaited:
            check_no_circle(conn, turn, actor.tenant_id, child.parent_id)
        return self._insert(
            actor,
            conn,
            {"definition_id": row["id"], "definition_format": row["format"], "workflow": row["name"], "subject": subject},
            inputs=(shown, hidden),
            correlation_id=correlation_id,
            child=child,
            turn=turn,
            integrations=definition.integrations,
        )

    def turn_of(self, definition: WorkflowDefinition, inputs: Mapping[str, object]) -> Turn | None:
        """What a run of `definition` waits for before it begins; None when nothing limits how many there are.

        Raises:
            InvalidInput, InvalidExpression: its group gets no name from these inputs.
        """
        return turn_of(definition, inputs, self._expressions)

    def insert_like(
        self,
        actor: Actor,
        conn: Connection,
        source: Run,
        definition: WorkflowDefinition,
        *,
        step: str,
        inputs: tuple[Mapping[str, object], Mapping[str, Hidden]],
    ) -> RunId:
        """Starts a run of `definition`, that of `source`, inside the caller's transaction; its first records are the caller's to write.

        Args:
            step: where it begins.
            inputs: what everybody may see of them, and what the secret ones were given.
        """
        about = {name: getattr(source, name) for name in ("definition_id", "definition_format", "workflow", "subject")}
        about |= {"rerun_of": source.id, "rerun_from": step}
        # One epoch is gone, so whoever claims it reads what is recorded.
        return self._insert(
            actor,
            conn,
            about,
            inputs=inputs,
            correlation_id=source.correlation_id,
            child=None,
            turn=self.turn_of(definition, inputs[0]),
            integrations=definition.integrations,
            epoch=1,
        )

    def _insert(
        self,
        actor: Actor,
        conn: Connection,
        about: Mapping[str, object],
        *,
        inputs: tuple[Mapping[str, object], Mapping[str, Hidden]],
        correlation_id: str,
        child: Child | None,
        turn: Turn | None,
        integrations: Sequence[Integration],
        epoch: int = 0,
    ) -> RunId:
        run_id = child.id if child is not None else RunId(self._ids.new("run"))
        now = self._clock.now()
        above = repository.get_run(conn, child.parent_id) if child is not None else None
        state, paused_with = RunState.ACTIVE if turn is None else RunState.QUEUED, None
        if above is not None and above.state is RunState.PAUSED and child is not None and child.is_awaited:
            # The step that starts it was under way when its run was paused.
            state, paused_with = RunState.PAUSED if turn is None else state, above.paused_with or above.id
        fixed: dict[str, object] = {"queue": "default", "priority": 100, "state": state, "wake_at": now, "wake_seq": 1, "seen_seq": 0}
        # Who wanted the outermost run wanted this one: nobody can agree to their own wish by way of another run.
        parent = {"parent_id": child.parent_id, "parent_key": child.parent_key} if child is not None else {}
        row = {"id": run_id, "tenant_id": actor.tenant_id, "inputs": dict(inputs[0]), "correlation_id": correlation_id, "epoch": epoch}
        wanted_by = above.started_by if above is not None else actor.person or actor.id
        fixed |= {"paused_with": paused_with, "started_by": wanted_by, "suspect": False, "crashes": 0, "created_at": now}
        conn.execute(insert(runs), [{**row, **about, **fixed, **parent}])
        put_secret_inputs(conn, run_id, actor.tenant_id, inputs[1])
        data = {"workflowId": run_id, "workflow": about["workflow"], "subject": about["subject"]}
        if "rerun_of" in about:
            data |= {"rerunOf": about["rerun_of"], "rerunFrom": about["rerun_from"]}
        if turn is not None:
            turn.enter(conn, run_id, actor.tenant_id)
            data["group"] = turn.group
        if integrations:
            open_lanes(conn, run_id, actor.tenant_id, integrations)
        kind = "workflow.started" if turn is None else "workflow.waiting"
        event = Event(type=kind, timestamp=now, source="workflows", tenant_id=actor.tenant_id, data=data)
        run_items(conn, [event_item(self._ids, event, correlation_id=correlation_id)])
        return run_id

    async def signal(self, actor: Actor, run_id: RunId, name: str, payload: Mapping[str, object]) -> bool:
        """Tells a run that something it may wait for has happened; kept even if the run does not wait for it yet.

        Returns False when the run got a signal of that name before: the first one counts.

        Raises:
            UnknownRun: there is no such run.
            RunEnded: it is over.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        run, _ = await self.run(actor, run_id)
        values = {"run_id": run_id, "name": name, "tenant_id": actor.tenant_id, "payload": dict(payload), "received_at": self._clock.now()}

        def write(conn: Connection) -> bool:
            record_fact(conn, run_id)
            is_first = repository.add_signal(conn, values)
            if is_first:
                add_asker(conn, run, actor, How.SIGNALLED, self._clock.now())
            return is_first

        return await self._db.write(write)

    async def run(self, actor: Actor, run_id: RunId) -> tuple[Run, list[StepRecord]]:
        """A run with every attempt of its steps.

        Raises:
            UnknownRun: there is none in the actor's tenant.
        """
        require(actor, Permission.WORKFLOWS_READ)

        def read(conn: Connection) -> tuple[Run, list[StepRecord]] | None:
            run = repository.get_run(conn, run_id, actor.tenant_id)
            return (run, repository.get_attempts(conn, run_id)) if run else None

        found = await self._db.read(read)
        if found is None:
            raise UnknownRun(f"there is no run {run_id}")
        return found

    async def state(self, actor: Actor, run_id: RunId) -> RunState | None:
        """A run's state; None when there is no such run in the actor's tenant."""
        require(actor, Permission.WORKFLOWS_READ)
        run = await self._db.read(lambda conn: repository.get_run(conn, run_id, actor.tenant_id))
        return run.state if run else None

    async def runs(self, actor: Actor, wanted: RunFilter = ALL_RUNS, *, before: str | None = None, limit: int = 50) -> list[Run]:
        """The newest of the wanted runs, by when they were asked for; `before` is the id of the last one of the page before.

        Raises:
            InvalidInput: there is no such state, or no run `before`.
            UnknownRun: there is no run `wanted.parent`.
        """
        require(actor, Permission.WORKFLOWS_READ)
        wanted.check()

        def read(conn: Connection) -> list[Run]:
            last = repository.get_run(conn, RunId(before), actor.tenant_id) if before is not None else None
            if before is not None and last is None:
                raise InvalidInput(f"{clean(before, limit=60)!r} is no cursor of this list", hint="take `next` of the page before")
            if wanted.parent is not None and repository.get_run(conn, wanted.parent, actor.tenant_id) is None:
                raise UnknownRun(f"there is no run {clean(wanted.parent, limit=80)}")
            return repository.list_runs(conn, actor.tenant_id, wanted, before=last, limit=limit)

        return await self._db.read(read)


def _stored(row: Mapping[str, object]) -> StoredDefinition:
    return StoredDefinition(**{name: row[name] for name in StoredDefinition.__slots__})  # type: ignore[arg-type]  # the columns have the fields' names and types
