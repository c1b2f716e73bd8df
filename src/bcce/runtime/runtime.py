"""Opens everything that a process of BCCE consists of, in order, and closes it in the opposite one."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import structlog
from sqlalchemy import Connection

from bcce.alerts.provider import AlertProvider
from bcce.alerts.service import AlertService
from bcce.alerts.settings import AlertSettings
from bcce.approvals.model import Decision
from bcce.approvals.service import ApprovalService
from bcce.approvals.settings import ApprovalSettings
from bcce.config.environ import process_environ
from bcce.execution.executor import Executor
from bcce.execution.settings import ExecutionSettings
from bcce.incidents.service import IncidentService
from bcce.itsm.book import TicketBook
from bcce.itsm.service import ItsmService
from bcce.kit.clock import Clock, SystemClock
from bcce.kit.errors import BcceError, InvalidInput
from bcce.kit.ids import GateId, Ids, RunId
from bcce.knowledge import KnowledgeService, SearchIndex
from bcce.observability.health import HealthChecks
from bcce.observability.metrics import Metrics
from bcce.plugins import Registry, Services
from bcce.remediation.again import RepairsAgain
from bcce.remediation.dispatches import DispatchService
from bcce.remediation.executors import Executors
from bcce.remediation.gate import Gate
from bcce.remediation.pipeline import Pipeline
from bcce.remediation.planner import Planner
from bcce.remediation.settings import RemediationSettings
from bcce.remediation.targets import Targets
from bcce.resilience import BreakerStore
from bcce.runtime.schema import migrate
from bcce.runtime.settings import Settings
from bcce.runtime.tables import workflows as workflow_tables
from bcce.safety.policy.load import load_policy
from bcce.safety.service import SafetyService
from bcce.safety.validator import ScriptValidator
from bcce.security.actor import system_actor
from bcce.security.audit import AuditLog, Checkpoints, take_checkpoint
from bcce.security.audit.repository import heads as audit_heads
from bcce.security.crypto import StateKeys, Verifier
from bcce.security.errors import LostKeys
from bcce.security.secrets import SecretOrigin, SecretStore
from bcce.security.tokens import TokenService
from bcce.storage.breakers import DatabaseBreakers
from bcce.storage.doors import Database, Hooks, open_database
from bcce.workflows.artifacts.model import ArtifactLimits
from bcce.workflows.artifacts.service import ArtifactStore, RunArtifacts
from bcce.workflows.calls import Caller
from bcce.workflows.concurrency.admission import Admission
from bcce.workflows.concurrency.standing import ConcurrencyGroups
from bcce.workflows.connector import Connector
from bcce.workflows.control import RunControl
from bcce.workflows.dispatcher import Dispatcher
from bcce.workflows.engine import Engine
from bcce.workflows.expressions import Expressions
from bcce.workflows.folder import WorkflowFolder
from bcce.workflows.inputs import Hidden
from bcce.workflows.inputs.repository import get_secret_inputs
from bcce.workflows.integrations.courier import Courier
from bcce.workflows.integrations.lanes import IntegrationLanes
from bcce.workflows.integrations.parcels import Parcels
from bcce.workflows.journal import Journal, record_answer, record_fact
from bcce.workflows.limits import Limits
from bcce.workflows.logs.logbook import Logbook
from bcce.workflows.logs.model import LogLimits
from bcce.workflows.logs.service import RunLogs
from bcce.workflows.recorder import Recorder
from bcce.workflows.references import KnownReferences
from bcce.workflows.service import WorkflowService
from bcce.workflows.settings import WorkflowSettings
from bcce.workflows.step_type import StepType
from bcce.workflows.worker import WorkflowWorker

log = structlog.get_logger(__name__)

_BUILT_IN_WORKFLOWS = ("remediate",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Overrides:
    """What tests put in place of the real thing; None keeps the real thing. `database` wraps the opened database; `step_types` and
    `connectors` join the registered ones.
    """

    clock: Clock | None = None
    database: Callable[[Database], Database] | None = None
    executors: dict[str, Executor] | None = None
    step_types: Mapping[str, StepType] | None = None
    connectors: Mapping[str, Connector] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """One process's services. `ring` says that a run may be ready."""

    settings: Settings
    home: Path
    db: Database
    clock: Clock
    ids: Ids
    metrics: Metrics
    health: HealthChecks
    audit: AuditLog
    checkpoints: Checkpoints
    tokens: TokenService
    alerts: AlertService
    incidents: IncidentService
    knowledge: KnowledgeService
    index: SearchIndex
    approvals: ApprovalService
    dispatches: DispatchService
    itsm: ItsmService
    safety: SafetyService
    workflows: WorkflowService
    workflow_files: WorkflowFolder
    runs: RunControl
    groups: ConcurrencyGroups
    integrations: IntegrationLanes
    courier: Courier
    artifacts: RunArtifacts
    logs: RunLogs
    pipeline: Pipeline
    ring: Callable[[RunId], None]


