from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.domain.contract import Contract
from churn.domain.encoding import feature_schema
from churn.domain.errors import UserError
from churn.stores.errors import ConflictError
from churn.stores.settings import Settings
from feature_repo.registration import apply
from feature_repo.training import training_set
from tests.integration.feature_repo.samples import (
    DAY,
    EXACT,
    NOW,
    Customer,
    contract,
    customer,
    derived_table,
    entities,
    raw_table,
    rewrite_raw,
    write_source,
)

PLANS = ["basic", "extra großes", "it's all"]


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def history(ids: list[int] | list[str], snapshots: int, seed: int) -> list[Customer]:
    """Monthly snapshots in which each customer is missing now and then, and each value is."""
    random = np.random.default_rng(seed)
    rows = []
    for month in range(snapshots):
        for id_ in ids:
            values = {
                "tenure": int(random.integers(0, 72)),
                "balance": int(random.choice([EXACT, EXACT - 1, EXACT - 3, 1 - EXACT, -EXACT])),
                "amount_y": float(random.normal()),
                "rn": int(random.integers(0, 9)),
                "plan": str(random.choice(PLANS)),
            }
            kept = {name: value for name, value in values.items() if random.random() > 0.1}
            if random.random() > 0.3:
                rows.append(customer(id_, NOW - month * 30 * DAY, **kept))
    random.shuffle(rows)
    return rows


def joined_by_pandas(made: Contract, source: pa.Table, asked: pa.Table) -> pa.Table:
    """pandas' own point-in-time join, of row numbers alone, so that it touches no value."""
    left = asked.select(["customer_id", "event_timestamp"]).to_pandas().assign(asked=range(asked.num_rows))
    right = source.select(["customer_id", "event_timestamp"]).to_pandas().assign(found=range(source.num_rows))
    joined = pd.merge_asof(
        left.sort_values("event_timestamp", kind="stable"),
        right.sort_values("event_timestamp", kind="stable"),
        on="event_timestamp",
        by="customer_id",
        tolerance=pd.Timedelta(days=made.ttl_days),
    ).sort_values("asked")
    found = source.take(pa.array(joined["found"].astype("Int64"), pa.int64()))
    return found.drop_columns(["customer_id", "event_timestamp"]).combine_chunks()


@pytest.mark.parametrize("key", ["string", "integer"])
@pytest.mark.parametrize("ttl", [20, 45])
@pytest.mark.usefixtures("far_from_greenwich")
def test_the_join_is_that_of_pandas_over_many_snapshots(settings: Settings, tmp_path: Path, key: str, ttl: int) -> None:
    made = contract(key=key, ttl=ttl)
    ids = [f"é {n} / '\"" for n in range(60)] if key == "string" else [2**60 + n for n in range(60)]
    rows = history(ids, snapshots=6, seed=ttl)
    source = write_source(made, tmp_path / "features", rows)
    apply(settings, made, source)
    random = np.random.default_rng(1)
    asked = [(ids[random.integers(0, 60)], NOW - int(random.integers(0, 200)) * DAY) for _ in range(500)]
    asked += [(ids[0], NOW), (ids[0], NOW), ("nobody" if key == "string" else -1, NOW)]
    rows_asked = entities(made, asked, left=list(range(503)), note=["x"] * 503)

    joined = training_set(settings, made, rows_asked, expected_source=source)

    raw = raw_table(made, rows)
    assert joined.select(rows_asked.column_names).equals(rows_asked)
    assert joined.select(made.raw).combine_chunks().equals(joined_by_pandas(made, raw, rows_asked))
    derived = joined_by_pandas(made, derived_table(made, raw), rows_asked)
    assert joined.select(list(made.derived)).combine_chunks().equals(derived)
    assert joined.select(made.features).schema.equals(feature_schema(made, made.features))
    assert {EXACT, EXACT - 1, 1 - EXACT, None} <= set(joined["balance"].to_pylist())


def test_no_entities_are_joined_to_no_rows(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    apply(settings, made, write_source(made, tmp_path / "features", [customer("a", NOW, tenure=3)]))
    joined = training_set(settings, made, entities(made, [("a", NOW)]).slice(0, 0))
    assert joined.num_rows == 0
    assert joined.select(made.features).schema.equals(feature_schema(made, made.features))


def test_without_the_registry_there_is_no_training_set_and_no_new_registry(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    apply(settings, made, write_source(made, tmp_path / "features", [customer("a", NOW)]))
    Path(settings.feast_registry).unlink()
    with pytest.raises(UserError, match="registry holds nothing of this contract"):
        training_set(settings, made, entities(made, [("a", NOW)]))
    assert not Path(settings.feast_registry).exists()


@pytest.mark.parametrize("other", [contract(name="another"), contract(ttl=46)], ids=["project", "digest"])
def test_a_registry_of_another_contract_is_no_help(settings: Settings, tmp_path: Path, other: Contract) -> None:
    apply(settings, other, write_source(other, tmp_path / "features", [customer("a", NOW)]))
    with pytest.raises(UserError, match="registry holds nothing of this contract"):
        training_set(settings, contract(), entities(contract(), [("a", NOW)]))


def test_a_run_that_was_overtaken_by_another_says_so(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    mine = write_source(made, tmp_path / "mine", [customer("a", NOW, tenure=1)])
    theirs = write_source(made, tmp_path / "theirs", [customer("a", NOW, tenure=2)])
    apply(settings, made, mine)
    apply(settings, made, theirs)
    with pytest.raises(ConflictError, match="another run has registered its features since"):
        training_set(settings, made, entities(made, [("a", NOW)]), expected_source=mine)
    assert training_set(settings, made, entities(made, [("a", NOW)]))["tenure"].to_pylist() == [2]


@pytest.mark.parametrize("value", [EXACT + 1, -EXACT - 1])
def test_an_integer_that_a_model_cannot_hold_is_refused(settings: Settings, tmp_path: Path, value: int) -> None:
    made = contract()
    source = write_source(made, tmp_path / "features", [customer("a", NOW)])
    rewrite_raw(source, "balance", pa.array([value]))
    apply(settings, made, source)
    with pytest.raises(UserError, match=r"column balance: holds integers beyond"):
        training_set(settings, made, entities(made, [("a", NOW)]))


def test_a_source_of_another_type_is_refused(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    source = write_source(made, tmp_path / "features", [customer("a", NOW, tenure=3)])
    rewrite_raw(source, "tenure", pa.array([3.0]))
    apply(settings, made, source)
    with pytest.raises(TypeError, match="feature tenure holds double where the contract says int64"):
        training_set(settings, made, entities(made, [("a", NOW)]))
