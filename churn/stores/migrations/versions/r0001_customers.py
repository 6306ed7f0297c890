"""The table of customers: monthly snapshots of the telco data set, spelled as in the source; no outcome yet is null."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXTS = (
    "gender",
    "partner",
    "dependents",
    "phone_service",
    "multiple_lines",
    "internet_service",
    "online_security",
    "online_backup",
    "device_protection",
    "tech_support",
    "streaming_tv",
    "streaming_movies",
    "contract",
    "paperless_billing",
    "payment_method",
    "churn",
)


def upgrade() -> None:
    """One row a customer and snapshot."""
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("snapshot_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("senior_citizen", sa.SmallInteger),
        sa.Column("tenure", sa.Integer),
        sa.Column("monthly_charges", sa.Double),
        sa.Column("total_charges", sa.Double),
        *(sa.Column(name, sa.Text) for name in _TEXTS),
    )
    op.create_index("customers_snapshot_at", "customers", ["snapshot_at"])


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("customers")