def admin_token_path(home: Path) -> Path:
    """Where the first administrator's token lies."""
    return home / "admin.token"


def database_url(settings: Settings, home: Path) -> str:
    """The configured database, else a file under `home`."""
    url = settings.database.url
    return f"sqlite:///{home / 'bcce.db'}" if url is None else url.reveal()


def _open_home(home: Path) -> StateKeys:
    """The keys in the folder for state; both are made at the first start."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = StateKeys.load_or_create(home / "keys")
    except OSError as error:
        raise InvalidInput(f"state cannot be kept in {home}: {error.strerror}", hint="BCCE_HOME names another folder") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise InvalidInput(f"state cannot be kept in {home}: it cannot be written", hint="BCCE_HOME names another folder")
    return keys


@asynccontextmanager
async def open_runtime(settings: Settings, *, home: Path, overrides: Overrides | None = None, works: bool = True) -> AsyncIterator[Runtime]:
    """Everything, open inside the `async with`. `works` False opens the services without advancing runs, for commands that only look.

    Raises:
        DatabaseLocked: another process has the embedded database; talk to it instead.
        InvalidInput: nothing can be kept in `home`.
    """
    replaced = overrides or Overrides()
    clock = replaced.clock or SystemClock()
    async with AsyncExitStack() as stack:
        ids = Ids(clock)
        keys = _open_home(home)
        audit = AuditLog(keys.audit, clock, ids)
        hooks = Hooks(before_commit=lambda conn: _sequence(audit, conn), sequenced=frozenset({"audit"}), cipher=keys.cipher)
        url = database_url(settings, home)
        opened = await stack.enter_async_context(open_database(url, clock=clock, ids=ids, fence_table=workflow_tables.runs, hooks=hooks))
        await migrate(opened)
        await _check_keys(opened, keys)
        db = replaced.database(opened) if replaced.database is not None else opened
        builder = _Builder(settings, home, db, clock, ids, keys, audit)
        runtime, engine, worker = builder.build(replaced)
        stack.push_async_callback(runtime.index.close)
        await runtime.tokens.ensure_admin(admin_token_path(home))
        await _register(runtime)
        if works:
            stack.push_async_callback(_checkpoint, runtime, {})
            task = asyncio.create_task(_checkpoint_loop(runtime), name="audit-checkpoints")
            stack.push_async_callback(_end, task)
            await worker.start(engine)
            stack.push_async_callback(worker.stop)
            await runtime.pipeline.start()
            stack.push_async_callback(runtime.pipeline.stop)
            await runtime.courier.start()
            stack.push_async_callback(runtime.courier.stop)
        yield runtime


async def _check_keys(db: Database, keys: StateKeys) -> None:
    """A database that has records knows its keys: new ones would make every record look forged and every secret unreadable.

    Raises:
        LostKeys: there are records, and a key had to be made; the files that were made are gone again.
    """
    known = await db.read(audit_heads) if keys.created else {}
    if known:
        for path in keys.created:
            path.unlink(missing_ok=True)
        names = ", ".join(str(path) for path in keys.created)
        raise LostKeys(
            f"this database was written with keys that are not here: {names}",
            hint="restore them from the backup of BCCE's home, or from the other server of this database",
        )


def _sequence(audit: AuditLog, conn: Connection) -> None:
    audit.sequence(conn)


class _Builder:
    """Wires one runtime. Only here does a service learn of another one's implementation."""

    def __init__(self, settings: Settings, home: Path, db: Database, clock: Clock, ids: Ids, keys: StateKeys, audit: AuditLog) -> None:
        self._settings = settings
        self._home = home
        self._db = db
        self._clock = clock
        self._ids = ids
        self._keys = keys
        self._audit = audit
        self._services = Services()

    def build(self, replaced: Overrides) -> tuple[Runtime, Engine, WorkflowWorker]:
        services, settings, db, clock, ids = self._services, self._settings, self._db, self._clock, self._ids
        metrics = services.add(Metrics, Metrics())
        self._offer_basics()
        providers = Registry("bcce.alert_providers", AlertProvider).build_all(services)  # type: ignore[type-abstract]  # a door
        validators = Registry("bcce.script_validators", ScriptValidator).build_all(services)  # type: ignore[type-abstract]  # a door
        policy = self._settings.safety.policy
        safety = services.add(SafetyService, SafetyService(validators, load_policy(Path(policy) if policy is not None else None)))
        incidents = services.add(IncidentService, IncidentService(db=db, clock=clock, ids=ids, audit=self._audit))
        index = self._services.add(SearchIndex, SearchIndex(self._home / "knowledge-index.sqlite"))
        knowledge = services.add(KnowledgeService, KnowledgeService(db=db, clock=clock, audit=self._audit, index=index))
        approvals = services.add(
            ApprovalService,
            ApprovalService(db=db, clock=clock, ids=ids, audit=self._audit, settings=settings.approvals, record_fact=_record_fact),
        )
        book = services.add(TicketBook, Registry("bcce.ticket_books", TicketBook).build(settings.itsm.book, services))  # type: ignore[type-abstract]  # a door
        executors = replaced.executors or Registry("bcce.executors", Executor).build_all(services)  # type: ignore[type-abstract]  # a door
        services.add(Executors, Executors(executors))
        self._offer_remediation(safety)
        expressions = Expressions()
        # One step type starts runs, so the service is there before the types that it looks at.
        step_types: dict[str, StepType] = {}
        connectors = Registry("bcce.connectors", Connector).build_all(services)  # type: ignore[type-abstract]  # a door
        connectors |= replaced.connectors or {}
        workflows = services.add(
            WorkflowService,
            WorkflowService(
                db=db, clock=clock, ids=ids, step_types=step_types, expressions=expressions, connectors=connectors, known=self._known()
            ),
        )
        step_types |= Registry("bcce.step_types", StepType).build_all(services)  # type: ignore[type-abstract]  # a door
        step_types |= replaced.step_types or {}
        journal = Journal(db, clock, ids)
        limits = ArtifactLimits(artifact_bytes=settings.workflows.artifact_max_bytes, run_bytes=settings.workflows.artifact_run_max_bytes)
        store = ArtifactStore(db, clock, ids, limits)
        runs = RunControl(
            db=db, clock=clock, ids=ids, audit=self._audit, workflows=workflows, artifacts=store, before_again=RepairsAgain(incidents)
        )
        worker = WorkflowWorker(
            db=db,
            journal=journal,
            dispatcher=Registry("bcce.dispatchers", Dispatcher).build("local", services),  # type: ignore[type-abstract]  # a door
            admission=Admission(db=db, clock=clock, ids=ids, control=runs),
            clock=clock,
            ids=ids,
            settings=settings.workflows,
            metrics=metrics,
            alone=db.dialect == "sqlite",
        )
        said = LogLimits(lines=settings.workflows.log_max_lines, bytes=settings.workflows.log_max_bytes)
        logbook = Logbook(journal, clock, said)
        recorder = Recorder(journal, expressions, store, logbook, clock, metrics)
        engine = Engine(
            journal=journal,
            recorder=recorder,
            caller=Caller(
                journal=journal,
                recorder=recorder,
                step_types=step_types,
                expressions=expressions,
                artifacts=store,
                logbook=logbook,
                clock=clock,
                worker=worker.identity,
                ring=worker.ring,
                random=random.random,
            ),
            load_definition=workflows.load,
            clock=clock,
            worker=worker.identity.id,
            limits=Limits(per_run=settings.workflows.max_parallel_steps, per_type=settings.workflows.type_limits),
            crash_limit=settings.workflows.crash_limit,
        )
        pipeline = Pipeline(
            db=db,
            clock=clock,
            incidents=incidents,
            approvals=approvals,
            workflows=workflows,
            audit=self._audit,
            settings=settings.remediation,
            ring=worker.ring,
        )
        courier = Courier(
            db=db,
            clock=clock,
            ids=ids,
            metrics=metrics,
            breakers=services.get(BreakerStore),  # type: ignore[type-abstract]  # a Protocol is the key
            parcels=Parcels(db=db, connectors=connectors, workflows=workflows, expressions=expressions, secrets=services.get(SecretStore)),
            settings=settings.workflows.integrations,
            random=random.random,
        )
        health = HealthChecks()
        health.add("database", lambda: _truth(db.healthy()))
        health.add("pipeline", lambda: _truth(pipeline.is_following))
        health.add("integrations", lambda: _truth(courier.is_following))
        where = settings.security.checkpoint_path
        checkpoints = Checkpoints(
            Path(where) if where else self._home / "audit-checkpoints.jsonl", self._keys.signer, self._keys.signer.verifier()
        )
        runtime = Runtime(
            settings=settings,
            home=self._home,
            db=db,
            clock=clock,
            ids=ids,
            metrics=metrics,
            health=health,
            audit=self._audit,
            checkpoints=checkpoints,
            tokens=TokenService(db, clock, ids, self._audit),
            alerts=AlertService(db=db, clock=clock, ids=ids, providers=providers, metrics=metrics),
            incidents=incidents,
            knowledge=knowledge,
            index=index,
            approvals=approvals,
            dispatches=DispatchService(db=db, clock=clock, ids=ids, audit=self._audit, incidents=incidents),
            itsm=ItsmService(db=db, book=book),
            safety=safety,
            workflows=workflows,
            workflow_files=WorkflowFolder(workflows, Path(folder) if (folder := settings.workflows.directory) is not None else None),
            runs=runs,
            groups=ConcurrencyGroups(db),
            integrations=IntegrationLanes(db),
            courier=courier,
            artifacts=RunArtifacts(db),
            logs=RunLogs(db, workflows),
            pipeline=pipeline,
            ring=worker.ring,
        )
        return runtime, engine, worker

    def _offer_basics(self) -> None:
        services, settings = self._services, self._settings
        services.add(Database, self._db)  # type: ignore[type-abstract]  # a Protocol is the key
        services.add(Clock, self._clock)  # type: ignore[type-abstract]  # a Protocol is the key
        services.add(Ids, self._ids)
        services.add(BreakerStore, DatabaseBreakers(self._db))  # type: ignore[type-abstract]  # a Protocol is the key
        services.add(AuditLog, self._audit)
        services.add(Verifier, self._keys.signer.verifier())  # type: ignore[type-abstract]  # a Protocol is the key
        services.add(AlertSettings, settings.alerts)
        services.add(ApprovalSettings, settings.approvals)
        services.add(ExecutionSettings, settings.execution)
        services.add(RemediationSettings, settings.remediation)
        services.add(WorkflowSettings, settings.workflows)
        secrets = {name: SecretOrigin.parse(place) for name, place in settings.workflows.secrets.items()}
        services.add(SecretStore, SecretStore(secrets, settings.workflows.variables, process_environ, self._read_input))

    async def _read_input(self, run_id: str, name: str) -> Hidden | None:
        return (await self._db.read(lambda conn: get_secret_inputs(conn, RunId(run_id)))).get(name)

    def _known(self) -> KnownReferences:
        store = self._services.get(SecretStore)
        return KnownReferences(secrets=store.secret_names, variables=store.variable_names)

    def _offer_remediation(self, safety: SafetyService) -> None:
        services, settings = self._services, self._settings
        targets = services.add(
            Targets, Targets(settings.execution.resolved_targets(self._home / "jobs"), settings.execution.target_groups())
        )
        services.add(
            Gate,
            Gate(
                clock=self._clock,
                ids=self._ids,
                safety=safety,
                targets=targets,
                audit=self._audit,
                signer=self._keys.signer,
                settings=settings.remediation,
                environment=settings.env,
            ),
        )
        planner = Registry("bcce.planners", Planner).build(settings.remediation.planner, services)  # type: ignore[type-abstract]  # a door
        services.add(Planner, planner)  # type: ignore[type-abstract]  # a Protocol is the key


