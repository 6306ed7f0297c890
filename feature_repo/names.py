"""What things are called in Feast, and where a run's sources lie. Needs no Feast."""

from __future__ import annotations

import re

import msgspec
import pyarrow as pa

from churn.domain.contract import Contract

EVENT_TIMESTAMP = "event_timestamp"
ENTITY_ID = "entity_id"
"""The entity key of a table without one: the hash of the row's content."""

_SWALLOWED = re.compile(r"(.*_y|rn|entity_row_id|event_expire_timestamp|__log_date)_*")


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model's features lie in the online store: a bundle carries it, so that it finds them for good."""

    project: str
    view: str


def project(contract: Contract, *, logged: bool = False) -> str:
    """The contract's Feast project: its name, in the letters that Feast allows on every store.

    Features of `logged` rows, which stand under the prediction log's pseudonyms, have a project of their own: nobody
    who asks about customers is to meet them."""
    return contract.name.replace("-", "_") + ("__log" if logged else "")


def raw_view(contract: Contract) -> str:
    """The view of the contract's columns; the one that is materialised."""
    return f"raw_{contract.digest[:12]}"


def derived_view(contract: Contract) -> str:
    """The view of the derived features; offline only, at request time they are derived anew."""
    return f"derived_{contract.digest[:12]}"


def service(contract: Contract) -> str:
    """The feature service: all features of the model."""
    return f"model_{contract.digest[:12]}"


def layout(contract: Contract) -> Layout:
    """Where the online values of this contract lie."""
    return Layout(project=project(contract), view=raw_view(contract))


def key(contract: Contract) -> str:
    """The column that holds the entity key."""
    return contract.key.column if contract.key else ENTITY_ID


def key_type(contract: Contract) -> pa.DataType:
    """The Arrow type of the entity key: int64 or string."""
    return pa.int64() if contract.key and contract.key.type == "integer" else pa.string()


def raw_source(source: str) -> str:
    """The file with the columns, in the folder (or under the s3:// address) `source`."""
    return f"{source.rstrip('/')}/raw.parquet"


def derived_source(source: str) -> str:
    """The file with the derived features, in the folder (or under the s3:// address) `source`."""
    return f"{source.rstrip('/')}/derived.parquet"


def field(column: str) -> str:
    """Feast's name for a column: its own, unless Feast's joins would swallow a column of that name.

    Feast 0.67 drops every column that ends in `_y` from a point-in-time join, and has temporary columns of its own."""
    return f"{column}_" if _SWALLOWED.fullmatch(column) else column
