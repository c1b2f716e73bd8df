"""Use cases around workflows: register and show definitions, start runs, signal them, look at them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

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
from bcce.storage.types import db_now
from bcce.workflows import repository
from bcce.workflows.definition import INPUT_TYPES, WorkflowDefinition, read_definition
from bcce.workflows.errors import InvalidWorkflow, UnknownRun, UnknownWorkflow
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import record_fact
from bcce.workflows.model import DEFINITION_FORMAT, Run, RunState, StepRecord
from bcce.workflows.step_type import StepType
from bcce.workflows.tables import runs
from bcce.workflows.validation import check_definition


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

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, step_types: Mapping[str, StepType], expressions: Expressions) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._types = step_types
        self._expressions = expressions
        self._parsed: dict[str, WorkflowDefinition] = {}

    def validate(self, actor: Actor, text: str, path: str | None = None) -> tuple[WorkflowDefinition, tuple[Finding, ...]]:
        """The definition that `text` holds and everything that keeps it from running here.

        Raises:
            InvalidWorkflow: the text is no workflow at all.
        """
        require(actor, Permission.WORKFLOWS_READ)
        definition = read_definition(text, path)
        return definition, check_definition(definition, self._types, self._expressions)

    async def register(self, actor: Actor, text: str, origin: str) -> StoredDefinition:
        """Makes this text the one that new runs of its name use; the same text again changes nothing.

        Raises:
            InvalidWorkflow: it cannot run here; all findings are in the details.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        definition, findings = self.validate(actor, text, origin)
        if findings:
            first = findings[0]
            error = InvalidWorkflow(first.message, path=origin, line=first.line, column=first.column, hint=first.hint)
            error.details["findings"] = [finding.to_dict() for finding in findings]
            raise error
        values = {
            "id": derived_id("def", actor.tenant_id, definition.name, definition.digest),
            "tenant_id": actor.tenant_id,
            "name": definition.name,
            "digest": definition.digest,
            "format": DEFINITION_FORMAT,
            "source": text,
            "origin": origin[:255],
            "created_at": self._clock.now(),
            "is_current": True,
        }
        await self._db.write(lambda conn: repository.make_current(conn, values))
        return await self.show(actor, definition.name)

    async def definitions(self, actor: Actor) -> list[StoredDefinition]:
        """Every workflow that can be started, by name."""
        require(actor, Permission.WORKFLOWS_READ)
        rows = await self._db.read(lambda conn: repository.current_definitions(conn, actor.tenant_id))
        return [_stored(dict(row)) for row in rows]

    async def show(self, actor: Actor, name: str) -> StoredDefinition:
        """The workflow that new runs of this name use.

        Raises:
            UnknownWorkflow: there is none.
        """
        require(actor, Permission.WORKFLOWS_READ)
        rows = await self._db.read(lambda conn: repository.current_definitions(conn, actor.tenant_id, name))
        if not rows:
            raise UnknownWorkflow(f"there is no workflow {name!r}", hint="`bcce workflow list` shows which there are")
        return _stored(dict(rows[0]))

    async def load(self, definition_id: str) -> WorkflowDefinition:
        """The snapshot with this id, for the engine; a snapshot never changes, so it is parsed once."""
        if definition_id not in self._parsed:
            row = await self._db.read(lambda conn: repository.get_definition(conn, DefinitionId(definition_id)))
            if row is None:
                raise UnknownWorkflow(f"there is no definition {definition_id}")
            self._parsed[definition_id] = read_definition(row["source"], row["origin"])
        return self._parsed[definition_id]

    def start(
        self,
        actor: Actor,
        conn: Connection,
        *,
        workflow: str,
        inputs: Mapping[str, object],
        correlation_id: str,
        subject: str | None = None,
    ) -> RunId:
        """Starts a run inside the caller's transaction; ring it after the commit.

        Raises:
            UnknownWorkflow: there is no such workflow.
            InvalidInput: an input is missing, unknown or of the wrong type.
        """
        require(actor, Permission.WORKFLOWS_RUN)
        rows = repository.current_definitions(conn, actor.tenant_id, workflow)
        if not rows:
            raise UnknownWorkflow(f"there is no workflow {workflow!r}", hint="`bcce workflow list` shows which there are")
        row = rows[0]
        definition = self._parsed.get(row["id"]) or read_definition(row["source"], row["origin"])
        run_id = RunId(self._ids.new("run"))
        now = self._clock.now()
        conn.execute(
            insert(runs).values(
                id=run_id,
                tenant_id=actor.tenant_id,
                definition_id=row["id"],
                definition_format=row["format"],
                workflow=row["name"],
                queue="default",
                priority=100,
                state=RunState.ACTIVE,
                inputs=complete_inputs(definition, inputs),
                correlation_id=correlation_id,
                subject=subject,
                wake_at=db_now(),
                wake_seq=1,
                seen_seq=0,
                epoch=0,
                suspect=False,
                crashes=0,
                created_at=now,
            )
        )
        data = {"workflowId": run_id, "workflow": row["name"], "subject": subject}
        event = Event(type="workflow.started", timestamp=now, source="workflows", tenant_id=actor.tenant_id, data=data)
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
        await self.run(actor, run_id)
        values = {"run_id": run_id, "name": name, "tenant_id": actor.tenant_id, "payload": dict(payload), "received_at": self._clock.now()}

        def write(conn: Connection) -> bool:
            record_fact(conn, run_id)
            return repository.add_signal(conn, values)

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

    async def runs(
        self, actor: Actor, *, before: str | None = None, limit: int = 50, state: str | None = None, workflow: str | None = None
    ) -> list[Run]:
        """The newest runs; `before` is the id of the last one of the page before.

        Raises:
            InvalidInput: there is no such state.
        """
        require(actor, Permission.WORKFLOWS_READ)
        if state is not None and state not in tuple(RunState):
            raise InvalidInput(f"there is no state {clean(state, limit=60)!r}", hint=f"states: {', '.join(RunState)}")
        return await self._db.read(
            lambda conn: repository.list_runs(conn, actor.tenant_id, before=before, limit=limit, state=state, workflow=workflow)
        )


def complete_inputs(definition: WorkflowDefinition, given: Mapping[str, object]) -> dict[str, object]:
    """The run's inputs with defaults filled in.

    Raises:
        InvalidInput: names the first input that is missing, unknown or of the wrong type.
    """
    unknown = sorted(given.keys() - definition.inputs.keys())
    if unknown:
        raise InvalidInput(
            f"workflow {definition.name!r} has no input {unknown[0]!r}", hint=f"it takes: {', '.join(definition.inputs) or 'none'}"
        )
    inputs: dict[str, object] = {}
    for name, spec in definition.inputs.items():
        if name not in given:
            if spec.required:
                raise InvalidInput(f"workflow {definition.name!r} needs the input {name!r}")
            inputs[name] = spec.default
            continue
        value = given[name]
        if not isinstance(value, INPUT_TYPES[spec.type]) or (isinstance(value, bool) and spec.type != "boolean"):
            raise InvalidInput(f"input {name!r} of workflow {definition.name!r} must be a {spec.type}")
        inputs[name] = value
    return inputs


def _stored(row: Mapping[str, object]) -> StoredDefinition:
    return StoredDefinition(**{name: row[name] for name in StoredDefinition.__slots__})  # type: ignore[arg-type]  # the columns have the fields' names and types
