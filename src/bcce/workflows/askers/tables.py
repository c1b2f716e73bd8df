"""Who signalled a run, tried it again, cancelled it, or wanted the run that it repeats."""

from sqlalchemy import Column, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Name, UtcDateTime, tenant_column

#: `run_id` is the outermost run. No foreign key to it: whoever signals a run must not lock the one that started it.
run_askers = Table(
    "run_askers",
    metadata,
    Column("run_id", Id(), primary_key=True),
    Column("person", Name(255), primary_key=True),
    Column("how", Name(16), primary_key=True),
    tenant_column(),
    Column("at", UtcDateTime(), nullable=False),
)
