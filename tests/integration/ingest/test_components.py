"""Ingest and validate as a pipeline runs them: in the environment of their role, joined by artifacts alone.

KFP reads annotations as objects: no `from __future__ import annotations` beside a pipeline.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kfp import dsl

from churn.domain.contract import load
from churn.domain.errors import UserError
from components.files import read_json
from components.ingest.component import ingest
from components.validate.component import validate
from components.validate.report import Report
from local.runner import Run, StepFailed, run
from tests.integration.ingest.conftest import ROWS


@dsl.pipeline(name="first-steps")
def first_steps(data: str, contract: str, model: str = "", as_of: str = ""):
    ingested = ingest(data=data, contract=contract, model=model, as_of=as_of)
    validate(contract=ingested.outputs["contract_file"], snapshot=ingested.outputs["snapshot"])


def first_steps_of(data: Path, contract: Path, home: Path, **named: str) -> Run:
    environment = {"CHURN_HOME": str(home)}
    arguments = {"data": str(data), "contract": str(contract), **named}
    return run(first_steps, arguments, name="first", root=home / "runs", environment=environment)


def test_a_table_becomes_a_snapshot_and_typed_rows(table: Path, contract: Path, tmp_path: Path) -> None:
    table.write_text(table.read_text() + "c40,gold,1,no\n")
    done = first_steps_of(table, contract, tmp_path / "home", model="shop-2", as_of="2026-01-31")

    snapshot = done.step("ingest").outputs["snapshot"]
    assert snapshot.uri == f"{tmp_path}/home/objects/snapshots/{snapshot.metadata['digest']}.parquet"
    assert snapshot.metadata["rows"] == 41
    assert snapshot.metadata["source"] == str(table)
    assert snapshot.metadata["as_of"] == "2026-01-31T00:00:00+00:00"

    resolved = done.step("ingest").outputs["contract_file"]
    terms = load(Path(resolved.path))
    assert (terms.name, terms.digest) == (resolved.metadata["name"], resolved.metadata["digest"])
    assert terms.name == "shop-2"

    outputs = done.step("validate").outputs
    report = read_json(outputs["report"].path, Report)
    assert (report.rows, report.quarantined, report.valid) == (41, 1, 40)
    assert json.loads(Path(outputs["report"].path).read_text())["outcomes"]["positive"] == 14
    assert pq.read_table(outputs["valid"].path)["customer"].to_pylist() == [row[0] for row in ROWS]
    assert pq.read_table(outputs["quarantine"].path)["reasons"].to_pylist() == [
        "plan 'gold' is none of 'basic', 'plus'"
    ]
    assert "<title>Validation of" in Path(outputs["page"].path).read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("plan,", "Plan,"), "'plan' is missing"),
        ((",basic,", ",gold,"), "break the contract"),
        ((",yes", ",no"), "is never"),
    ],
)
def test_a_table_that_is_refused_ends_the_run_with_the_message_alone(
    change: tuple[str, str], words: str, table: Path, contract: Path, tmp_path: Path
) -> None:
    table.write_text(table.read_text().replace(*change))

    with pytest.raises(UserError, match=words) as caught:
        first_steps_of(table, contract, tmp_path / "home")
    assert str(table) in str(caught.value)
    assert not isinstance(caught.value, StepFailed)
