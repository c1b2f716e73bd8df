"""The first schema."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import CompressedBytes, Id, Json, LongText, Name, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates every table."""
    op.create_table(
        "alert_episodes",
        sa.Column("alert_id", Id(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "starts_at"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("provider", Name(64), nullable=False),
        sa.Column("source", Name(64), nullable=False),
        sa.Column("fingerprint", Name(64), nullable=False),
        sa.Column("name", Name(200), nullable=False),
        sa.Column("status", Name(16), nullable=False),
        sa.Column("severity", Name(16), nullable=False),
        sa.Column("summary", LongText(), nullable=False),
        sa.Column("description", LongText(), nullable=False),
        sa.Column("host", Name(200), nullable=True),
        sa.Column("service", Name(200), nullable=True),
        sa.Column("environment", Name(200), nullable=True),
        sa.Column("labels", Json(), nullable=False),
        sa.Column("annotations", Json(), nullable=False),
        sa.Column("links", Json(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("times_seen", sa.Integer(), nullable=False),
        sa.Column("delivery_id", Id(), nullable=False),
        sa.Column("precedence", Name(128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_alerts_tenant_id_name_starts_at_id", "alerts", ["tenant_id", "name", "starts_at", "id"], unique=False)
    op.create_index("ix_alerts_tenant_id_starts_at_id", "alerts", ["tenant_id", "starts_at", "id"], unique=False)
    op.create_index("ix_alerts_tenant_id_status_starts_at_id", "alerts", ["tenant_id", "status", "starts_at", "id"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("gate_id", Id(), nullable=False),
        sa.Column("incident_id", Id(), nullable=True),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("title", Name(255), nullable=False),
        sa.Column("shown", Json(), nullable=False),
        sa.Column("reasons", Json(), nullable=False),
        sa.Column("required_count", sa.Integer(), nullable=False),
        sa.Column("requested_by", Name(255), nullable=False),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("correlation_id", Id(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_approvals_gate", "approvals", ["gate_id"], unique=False)
    op.create_index("ix_approvals_state_expires", "approvals", ["state", "expires_at"], unique=False)
    op.create_index("ix_approvals_tenant_requested", "approvals", ["tenant_id", "requested_at", "id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", Name(160), nullable=False),
        sa.Column("action", Name(64), nullable=False),
        sa.Column("subject", Name(160), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("correlation_id", Id(), nullable=True),
        sa.Column("digest", Name(64), nullable=False),
        sa.Column("mac", Name(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("chain", Name(64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_seq", "audit", ["seq"], unique=False)
    op.create_index("ix_audit_tenant_seq", "audit", ["tenant_id", "seq"], unique=True)
    op.create_table(
        "audit_heads",
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("chain", Name(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "definitions",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("name", Name(128), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("source", LongText(), nullable=False),
        sa.Column("origin", Name(255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_definitions_tenant_name", "definitions", ["tenant_id", "name"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("provider", Name(64), nullable=False),
        sa.Column("source", Name(64), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("body", CompressedBytes(), nullable=False),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("reason", LongText(), nullable=True),
        sa.Column("alert_count", sa.Integer(), nullable=False),
        sa.Column("truncated", sa.Integer(), nullable=False),
        sa.Column("correlation_id", Id(), nullable=False),
        sa.Column("replayed_as", Id(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_deliveries_tenant_id_state_id", "deliveries", ["tenant_id", "state", "id"], unique=False)
    op.create_table(
        "dispatches",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("step_key", Name(255), nullable=False),
        sa.Column("incident_id", Id(), nullable=True),
        sa.Column("key", Id(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("target_name", Name(128), nullable=False),
        sa.Column("target", Json(), nullable=False),
        sa.Column("target_digest", Name(80), nullable=False),
        sa.Column("script_digest", Name(80), nullable=False),
        sa.Column("parameters_digest", Name(80), nullable=False),
        sa.Column("approval_digest", Name(80), nullable=False),
        sa.Column("clearance_id", Id(), nullable=False),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("output_excerpt", LongText(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_dispatches_incident", "dispatches", ["tenant_id", "incident_id"], unique=False)
    op.create_index("ix_dispatches_run_step", "dispatches", ["run_id", "step_key"], unique=False)
    op.create_index("ix_dispatches_tenant_created", "dispatches", ["tenant_id", "created_at", "id"], unique=False)
    op.create_index("uq_dispatches_key", "dispatches", ["key"], unique=True)
    op.create_table(
        "documents",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("kind", Name(16), nullable=False),
        sa.Column("slug", Name(100), nullable=False),
        sa.Column("title", Name(200), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("body", LongText(), nullable=False),
        sa.Column("front", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("origin", Name(255), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "kind", "slug", name="uq_documents_slug"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("title", LongText(), nullable=False),
        sa.Column("severity", Name(16), nullable=False),
        sa.Column("state", Name(32), nullable=False),
        sa.Column("service", Name(200), nullable=True),
        sa.Column("host", Name(200), nullable=True),
        sa.Column("fingerprint", Name(64), nullable=False),
        sa.Column("run_id", Id(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("summary", LongText(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_incidents_tenant_id_fingerprint_opened_at", "incidents", ["tenant_id", "fingerprint", "opened_at"], unique=False)
    op.create_index("ix_incidents_tenant_id_id", "incidents", ["tenant_id", "id"], unique=False)
    op.create_index("ix_incidents_tenant_id_state_id", "incidents", ["tenant_id", "state", "id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("ordinal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("type", Name(64), nullable=False),
        sa.Column("source", Name(128), nullable=False),
        sa.Column("data", Json(), nullable=False),
        sa.Column("correlation_id", Id(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("ordinal"),
    )
    op.create_index("uq_outbox_position", "outbox", ["position"], unique=True)
    op.create_table(
        "outbox_cursors",
        sa.Column("name", Name(128), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "plans",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("incident_id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_plans_incident", "plans", ["tenant_id", "incident_id"], unique=False)
    op.create_table(
        "target_locks",
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("target_digest", Name(80), nullable=False),
        sa.Column("dispatch_id", Id(), nullable=False),
        sa.Column("acquired_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "target_digest"),
    )
    op.create_table(
        "tickets",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("open_key", Name(200), nullable=False),
        sa.Column("title", Name(255), nullable=False),
        sa.Column("description", LongText(), nullable=False),
        sa.Column("severity", Name(16), nullable=False),
        sa.Column("incident_id", Id(), nullable=True),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("resolution", LongText(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tickets_incident", "tickets", ["tenant_id", "incident_id"], unique=False)
    op.create_index("ix_tickets_tenant_opened", "tickets", ["tenant_id", "opened_at", "id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("kind", Name(16), nullable=False),
        sa.Column("name", Name(120), nullable=False),
        sa.Column("role", Name(32), nullable=True),
        sa.Column("provider", Name(64), nullable=True),
        sa.Column("source", Name(64), nullable=True),
        sa.Column("prefix", Name(16), nullable=False),
        sa.Column("hash", Name(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", Name(160), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tokens_hash", "tokens", ["hash"], unique=True)
    op.create_table(
        "workers",
        sa.Column("id", Id(), nullable=False),
        sa.Column("incarnation", Id(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "alert_notifications",
        sa.Column("delivery_id", Id(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("alert_id", Id(), nullable=False),
        sa.Column("status", Name(16), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_alert_notifications_delivery_id")),
        sa.PrimaryKeyConstraint("delivery_id", "ordinal"),
    )
    op.create_index(
        "ix_alert_notifications_alert_id_delivery_id_ordinal", "alert_notifications", ["alert_id", "delivery_id", "ordinal"], unique=False
    )
    op.create_table(
        "approval_decisions",
        sa.Column("approval_id", Id(), nullable=False),
        sa.Column("actor_id", Name(255), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("actor_name", Name(255), nullable=False),
        sa.Column("decision", Name(16), nullable=False),
        sa.Column("comment", LongText(), nullable=False),
        sa.Column("digest_seen", Name(80), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("fk_approval_decisions_approval_id")),
        sa.PrimaryKeyConstraint("approval_id", "actor_id"),
    )
    op.create_table(
        "document_names",
        sa.Column("document_id", Id(), nullable=False),
        sa.Column("kind", Name(16), nullable=False),
        sa.Column("name", Name(200), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_document_names_document_id")),
        sa.PrimaryKeyConstraint("document_id", "kind", "name"),
    )
    op.create_index("ix_document_names_name", "document_names", ["tenant_id", "name"], unique=False)
    op.create_table(
        "document_versions",
        sa.Column("document_id", Id(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("body", LongText(), nullable=False),
        sa.Column("origin", Name(255), nullable=False),
        sa.Column("actor", Name(255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_document_versions_document_id")),
        sa.PrimaryKeyConstraint("document_id", "version"),
    )
    op.create_table(
        "incident_alerts",
        sa.Column("alert_id", Id(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("incident_id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_alerts_incident_id")),
        sa.PrimaryKeyConstraint("alert_id", "starts_at"),
    )
    op.create_index("ix_incident_alerts_incident_id", "incident_alerts", ["incident_id"], unique=False)
    op.create_table(
        "incident_timeline",
        sa.Column("incident_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", Name(200), nullable=False),
        sa.Column("kind", Name(64), nullable=False),
        sa.Column("text", LongText(), nullable=False),
        sa.Column("data", Json(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_timeline_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", "seq"),
    )
    op.create_table(
        "runs",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("definition_id", Id(), nullable=False),
        sa.Column("definition_format", sa.Integer(), nullable=False),
        sa.Column("workflow", Name(128), nullable=False),
        sa.Column("queue", Name(64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", Name(32), nullable=False),
        sa.Column("inputs", Json(), nullable=False),
        sa.Column("output", Json(), nullable=True),
        sa.Column("error", Json(), nullable=True),
        sa.Column("correlation_id", Id(), nullable=False),
        sa.Column("subject", Id(), nullable=True),
        sa.Column("wake_at", UtcDateTime(), nullable=True),
        sa.Column("wake_seq", sa.Integer(), nullable=False),
        sa.Column("seen_seq", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("lease_owner", Id(), nullable=True),
        sa.Column("suspect", sa.Boolean(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("parent_id", Id(), nullable=True),
        sa.Column("parent_key", Name(255), nullable=True),
        sa.Column("cancel_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["definition_id"], ["definitions.id"], name=op.f("fk_runs_definition_id")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_runs_state_wake", "runs", ["state", "wake_at"], unique=False)
    op.create_index("ix_runs_subject", "runs", ["tenant_id", "subject"], unique=False)
    op.create_index("ix_runs_tenant_created", "runs", ["tenant_id", "created_at", "id"], unique=False)
    op.create_table(
        "ticket_notes",
        sa.Column("ticket_id", Id(), nullable=False),
        sa.Column("note_key", Name(200), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", Name(16), nullable=False),
        sa.Column("text", LongText(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_notes_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", "note_key"),
    )
    op.create_table(
        "gates",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("step_key", Name(255), nullable=False),
        sa.Column("kind", Name(32), nullable=False),
        sa.Column("name", Name(255), nullable=False),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_gates_run_id")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_gates_run", "gates", ["run_id"], unique=False)
    op.create_index("ix_gates_waiting", "gates", ["tenant_id", "state", "kind", "name"], unique=False)
    op.create_table(
        "signals",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("name", Name(255), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("payload", Json(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_signals_run_id")),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )
    op.create_table(
        "steps",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("step_key", Name(255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("type", Name(128), nullable=False),
        sa.Column("effect", Name(16), nullable=False),
        sa.Column("state", Name(32), nullable=False),
        sa.Column("input_digest", Name(80), nullable=False),
        sa.Column("output", Json(), nullable=True),
        sa.Column("error", Json(), nullable=True),
        sa.Column("waiting_for", Name(255), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("wake_at", UtcDateTime(), nullable=True),
        sa.Column("deadline_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_steps_run_id")),
        sa.PrimaryKeyConstraint("run_id", "step_key", "attempt"),
    )
