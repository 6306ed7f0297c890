"""Alembic runs this file; the connection, and the transaction around all revisions, are the caller's.

The version's table has a name of its own, so that MLflow may live in the same database."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], render_as_batch=True, version_table="churn_schema_version"
)
context.run_migrations()
