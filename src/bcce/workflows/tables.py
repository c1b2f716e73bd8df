"""The journal's tables: definitions, runs, steps, workers.

`runs` holds readiness (DESIGN: facts bump `wake_seq`, a segment parks only if it has seen the latest), so the order of all facts of a run
is
the order of updates to its row.
"""

from sqlalchemy import Boolean, Column, ForeignKeyConstraint, Index, Integer, Table, false, text

from bcce.storage.metadata import metadata
from bcce.storage.types import Encrypted, Id, Json, LongText, Name, UtcDateTime, tenant_column

definitions = Table(
    "definitions",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("name", Name(128), nullable=False),
    Column("digest", Name(80), nullable=False),
    Column("format", Integer, nullable=False),
    Column("source", LongText(), nullable=False),
    Column("origin", Name(255), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("is_current", Boolean(create_constraint=False), nullable=False),
    Index("ix_definitions_tenant_name", "tenant_id", "name"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("definition_id", Id(), nullable=False),
    Column("definition_format", Integer, nullable=False),
    Column("workflow", Name(128), nullable=False),
    Column("queue", Name(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Name(32), nullable=False),
    Column("inputs", Json(), nullable=False),
    Column("output", Json()),
    Column("error", Json()),
    Column("correlation_id", Id(), nullable=False),
    Column("subject", Id()),
    Column("wake_at", UtcDateTime()),
    Column("wake_seq", Integer, nullable=False),
    Column("seen_seq", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_owner", Id()),
    Column("suspect", Boolean(create_constraint=False), nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("company", Integer, nullable=False, default=0, server_default="0"),
    Column("deaths", Integer, nullable=False, default=0, server_default="0"),
    Column("parent_id", Id()),
    Column("parent_key", Name(255)),
    Column("cancel_at", UtcDateTime()),
    # The run with which this one is paused because that one waits for it; none when somebody paused this very one.
    Column("paused_with", Id()),
    Column("started_by", Name(255)),
    Column("rerun_of", Id()),
    Column("rerun_from", Name(64)),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("started_at", UtcDateTime()),
    Column("ended_at", UtcDateTime()),
    ForeignKeyConstraint(["definition_id"], ["definitions.id"]),
    Index("ix_runs_state_wake", "state", "wake_at"),
    Index("ix_runs_tenant_created", "tenant_id", "created_at", "id"),
    Index("ix_runs_subject", "tenant_id", "subject"),
    # Few runs at a time are in one of these, so that they cost the many others nothing (MariaDB knows no partial indexes).
    Index("ix_runs_owner", "lease_owner", sqlite_where=text("lease_owner IS NOT NULL"), postgresql_where=text("lease_owner IS NOT NULL")),
    Index("ix_runs_parent", "parent_id", sqlite_where=text("parent_id IS NOT NULL"), postgresql_where=text("parent_id IS NOT NULL")),
    Index("ix_runs_suspect", "suspect", sqlite_where=text("suspect = 1"), postgresql_where=text("suspect")),
)

#: Values of secret inputs; the run's own row only says that there is one.
secret_inputs = Table(
    "secret_inputs",
    metadata,
    Column("run_id", Id(), primary_key=True),
    Column("name", Name(128), primary_key=True),
    tenant_column(),
    # The value, or, if that is what the run that started this one gave, the names of what it is made of.
    Column("value", Encrypted("secret_inputs.value"), nullable=False),
    Column("is_reference", Boolean(create_constraint=False), nullable=False, default=False, server_default=false()),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", Id(), primary_key=True),
    Column("step_key", Name(255), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    tenant_column(),
    Column("type", Name(128), nullable=False),
    Column("effect", Name(16), nullable=False),
    Column("state", Name(32), nullable=False),
    Column("input_digest", Name(80), nullable=False),
    Column("output", Json()),
    Column("error", Json()),
    Column("waiting_for", Name(255)),
    Column("started_at", UtcDateTime(), nullable=False),
    Column("ended_at", UtcDateTime()),
    Column("wake_at", UtcDateTime()),
    Column("deadline_at", UtcDateTime()),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
)

gates = Table(
    "gates",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("run_id", Id(), nullable=False),
    Column("step_key", Name(255), nullable=False),
    Column("kind", Name(32), nullable=False),
    Column("name", Name(255), nullable=False),
    Column("state", Name(16), nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
    Index("ix_gates_waiting", "tenant_id", "state", "kind", "name"),
    Index("ix_gates_run", "run_id"),
)

signals = Table(
    "signals",
    metadata,
    Column("run_id", Id(), primary_key=True),
    Column("name", Name(255), primary_key=True),
    tenant_column(),
    Column("payload", Json(), nullable=False),
    Column("received_at", UtcDateTime(), nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("incarnation", Id(), nullable=False),
    Column("started_at", UtcDateTime(), nullable=False),
    Column("lease_until", UtcDateTime(), nullable=False),
)
