"""`shell`: a script of the workflow's file on a target, judged, approved and dispatched like any repair."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel
from sqlalchemy import Connection

from bcce.approvals.model import ApprovalState
from bcce.execution.model import TIMED_OUT_CODE, DispatchState, Plan, PlannedAction, Script, Shell
from bcce.execution.settings import LOCAL_TARGET
from bcce.incidents import repository as incidents
from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError, Unavailable
from bcce.kit.findings import Severity, Verdict
from bcce.kit.ids import ApprovalId, IncidentId, PlanId, derived_id
from bcce.kit.references import SealedText
from bcce.kit.text import clean
from bcce.plugins import Services
from bcce.remediation.errors import NotApproved, OutcomeUnknown, ScriptBlocked, UnknownPlan, UnknownTarget
from bcce.remediation.executors import Executors
from bcce.remediation.jobs import Jobs
from bcce.remediation.launch import JobEnd, Launch, dispatch_keys
from bcce.remediation.plans import load_plan, store_plan
from bcce.remediation.requests import Requests, is_pending, said
from bcce.remediation.steps.shell_params import MAX_TITLE_CHARS, Scalar, ShellParams
from bcce.remediation.targets import Targets
from bcce.safety.service import SafetyService
from bcce.security.actor import system_actor
from bcce.security.secrets import SecretStore
from bcce.storage.doors import Database
from bcce.workflows.durations import parse_duration_s
from bcce.workflows.errors import ScriptFailed
from bcce.workflows.model import Effect, StepResult, completed, failed
from bcce.workflows.step_type import Commit, Done, Park, Remark, StepContext, StepOutcome

#: A dispatch that may still act, or whose outcome nobody knows.
_OPEN = frozenset({DispatchState.CLEARED, DispatchState.STARTED, DispatchState.INDETERMINATE})


class ShellStep:
    """Runs a script on a target, at most once. Output: `{state, exitCode, detail, output, dispatch}`."""

    effect = Effect.MARKED
    takes_references = frozenset({"env"})
    params: type[BaseModel] = ShellParams

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        safety: SafetyService,
        targets: Targets,
        executors: Executors,
        requests: Requests,
        jobs: Jobs,
        secrets: SecretStore,
        name: str = "shell",
    ) -> None:
        self.name = name
        self._db = db
        self._clock = clock
        self._safety = safety
        self._targets = targets
        self._executors = executors
        self._requests = requests
        self._jobs = jobs
        self._secrets = secrets

    @classmethod
    def build(cls, services: Services) -> "ShellStep":
        """Wires the step."""
        return cls._named(services, "shell")

    @classmethod
    def _named(cls, services: Services, name: str) -> "ShellStep":
        return cls(
            db=services.get(Database),  # type: ignore[type-abstract]  # a Protocol is the key
            clock=services.get(Clock),  # type: ignore[type-abstract]  # a Protocol is the key
            safety=services.get(SafetyService),
            targets=services.get(Targets),
            executors=services.get(Executors),
            requests=Requests.build(services),
            jobs=Jobs.build(services),
            secrets=services.get(SecretStore),
            name=name,
        )

    def check(self, given: Mapping[str, Any]) -> Iterator[Remark]:
        """What the validator blocks, whatever the policy says at the time of a run; and a target that is not configured."""
        target = given.get("target", LOCAL_TARGET)
        if isinstance(target, str) and "{{" not in target:
            try:
                self._targets.get(target)
            except UnknownTarget as error:
                yield Remark("workflow.unknown-target", ("target",), error.message, error.hint or "")
        env = given.get("env")
        parameters = env.keys() if isinstance(env, Mapping) else ()
        judgement = self._safety.check(
            system_actor("workflows"), str(given.get("shell", Shell.BASH)), str(given["script"]), parameters=parameters
        )
        if judgement.verdict is Verdict.BLOCK:
            for finding in judgement.findings:
                if finding.verdict is Verdict.BLOCK:
                    line = f" (line {finding.line} of the script)" if finding.line else ""
                    hint = finding.hint or "change the script; nobody can approve one that is blocked"
                    yield Remark("workflow.blocked-script", ("script",), f"{finding.message} [{finding.rule_id}]{line}", hint)

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Asks whoever has to agree, starts the script if no attempt to start it is recorded, else asks the target what became of it."""
        launch = self._launch(context, await self._known_plan(context))
        attempts = await self._jobs.attempts(launch.keys)
        if not attempts or attempts[-1].state is DispatchState.ABANDONED:
            plan, severity = await self._plan(context, cast(ShellParams, params))
            await self._check_earlier(context)
            agreed = await self._agreement(context, plan, severity)
            if isinstance(agreed, Park):
                return agreed
            launch = replace(launch, plan=plan, severity=severity, approval_id=agreed)
        ended = await self._jobs.advance(context, launch)
        if not isinstance(ended, JobEnd):
            return ended
        # First what became of it, then what that means for the step, which may be tried again: a worker that dies in between leaves the
        # outcome, and its successor finds it.
        await context.write(ended.record)
        return Done(result=_result(context, ended))

    async def stop(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Takes the request back, or ends the script and records whether that is proven: the output then has `stop: {proven, detail}`."""
        known = await self._known_plan(context)
        ended = await self._jobs.stop(context, self._launch(context, known))
        asked = await self._asked(context, *known) if ended is None and known is not None else None

        def write(conn: Connection) -> StepResult:
            if asked is not None:
                self._requests.withdraw(context, conn, asked)
            if ended is None:
                return completed()
            ended.record(conn)
            return completed(ended.to_dict())

        return Commit(write=write, ended_itself=ended is not None and ended.ended_itself)

    async def _known_plan(self, context: StepContext) -> tuple[Plan, Severity] | None:
        """The plan of this attempt; None while there is none, and when it can no longer be read: what it started goes on all the same."""
        try:
            return await self._db.read(lambda conn: load_plan(conn, context.tenant_id, self._plan_id(context)))
        except Unavailable:
            raise
        except BcceError:
            return None

    def _launch(self, context: StepContext, known: tuple[Plan, Severity] | None) -> Launch:
        plan, severity = known or (None, Severity.CRITICAL)
        return Launch(plan=plan, severity=severity, keys=dispatch_keys(context, str(context.attempt)))

    def _plan_id(self, context: StepContext) -> PlanId:
        return PlanId(derived_id("plan", context.idempotency_key, str(context.attempt)))

    async def _plan(self, context: StepContext, given: ShellParams) -> tuple[Plan, Severity]:
        """The plan of this attempt: written down before anybody is asked, and from then on what counts, whatever configuration says."""
        plan_id = self._plan_id(context)
        try:
            return await self._db.read(lambda conn: load_plan(conn, context.tenant_id, plan_id))
        except UnknownPlan:
            pass
        target = self._targets.get(given.target)
        await self._executors.check_ready(target)
        incident_id = await self._incident(context)
        wish = given.approval
        references = {name: value for name, value in given.env.items() if isinstance(value, SealedText)}
        for sealed in references.values():
            await self._secrets.fill(sealed)  # better said before anybody is asked than when it is to start
        parameters = {name: _text(value) for name, value in given.env.items() if not isinstance(value, SealedText)}
        script = Script(shell=given.shell, text=given.script, parameters=parameters, references=references)
        action = PlannedAction(
            id="script",
            title=clean(given.title or f"step {context.key}", limit=MAX_TITLE_CHARS),
            script=script,
            target=target,
            expected="",
            timeout_s=int(parse_duration_s(given.timeout)) if given.timeout is not None else None,
            min_approvals=wish.count if wish is not None else 0,
        )
        plan = Plan(
            id=plan_id,
            incident_id=incident_id,
            diagnosis=clean(wish.reason, limit=1000) if wish is not None else "",
            source=f"workflow:{context.key}",
            actions=(action,),
            verification=None,
        )
        await context.write(lambda conn: store_plan(conn, context.tenant_id, context.run_id, plan, self._clock.now()))
        return await self._db.read(lambda conn: load_plan(conn, context.tenant_id, plan_id))

    async def _incident(self, context: StepContext) -> IncidentId | None:
        """The incident that the run is about: then its severity counts, and nothing starts once its alerts are resolved."""
        if context.subject is None:
            return None
        subject = IncidentId(context.subject)
        found = await self._db.read(lambda conn: incidents.get(conn, context.tenant_id, subject))
        return found.id if found is not None else None

    async def _check_earlier(self, context: StepContext) -> None:
        """A script whose outcome nobody knows may have run, so it is not started again by a retry."""
        for number in range(1, context.attempt):
            for dispatch in await self._jobs.attempts(dispatch_keys(context, str(number))):
                if dispatch.state in _OPEN:
                    raise OutcomeUnknown(
                        f"what became of attempt {number} (dispatch {dispatch.key}) is not known, so it is not started again",
                        hint=f"look at the target, then say what was: bcce dispatch settle {dispatch.key}",
                    )

    async def _agreement(self, context: StepContext, plan: Plan, severity: Severity) -> Park | ApprovalId | None:
        """The approval that covers the script as it is now, None if none is needed; asks for it and waits while there is none."""
        request = self._requests.needed(context, plan, severity)
        if request is None:
            return None
        approval, decisions = await self._requests.find(context, request)
        if approval is None:
            return Park(
                waiting_for=f"approval of {request.title!r}",
                kind="approval",
                name=plan.incident_id or plan.id,
                write=lambda conn: self._requests.ask(context, conn, request),
            )
        if is_pending(approval):
            return self._requests.wait(approval)
        if approval.state is not ApprovalState.APPROVED:
            raise NotApproved(f"nobody agreed to {request.title!r}: {said(approval, decisions)}", details={"approvalId": approval.id})
        return approval.id

    async def _asked(self, context: StepContext, plan: Plan, severity: Severity) -> ApprovalId | None:
        """The approval that was asked for and is to be withdrawn; None when there is none."""
        try:
            request = self._requests.needed(context, plan, severity)
        except ScriptBlocked:
            return None
        found = (await self._requests.find(context, request))[0] if request is not None else None
        return found.id if found is not None else None


class ActionStep(ShellStep):
    """`action`: another name of `shell`."""

    @classmethod
    def build(cls, services: Services) -> "ActionStep":
        """Wires the step."""
        return cast(ActionStep, cls._named(services, "action"))


def _text(value: Scalar) -> str:
    """A value as an environment holds it; truth as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _result(context: StepContext, ended: JobEnd) -> StepResult:
    output = ended.to_dict()
    if ended.state is DispatchState.SUCCEEDED:
        return completed(output)
    if ended.state is DispatchState.INDETERMINATE:
        hint = f"look at the target, then say what was: bcce dispatch settle {ended.dispatch.key}"
        message = f"what became of the script of step {context.key!r} cannot be known: {ended.detail}"
        return failed(OutcomeUnknown(message, hint=hint), output)
    what = f"ended with exit code {ended.exit_code}" if ended.state is DispatchState.FAILED else f"was {ended.state}"
    if ended.exit_code == TIMED_OUT_CODE:
        what += f": {ended.detail}"
    details: dict[str, object] = {"exitCode": ended.exit_code, "dispatch": ended.dispatch.key}
    return failed(ScriptFailed(f"the script of step {context.key!r} {what}", details=details), output)
