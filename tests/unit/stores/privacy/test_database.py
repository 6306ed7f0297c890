from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from churn.stores.database import engine, migrate
from churn.stores.privacy.database import WITH_CUSTOMERS, WITHOUT_CUSTOMERS


def test_of_every_table_it_is_known_whether_customers_are_in_it(tmp_path: Path) -> None:
    """A new one must be named, and if there are customers in it, get a place that erases them."""
    url = f"sqlite:///{tmp_path}/churn.db"
    migrate(url)
    tables = set(sa.inspect(engine(url)).get_table_names())
    assert tables >= WITH_CUSTOMERS
    assert tables - WITH_CUSTOMERS - WITHOUT_CUSTOMERS == set()
    assert not WITH_CUSTOMERS & WITHOUT_CUSTOMERS
