"""What is known to have become of the customer, and what was said of it before."""

# ruff: noqa: S608 - values are parameters; names are this module's
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from churn.stores.privacy.customer import Customer
from churn.stores.privacy.database import database
from churn.stores.privacy.places import Held

_TABLES = ("outcomes", "outcome_history")


class LoadedOutcomes:
    """Outcomes and their history, by the pseudonyms of the log. An outcome from before the erasure is not let in again
    once the log has marked it."""

    name = "outcomes"

    def __init__(self, url: str, customer: Customer) -> None:
        self._url, self._names = url, list(customer.pseudonyms)

    def find(self) -> Iterator[Held]:
        """Tables with rows."""
        with database(self._url) as asked:
            for table in _TABLES:
                found = asked.run(f"SELECT count(*) FROM {table} WHERE {self._among()}", self._names, table)
                if found and found[0][0]:
                    yield Held(self.name, table, int(found[0][0]))

    def erase(self) -> Iterator[Held]:
        """Deletes the rows of both tables in one transaction."""
        with database(self._url) as asked:
            gone = {
                table: len(asked.run(f"DELETE FROM {table} WHERE {self._among()} RETURNING 1", self._names, table))
                for table in _TABLES
            }
        yield from (Held(self.name, table, rows) for table, rows in gone.items() if rows)

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The rows by column."""
        with database(self._url) as asked:
            for table in _TABLES:
                found = asked.run(f"SELECT * FROM {table} WHERE {self._among()}", self._names, table)
                if found:
                    named = [dict(zip(asked.columns, row, strict=True)) for row in found]
                    yield table, [row | {"customer": bytes(row["customer"])} for row in named]

    def _among(self) -> str:
        return f"customer IN ({', '.join(['%s'] * len(self._names)) or 'NULL'})"
