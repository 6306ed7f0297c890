from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.contract import Contract, parse
from components.validate import step, verdict
from components.validate.report import Report

AS_OF = "2026-01-31T00:00:00+00:00"
SHOP = """
name: shop
key: {column: customer, source: Customer No}
target: {column: gone, source: Gone, positive: "yes", negative: "no"}
columns:
  plan: {type: category, source: Plan, categories: [basic, plus], cleaning: {spelling: {BASIC: basic}}}
  visits: {type: integer, range: [0, 100]}
  spend: {type: number, range: [0, 1000], nullable: true}
validation: {max_bad_share: 0.25}
"""


@dataclass(frozen=True)
class Done:
    """A table after validation: what is valid, what was set aside, and the report."""

    contract: Contract
    report: Report
    valid: pa.Table
    quarantine: pa.Table

    def refuse(self) -> None:
        verdict.refuse(self.contract, self.report)


Examine = Callable[..., Done]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """Validates a table (columns by name) under a contract's YAML, without a verdict."""

    def run(columns: dict[str, object] | pa.Table, contract: str = SHOP) -> Done:
        terms = parse(contract)
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        paths = [tmp_path / f"{name}.parquet" for name in ("snapshot", "valid", "quarantine")]
        pq.write_table(table, paths[0])
        report = step.examine(terms, step.Table(paths[0], "shop.csv", AS_OF), paths[1], paths[2])
        return Done(terms, report, pq.read_table(paths[1]), pq.read_table(paths[2]))

    return run


@pytest.fixture
def shop() -> dict[str, list[str | None]]:
    """Eight good rows, as CSV gives them."""
    return {
        "Customer No": [f"c{i}" for i in range(8)],
        "Plan": ["basic", "BASIC ", "plus", "plus", "basic", "plus", "basic", "plus"],
        "visits": ["0", "1", "2", "3", "4", "5", "6", "100"],
        "spend": ["1.5", "", "NA", " 7 ", "1e2", "0", "999.99", "1000"],
        "Gone": ["yes", "no", "No", "YES", "no", "", "no", "yes"],
        "remark": [""] * 8,
    }
