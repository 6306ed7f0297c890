"""Each score names the table that it came from: a run replaces what an earlier one of its table wrote, and no more."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Of what was written before, nobody knows: it is null, and only newer scores replace it."""
    op.add_column("scores", sa.Column("source", sa.Text))


def downgrade() -> None:
    """Drops the column."""
    op.drop_column("scores", "source")
