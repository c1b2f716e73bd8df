"""`workflow`: another workflow as a step, run on its own and waited for."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from bcce.kit.errors import InvalidInput
from bcce.kit.ids import RunId, derived_id
from bcce.kit.references import SealedText
from bcce.plugins import Services
from bcce.storage.doors import Database
from bcce.workflows import repository
from bcce.workflows.artifacts.restoring import restored_output
from bcce.workflows.errors import ChildFailed
from bcce.workflows.inputs import misplaced
from bcce.workflows.journal import wake
from bcce.workflows.model import Child, Effect, Run, RunState, StepResult, completed
from bcce.workflows.references import sealed_in
from bcce.workflows.repository import CHILD_GATE
from bcce.workflows.service import WorkflowService
from bcce.workflows.step_type import Commit, Done, Park, StepContext, StepOutcome

MAX_DEPTH = 8
_NOT_WELL = " did not end well: "


class WorkflowParams(BaseModel):
    """Parameters of `workflow`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow: str = Field(min_length=1, max_length=128, description="Name of the workflow to run.")
    version: str | None = Field(
        default=None, pattern=r"(sha256:)?[0-9a-f]{6,64}", description="The beginning of its digest; null for the present text."
    )
    inputs: dict[str, Any] = Field(default_factory=dict, description="Its inputs; secret ones may be given references.")
    wait: bool = Field(default=True, description="Whether to wait for its end; false only starts it.")


class WorkflowStep:
    """Runs another workflow. Output: its outputs and `runId`; the step fails when that run does, and stops it when it is stopped."""

    name = "workflow"
    effect = Effect.LOCAL
    takes_references = frozenset({"inputs"})
    params: type[BaseModel] = WorkflowParams

    def __init__(self, db: Database, workflows: WorkflowService) -> None:
        self._db = db
        self._workflows = workflows

    @classmethod
    def build(cls, services: Services) -> "WorkflowStep":
        """Wires the step."""
        return cls(services.get(Database), services.get(WorkflowService))  # type: ignore[type-abstract]  # a Protocol is the key

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Starts the run, or looks whether it has ended."""
        given = cast(WorkflowParams, params)
        child_id = self._child_id(context)
        child = await self._db.read(lambda conn: repository.get_run(conn, child_id, context.tenant_id))
        if child is not None and (child.state in repository.ENDED or not given.wait):
            context.log(f"the run {child.id} of {child.workflow} is {child.state}")
            output = await self._db.read(lambda conn: restored_output(conn, child.id, child.output or {}))
            return Done(result=_result(child, output))

        def start(conn: Connection) -> None:
            if child is None:
                self._start(conn, context, given, child_id)

        if child is None:
            context.log(f"starts the run {child_id} of {given.workflow}", facts={"runId": child_id})
        if given.wait:
            waiting_for = f"the run {child_id} of {given.workflow}"
            return Park(waiting_for=waiting_for, kind=CHILD_GATE, name=child_id, write=start, rings=(child_id,) if child is None else ())

        def start_only(conn: Connection) -> StepResult:
            start(conn)
            return completed({"runId": child_id})

        return Commit(write=start_only, rings=(child_id,))

    async def stop(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Cancels the run and waits for its end; one that ended well before that has done its work."""
        child_id = self._child_id(context)

        def cancel(conn: Connection) -> Run | None:
            known = repository.get_run(conn, child_id)
            # Said once: whoever tells it all the time keeps it from parking.
            if known is not None and known.cancel_at is None:
                if wake(conn, child_id):
                    repository.request_cancel(conn, child_id)
                else:
                    repository.cancel_when_revived(conn, child_id)
            return repository.get_run(conn, child_id)

        child = await self._db.write(cancel)
        if child is not None and child.state is RunState.COMPLETED:
            output = await self._db.read(lambda conn: restored_output(conn, child_id, child.output or {}))
            return Done(result=_result(child, output), ended_itself=True)
        if child is None or child.state in repository.ENDED:
            return Done(result=completed({"runId": child_id}))
        return Park(waiting_for=f"the run {child_id} to stop", kind=CHILD_GATE, name=child_id, rings=(child_id,))

    def _child_id(self, context: StepContext) -> RunId:
        return RunId(derived_id("run", context.run_id, context.key, str(context.attempt)))

    def _start(self, conn: Connection, context: StepContext, given: WorkflowParams, child_id: RunId) -> None:
        depth, above = 1, repository.get_run(conn, context.run_id)
        while above is not None and above.parent_id is not None:
            depth, above = depth + 1, repository.get_run(conn, above.parent_id)
        if depth > MAX_DEPTH:
            raise InvalidInput(f"workflows call each other more than {MAX_DEPTH} deep", hint="does one of them call itself without an end?")
        for name, value in given.inputs.items():
            # A reference inside a list or an object would have to be kept apart from the rest of it.
            if not isinstance(value, SealedText) and any(True for _ in sealed_in(value)):
                raise misplaced(name, given.workflow)
        self._workflows.start(
            context.actor,
            conn,
            workflow=given.workflow,
            inputs=given.inputs,
            correlation_id=context.correlation_id,
            subject=context.subject,
            version=given.version,
            child=Child(id=child_id, parent_id=context.run_id, parent_key=context.key, is_awaited=given.wait),
        )


def _result(child: Run, output: Mapping[str, object]) -> StepResult:
    if child.state in (RunState.FAILED, RunState.CANCELLED, RunState.DEAD):
        reason = str((child.error or {}).get("message") or f"it is {child.state}")
        # Of runs that call each other the reason of the innermost is told, and who is between is found on the way down.
        innermost = reason.rpartition(_NOT_WELL)[2]
        raise ChildFailed(f"the run {child.id} of {child.workflow}{_NOT_WELL}{innermost}", hint=f"bcce run show {child.id}")
    return completed({**output, "runId": child.id})
