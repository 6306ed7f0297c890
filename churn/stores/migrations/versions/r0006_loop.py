"""What retraining decided, a row a run; and who holds what only one process may do at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """`version` is the champion when it was decided, `new_version` what came of it; no customer is in either table."""
    moment = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", moment, nullable=False),
    )
    op.create_table(
        "retrainings",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("as_of", moment, primary_key=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("retrain", sa.Boolean, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("since", moment),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("new_version", sa.Integer),
    )


def downgrade() -> None:
    """Drops both tables."""
    op.drop_table("retrainings")
    op.drop_table("leases")
