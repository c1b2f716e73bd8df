"""Alembic's entry: runs on the connection that `bcce.runtime.schema` hands over."""

from alembic import context

from bcce.runtime.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, compare_type=False, render_as_batch=False)
# The caller's transaction is the migration's: it commits all of it or nothing.
context.run_migrations()