def _record_fact(conn: Connection, run_id: RunId, gate_id: GateId, payload: Mapping[str, object]) -> None:
    """A decision is a fact of its run; what was decided is in the approval's own rows. Only what people answer can come too late."""
    if payload.get("decision") in tuple(Decision):
        record_answer(conn, run_id, gate_id)
    else:
        record_fact(conn, run_id)


async def _truth(value: bool) -> bool:
    return value


async def _register(runtime: Runtime) -> None:
    """Registers the built-in workflows, those of the configured folder, and the configured folder of SOPs."""
    actor = system_actor("start")
    texts = {
        name: files("bcce.remediation").joinpath("workflows", f"{name}.yaml").read_text(encoding="utf-8") for name in _BUILT_IN_WORKFLOWS
    }
    await runtime.workflow_files.load(actor, texts)
    if runtime.settings.knowledge.directory is not None:
        result = await runtime.knowledge.load_directory(actor, Path(runtime.settings.knowledge.directory))
        for failure in result.failed:
            log.error("knowledge.file_refused", problem=str(failure))


async def _checkpoint(runtime: Runtime, known: dict[str, int]) -> None:
    with contextlib.suppress(BcceError):
        await take_checkpoint(runtime.db, runtime.checkpoints, runtime.clock.now(), known)


async def _checkpoint_loop(runtime: Runtime) -> None:
    known: dict[str, int] = {}
    while True:
        await runtime.clock.sleep(runtime.settings.security.checkpoint_s)
        await _checkpoint(runtime, known)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
