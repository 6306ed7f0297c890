"""What became of customers, by the pseudonyms of the prediction log; and what was said of them before."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """`left_at` is null for who has not left; both times are UTC, on SQLite in seconds since 1970 as in the log."""
    moment = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")

    def columns(*, keyed: bool) -> list[sa.Column[Any]]:
        return [
            sa.Column("model", sa.Text, primary_key=keyed, nullable=False),
            sa.Column("customer", sa.LargeBinary, primary_key=keyed, nullable=False),
            sa.Column("left_at", moment),
            sa.Column("known_until", moment, nullable=False),
            sa.Column("loaded_at", moment, nullable=False),
        ]

    op.create_table("outcomes", *columns(keyed=True))
    op.create_table("outcome_history", *columns(keyed=False), sa.Column("replaced_at", moment, nullable=False))
    op.create_index("outcome_history_customer", "outcome_history", ["model", "customer"])


def downgrade() -> None:
    """Drops both tables."""
    op.drop_table("outcome_history")
    op.drop_table("outcomes")
