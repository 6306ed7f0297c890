"""Who was told what: a row a thing that people were told about, and a row a channel that still waits to hear of it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """`notice` and `message` are JSON documents; `about` and `channels` are JSON lists of what, and whom, was told.

    No customer is in either table, and no secret."""
    moment = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")
    op.create_table(
        "notices",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("first_seen", moment, nullable=False),
        sa.Column("last_seen", moment, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("told_at", moment, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("recovered_at", moment),
    )
    op.create_table(
        "notice_queue",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("since", moment, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("taken_until", moment),
    )


def downgrade() -> None:
    """Drops both tables."""
    op.drop_table("notice_queue")
    op.drop_table("notices")
