"""For how long customers are known to have stayed: of some who left it is known by when, and not when."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_TABLES = ("outcomes", "outcome_history")


def upgrade() -> None:
    """`stayed_until` is null where nobody knows: of leavers by the contract's word alone, who stand with one time."""
    moment = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")
    for table in _TABLES:
        op.add_column(table, sa.Column("stayed_until", moment))
        op.execute(
            f"UPDATE {table} SET stayed_until = coalesce(left_at, known_until) "  # noqa: S608 - a name of this module
            "WHERE left_at IS NULL OR left_at < known_until"
        )


def downgrade() -> None:
    """Drops the column."""
    for table in _TABLES:
        op.drop_column(table, "stayed_until")
