"""What monitoring found: a row a judgement of a window, and a row a version and week of predictions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

_MEASURES = ("auc", "brier", "calibration", "profit")


def upgrade() -> None:
    """`findings` is a JSON list, an object a column, as the report has them; `drifted` the names of those that have."""
    moment = sa.DateTime(timezone=True).with_variant(sa.Double, "sqlite")
    document = sa.Text().with_variant(JSONB, "postgresql")
    op.create_table(
        "drift_reports",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("as_of", moment, primary_key=True),
        sa.Column("since", moment, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("judged", sa.Integer, nullable=False),
        sa.Column("age_days", sa.Double),
        sa.Column("positive_rate", sa.Double),
        sa.Column("positive_rate_before", sa.Double, nullable=False),
        sa.Column("drifted", document, nullable=False),
        sa.Column("findings", document, nullable=False),
    )
    op.create_table(
        "model_performance",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("week", sa.Date, primary_key=True),
        sa.Column("as_of", moment, nullable=False),
        sa.Column("predictions", sa.Integer, nullable=False),
        sa.Column("judged", sa.Integer, nullable=False),
        sa.Column("pending", sa.Integer, nullable=False),
        sa.Column("leavers", sa.Integer, nullable=False),
        *(sa.Column(f"{name}{end}", sa.Double) for name in _MEASURES for end in ("", "_low", "_high")),
        sa.Column("ece", sa.Double),
    )


def downgrade() -> None:
    """Drops both tables."""
    op.drop_table("model_performance")
    op.drop_table("drift_reports")
