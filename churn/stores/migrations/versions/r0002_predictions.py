"""The prediction log: predictions by month, what their features are called, and who asked to be forgotten."""

import sqlalchemy as sa
from alembic import op

from churn.stores.prediction_log import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """The tables; on PostgreSQL also the function that makes months and the view for people.

    On SQLite they may be there already: a predictor makes them when it finds none."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in schema.SQLITE:
            op.execute(statement)
        return
    name = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for statement in schema.POSTGRES:
        op.execute(statement.replace("{schema}", name))


def downgrade() -> None:
    """Drops all of it."""
    if op.get_bind().dialect.name == "sqlite":
        for table in schema.TABLES:
            op.drop_table(table)
        return
    for statement in schema.POSTGRES_DROP:
        op.execute(statement)
