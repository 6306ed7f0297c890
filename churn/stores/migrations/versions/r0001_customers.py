"""The table of customers: snapshots of the telco data set under its own names, so that its contract reads them as is.

What is not known is null, the outcome of a young snapshot too."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SERVICES = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies")


def upgrade() -> None:
    """One row a customer and snapshot."""
    op.create_table(
        "customers",
        sa.Column("customerID", sa.Text, primary_key=True),
        sa.Column("snapshot_date", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("gender", sa.Text),
        sa.Column("SeniorCitizen", sa.SmallInteger),
        sa.Column("Partner", sa.Text),
        sa.Column("Dependents", sa.Text),
        sa.Column("tenure", sa.Integer),
        sa.Column("PhoneService", sa.Text),
        sa.Column("MultipleLines", sa.Text),
        sa.Column("InternetService", sa.Text),
        *(sa.Column(name, sa.Text) for name in _SERVICES),
        sa.Column("Contract", sa.Text),
        sa.Column("PaperlessBilling", sa.Text),
        sa.Column("PaymentMethod", sa.Text),
        sa.Column("MonthlyCharges", sa.Double),
        sa.Column("TotalCharges", sa.Double),
        sa.Column("Churn", sa.Text),
    )
    op.create_index("customers_snapshot_date", "customers", ["snapshot_date"])


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("customers")
