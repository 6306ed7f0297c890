from __future__ import annotations

import hashlib
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.domain import partition
from churn.domain.errors import UserError
from churn.domain.partition import Fold

DAY = np.timedelta64(1, "D")
START = np.datetime64("2026-01-01", "us")


def keys(count: int) -> pa.Array:
    return pa.array([f"customer-{i}" for i in range(count)])


def once(count: int) -> np.ndarray:
    return np.full(count, START)


@st.composite
def tables(draw) -> tuple[pa.Array, np.ndarray, np.ndarray, int, int]:
    """Keys, times, outcomes, folds and horizon: customers with one row or many, at a few times or at any time."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    customers, rows = draw(st.integers(1, 120)), draw(st.integers(1, 500))
    who = generator.integers(0, customers, rows)
    step = draw(st.sampled_from([1, 7, 30, 31]))
    times = START + generator.integers(0, draw(st.sampled_from([1, 2, 3, 12, 400])), rows) * step * DAY
    y = (generator.random(rows) < draw(st.sampled_from([0.02, 0.3, 0.5]))).astype(float)
    return keys(customers).take(who), times, y, draw(st.integers(2, 6)), draw(st.sampled_from([0, 1, 30]))


def folds_of(case: tuple) -> list[Fold]:
    """The folds, or none where there are too few rows for them."""
    try:
        return partition.folds(*case)
    except UserError as error:
        assert "fold" in str(error)  # noqa: PT017 - any table may be too small, and then says so
        return []


@settings(max_examples=300, deadline=None)
@given(tables())
def test_folds_of_any_table_keep_their_promises(case: tuple) -> None:
    who, times, y, count, horizon = case
    folds = folds_of(case)
    assert len(folds) in {0, count}
    judged = [row for fold in folds for row in fold.test]
    assert len(judged) == len(set(judged)), "a row is judged twice"
    names = np.array(who.to_pylist())
    several = bool(((times >= times.min() + horizon * DAY) & (times > times.min())).any())
    for fold in folds:
        assert not set(names[fold.train]) & set(names[fold.test]), "a customer is on both sides"
        for side in (fold.train, fold.test):
            assert 0 < y[side].sum() < len(side), "a side has one outcome only"
        if several:
            first = times[fold.test].min()
            assert times[fold.train].max() <= first - horizon * DAY, "the gap is not kept"
            assert times[fold.train].max() < first, "a fold does not go forward"
    if folds and not several:
        assert sorted(judged) == list(range(len(y)))


def test_stratified_folds_have_equal_shares_of_leavers() -> None:
    y = (np.arange(1000) % 7 == 0).astype(float)
    folds = partition.folds(keys(1000), once(1000), y, 5, 30)
    assert {len(fold.test) for fold in folds} <= {199, 200, 201}
    leavers = [y[fold.test].sum() for fold in folds]
    assert max(leavers) - min(leavers) <= 1


def test_folds_and_hold_out_do_not_depend_on_the_order_of_rows() -> None:
    order = np.random.default_rng(0).permutation(500)
    y = (np.arange(500) % 3 == 0).astype(float)
    first = partition.folds(keys(500), once(500), y, 4, 30)
    second = partition.folds(keys(500).take(order), once(500), y[order], 4, 30)
    for one, other in zip(first, second, strict=True):
        assert set(one.test) == set(order[other.test])
    assert np.array_equal(partition.holdout(keys(500), 0.2)[order], partition.holdout(keys(500).take(order), 0.2))


def test_times_within_one_horizon_are_one_time() -> None:
    times = START + (np.arange(200) % 29) * DAY
    y = (np.arange(200) % 4 == 0).astype(float)
    folds = partition.folds(keys(200), times, y, 5, 30)
    assert sum(len(fold.test) for fold in folds) == 200


def test_a_horizon_of_no_days_does_not_turn_one_snapshot_into_several() -> None:
    y = (np.arange(200) % 4 == 0).astype(float)
    folds = partition.folds(keys(200), once(200), y, 5, 0)
    assert sum(len(fold.test) for fold in folds) == 200


def panel(customers: int, months: int, rate: float) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """All customers at the first of every month."""
    who = np.tile(np.arange(customers), months)
    times = np.array([np.datetime64("2025-01", "M") + m for m in range(months)]).astype("datetime64[us]")
    y = (np.random.default_rng(0).random(len(who)) < rate).astype(float)
    return keys(customers).take(who), np.repeat(times, customers), y


def test_many_snapshots_are_judged_in_as_many_periods_as_there_are_folds() -> None:
    who, times, y = panel(3000, 13, 0.1)
    folds = partition.folds(who, times, y, 5, 30)
    begins = [times[fold.test].min() for fold in folds]
    assert begins == sorted(begins)
    assert len(set(begins)) == 5
    trained = [len(fold.train) for fold in folds]
    assert trained == sorted(trained)
    assert trained[0] >= 3000 * 0.7, "the first fold has too little to train on"


def test_where_leavers_are_rare_there_are_fewer_periods_and_more_rows_in_each() -> None:
    who, times, y = panel(800, 6, 0.02)
    folds = partition.folds(who, times, y, 5, 30)
    assert len({times[fold.test].min() for fold in folds}) < 5
    assert min(y[fold.test].sum() for fold in folds) >= 1


def test_two_snapshots_are_one_period_that_every_group_of_customers_is_judged_in() -> None:
    who, times, y = panel(500, 2, 0.3)
    folds = partition.folds(who, times, y, 5, 30)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(500, 1000))


def test_a_time_for_every_row_leaves_every_fold_enough_to_train_on() -> None:
    times = START + np.arange(5000) * np.timedelta64(1, "h")
    y = (np.arange(5000) % 5 == 0).astype(float)
    folds = partition.folds(keys(5000), times, y, 5, 30)
    assert min(len(fold.train) for fold in folds) > 50


def test_a_time_of_its_own_for_each_of_many_rows_takes_no_square_of_time() -> None:
    times = START + np.arange(200_000) * np.timedelta64(1, "m")
    y = (np.arange(200_000) % 5 == 0).astype(float)
    begun = time.process_time()
    assert len(partition.folds(keys(200_000), times, y, 5, 30)) == 5
    assert time.process_time() - begun < 10  # a quarter of a second a fold; comparing all with all takes minutes


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([0.0] * 40 + [1.0] * 4, "4 customers of one outcome are fewer than 5 folds"),
        ([0.0] * 40, "0 customers of one outcome are fewer than 5 folds"),
        ([], "0 customers of one outcome are fewer than 5 folds"),
    ],
)
def test_too_few_rows_of_an_outcome_are_refused(y: list[float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        partition.folds(keys(len(y)), once(len(y)), np.array(y), 5, 30)


def test_many_rows_of_few_leavers_are_refused_too() -> None:
    who = keys(100).take(np.repeat(np.arange(100), 10))
    y = np.repeat(np.arange(100) < 3, 10).astype(float)
    with pytest.raises(UserError, match="3 customers of one outcome"):
        partition.folds(who, once(1000), y, 5, 30)


def test_folds_that_cannot_go_forward_with_both_outcomes_are_refused() -> None:
    """All leave in the first month: nothing can be judged later."""
    who, times, _ = panel(100, 3, 0.1)
    y = np.repeat([1.0, 0.0, 0.0], 100) * (np.arange(300) % 2)
    with pytest.raises(UserError, match="go forward in time"):
        partition.folds(who, times, y, 5, 30)


def test_the_hash_of_a_key_is_that_of_its_salt_and_text() -> None:
    expected = int.from_bytes(hashlib.sha256(b"salt\x00" + b"42").digest()[:8], "big") / 2**64
    assert partition.unit_hash(pa.array(["42"]), "salt")[0] == expected
    assert partition.unit_hash(pa.array([42]), "salt")[0] == expected
    assert partition.unit_hash(pa.chunked_array([pa.array([1]), pa.array([42])]), "salt")[1] == expected


def test_the_hold_out_has_its_share_and_is_for_good() -> None:
    held = partition.holdout(keys(20_000), 0.15)
    assert abs(held.mean() - 0.15) < 0.01
    assert np.array_equal(np.nonzero(held)[0][:5], [1, 2, 4, 13, 17])
    assert not (held & ~partition.holdout(keys(20_000), 0.3)).any()


def test_hold_out_and_folds_say_nothing_about_each_other() -> None:
    held = partition.holdout(keys(20_000), 0.5)
    place = partition.unit_hash(keys(20_000), partition.FOLD_SALT)
    assert abs(np.corrcoef(held, place)[0, 1]) < 0.02
