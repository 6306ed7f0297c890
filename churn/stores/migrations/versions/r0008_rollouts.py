"""What rollout did: a row each time it changed who answers whom."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """`champion`, `challenger` and `share` are as they were afterwards, in the traffic document's `revision`."""
    moment = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")
    op.create_table(
        "rollout_decisions",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("at", moment, primary_key=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("champion", sa.Integer, nullable=False),
        sa.Column("challenger", sa.Integer),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("rollout_decisions")
