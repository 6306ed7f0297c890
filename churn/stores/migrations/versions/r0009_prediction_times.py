"""On PostgreSQL a prediction's time is found by where its row lies: rows come in order, and the index by model, version
and time cost each a search of its own."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """A block range index in place of a tree."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP INDEX predictions_model")
        op.execute("CREATE INDEX predictions_time ON predictions USING brin (predicted_at) WITH (autosummarize = on)")


def downgrade() -> None:
    """The tree again."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP INDEX predictions_time")
        op.execute("CREATE INDEX predictions_model ON predictions (model, version, predicted_at)")
