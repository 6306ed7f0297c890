"""What the log needs of a database, whichever it is."""

from __future__ import annotations

from typing import Protocol

from churn.stores.addresses import sqlite_file
from churn.stores.prediction_log.records import Logged
from churn.stores.prediction_log.segments import Batch

LONGEST_TEXT = 256
_LATEST = 4102444799.0  # the last second of 2099


class Refused(Exception):  # noqa: N818 - the database's word
    """The database answers, and will never take these rows. Carries a kind, no values."""


class Away(Exception):  # noqa: N818
    """The database cannot take rows now: not there, overloaded, without tables or rights. Carries a kind."""


class Sink(Protocol):
    """Inserts batches, each exactly once however often it is tried."""

    def connect(self) -> None:
        """Makes sure of a connection, before anything is read that could not be written. Raises Away."""

    def insert(self, batch: Batch) -> None:
        """Returns once the batch is committed. Raises Refused or Away, and then nothing of it is."""

    def close(self) -> None:
        """Lets go of the connection; the next insert makes another."""


def sink(url: str) -> Sink:
    """The sink for a `postgresql://` or `sqlite:///` address. Connects when it is used."""
    if sqlite_file(url) is None:
        from churn.stores.prediction_log.postgres import PostgresSink

        return PostgresSink(url)
    from churn.stores.prediction_log.sqlite import SqliteSink

    return SqliteSink(url)


def moment(at: float) -> float:
    """A time that every database and every month can hold, whatever the clock said."""
    return min(max(at, 0.0), _LATEST) if at == at else 0.0  # noqa: PLR0124 - NaN


def text(value: str) -> str:
    """A text that every database takes: of bounded length, without NUL."""
    return value[:LONGEST_TEXT].replace("\0", "")


def customers(record: Logged) -> list[bytes | None]:
    """A pseudonym or None for each row."""
    return [None] * record.rows if record.customers is None else record.customers
