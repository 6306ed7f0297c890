"""The database's schema, one Alembic revision a file; `churn.stores.database.migrate` runs them."""
