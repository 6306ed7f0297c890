"""Training features, Feast's online answer and the request-time derivation: one and the same, to the bit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from churn.domain import contract as contracts
from churn.domain import encoding
from churn.domain.derivation import Derivation
from churn.domain.synthetic.snapshot import snapshot
from components.transform.step import transform
from feature_repo import materialisation, names, training
from feature_repo.online import Known, OnlineFeatures
from serving import checking, v1
from tests.bundles import settings_of
from tests.training import ROOT, valid_table

CUSTOMERS = 1000
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A thousand customers, some with blanks and nulls, through transform, Feast's join, and the online store."""
    text = (ROOT / "feature_repo/contracts/telco.yaml").read_text().replace(
        "monthly_charges:\n    {type: number,", "monthly_charges:\n    {type: number, nullable: true,"
    ).replace("gender:\n    {type: category,", "gender:\n    {type: category, nullable: true,")  # fmt: skip
    contract = contracts.parse(text)
    folder = tmp_path_factory.mktemp("parity")
    settings = settings_of(folder / "home").prepare()
    valid = _blanked(valid_table(contract, snapshot(CUSTOMERS, 11), NOW))
    pq.write_table(valid, folder / "valid.parquet")
    done = transform(settings, contract, folder / "valid.parquet", folder / "entities.parquet", NOW.isoformat())
    joined = training.training_set(settings, contract, pq.read_table(folder / "entities.parquet"), done.features)
    materialisation.materialise(settings, contract, NOW, done.features)
    ids = joined[names.key(contract)].to_pylist()
    return contract, joined, OnlineFeatures(settings, contract).read(ids)


def _blanked(valid: pa.Table) -> pa.Table:
    """The same customers, with nulls among their numbers and categories."""
    for position, name in ((7, "monthly_charges"), (11, "gender")):
        lost = pa.array(np.arange(CUSTOMERS) % position == 0)
        column = pc.if_else(lost, pa.scalar(None, valid[name].type), valid[name])
        valid = valid.set_column(valid.column_names.index(name), name, column)
    return valid


def _derived(contract, rows) -> pa.Table:
    """What a request derives, from raw values."""
    raw = pa.table({name: [row[name] for row in rows] for name in contract.raw},
                   schema=encoding.feature_schema(contract, contract.raw))  # fmt: skip
    return encoding.decode(contract, Derivation(contract).run(encoding.encode(contract, raw)), contract.features)


def test_all_thousand_customers_are_known_and_some_values_are_null(world) -> None:
    _contract, joined, answers = world
    assert joined.num_rows == CUSTOMERS
    assert all(isinstance(answer, Known) for answer in answers)
    assert joined["monthly_charges"].null_count > 100
    assert joined["charge_band"].null_count == joined["monthly_charges"].null_count
    assert joined["gender"].null_count > 80


def test_online_and_training_are_equal_as_arrow_types(world) -> None:
    contract, joined, answers = world
    expected = joined.select(contract.features)
    found = _derived(contract, [answer.raw for answer in answers])
    assert found.schema.equals(expected.schema)
    for name in contract.features:
        assert found[name].combine_chunks().equals(expected[name].combine_chunks()), name


def test_one_request_alone_is_equal_too(world) -> None:
    contract, joined, answers = world
    for row in range(0, CUSTOMERS, 10):
        found = _derived(contract, [answers[row].raw])
        assert found.to_pylist() == joined.select(contract.features).slice(row, 1).to_pylist()


def test_a_request_with_all_features_is_equal_too(world) -> None:
    contract, joined, answers = world
    asked = v1.decode({"instances": [answer.raw for answer in answers]})
    columns = checking.check(contract, asked).columns
    found = encoding.decode(contract, Derivation(contract).run(columns), contract.features)
    for name in contract.features:
        assert found[name].combine_chunks().equals(joined[name].combine_chunks()), name


def test_an_override_changes_the_derived_features_as_training_would_have(world) -> None:
    contract, _, answers = world
    answer = next(a for a in answers if a.raw["tenure"] > 24 and a.raw["monthly_charges"])
    changed = _derived(contract, [{**answer.raw, "tenure": 1}]).to_pylist()[0]
    stored = _derived(contract, [answer.raw]).to_pylist()[0]
    assert changed["tenure_log"] == pytest.approx(np.log(2))
    assert changed["tenure_band"] == "under 6 months" != stored["tenure_band"]
    assert (changed["is_new"], stored["is_new"]) == (1, 0)
    assert changed["gender"] == stored["gender"]
