"""Alembic runs this file; the connection, and the transaction around all revisions, are the caller's."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
