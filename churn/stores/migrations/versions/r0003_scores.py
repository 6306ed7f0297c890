"""The scores that applications read: each customer's newest, by model."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One row a model and customer; `as_of` says how new it is, `reasons` is a JSON list of sentences or null."""
    op.create_table(
        "scores",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("event_timestamp", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("decision", sa.Boolean, nullable=False),
        sa.Column("risk", sa.Text, nullable=False),
        sa.Column("recommendation", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text),
    )
    op.create_index("scores_as_of", "scores", ["model", "as_of"])


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("scores")
