"""The tables of concurrency groups.

A run of a workflow without `concurrency` has no row here. Whether a place is taken is not written down: it is while its run has a turn and
is not over, so a run that ends, however it ends, gives its place back in that same commit.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Name, tenant_column

#: One row for each group, which is locked before anything about the group is decided.
groups = Table(
    "concurrency_groups",
    metadata,
    Column("tenant_id", Id(), primary_key=True),
    Column("name", Name(255), primary_key=True),
)

places = Table(
    "concurrency_places",
    metadata,
    # The order in which runs came.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run_id", Id(), nullable=False),
    tenant_column(),
    Column("group_name", Name(255), nullable=False),
    Column("at_most", Integer, nullable=False),
    Column("cancels", Boolean(create_constraint=False), nullable=False),
    Column("has_turn", Boolean(create_constraint=False), nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
    Index("uq_concurrency_places_run", "run_id", unique=True),
    Index("ix_concurrency_places_group", "tenant_id", "group_name", "has_turn", "number"),
    Index("ix_concurrency_places_cancels", "tenant_id", "group_name", "has_turn", "cancels", "number"),
)
