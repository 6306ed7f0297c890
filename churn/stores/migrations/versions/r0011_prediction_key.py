"""Which key the customers' names in the prediction log are made with: another would name nobody who is in it."""

from alembic import op

from churn.stores.prediction_log import schema

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """The table; on SQLite it may be there already, as the rest of the log may."""
    op.execute(schema.SQLITE_KEY if op.get_bind().dialect.name == "sqlite" else schema.POSTGRES_KEY)


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("prediction_key")
