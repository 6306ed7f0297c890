"""Small contracts and snapshots, written as a transform step writes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import contract as contracts
from churn.domain.contract import Contract
from churn.domain.derivation import Derivation
from churn.domain.encoding import decode, encode, feature_schema
from feature_repo import names

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
EXACT = 2**53

CONTRACT = """
name: {name}
key: {{column: customer_id, type: {key}}}
event_timestamp: {{column: seen_on}}
target: {{column: left, positive: "Yes"}}
ttl_days: {ttl}
columns:
  tenure: {{type: integer, unit: months, nullable: true}}
  balance: {{type: integer, nullable: true}}
  amount_y: {{type: number, nullable: true, description: ends as pandas' merges do}}
  rn: {{type: integer, nullable: true}}
  plan: {{type: category, categories: [basic, "extra großes", "it's all"], nullable: true}}
derived:
  loyal: {{flag: tenure >= 24, told_as: tenure}}
  amount_by_month_y: {{formula: "amount_y / (tenure + 1)", told_as: amount_y}}
  band: {{bin: tenure, edges: [12, 24], labels: [new, settled, old], told_as: tenure}}
"""

Customer = dict[str, Any]


def contract(name: str = "telco-mini", key: str = "string", ttl: int = 45) -> Contract:
    """A contract with every type, a null in every column, and names that Feast's joins stumble over."""
    return contracts.parse(CONTRACT.format(name=name, key=key, ttl=ttl))


def customer(id_: int | str, at: datetime, **values: Any) -> Customer:
    """One row; columns not named are null."""
    return {"customer_id": id_, "event_timestamp": at} | values


def raw_table(made: Contract, customers: Iterable[Customer]) -> pa.Table:
    """Raw features as the contract types them, behind key and event timestamp."""
    key = pa.field("customer_id", names.key_type(made))
    stamp = pa.field("event_timestamp", pa.timestamp("us", tz="UTC"))
    return pa.Table.from_pylist(list(customers), schema=pa.schema([key, stamp, *feature_schema(made, made.raw)]))


def derived_table(made: Contract, raw: pa.Table) -> pa.Table:
    """What the derivation makes of raw features, behind key and event timestamp."""
    features = decode(made, Derivation(made).run(encode(made, raw)), made.features).select(list(made.derived))
    for position, name in enumerate(("customer_id", "event_timestamp")):
        features = features.add_column(position, name, raw[name])
    return features


def write_source(made: Contract, folder: Path, customers: Iterable[Customer]) -> str:
    """Both files of a run, in a folder; its address."""
    folder.mkdir(parents=True)
    raw = raw_table(made, customers)
    pq.write_table(raw, folder / "raw.parquet")
    pq.write_table(derived_table(made, raw), folder / "derived.parquet")
    return str(folder)


def rewrite_raw(source: str, column: str, values: pa.Array) -> None:
    """Puts other values into a run's raw features, behind the back of every check before."""
    raw = pq.read_table(f"{source}/raw.parquet")
    pq.write_table(raw.set_column(raw.column_names.index(column), column, values), f"{source}/raw.parquet")


def entities(made: Contract, asked: Iterable[tuple[int | str, datetime]], **more: list[Any]) -> pa.Table:
    """Entity rows: key, event timestamp, and columns more."""
    ids, stamps = zip(*asked, strict=True)
    columns = {"customer_id": pa.array(ids, names.key_type(made)), "event_timestamp": pa.array(stamps)}
    return pa.table(columns | {name: pa.array(values) for name, values in more.items()})
