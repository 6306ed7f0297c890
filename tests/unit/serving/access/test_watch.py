from __future__ import annotations

import pytest

from churn.domain.errors import UserError
from serving.access.caller import Caller
from serving.access.watch import Watch, WatchOptions


def caller(name: str = "shop", *, bulk: bool = False) -> Caller:
    return Caller(f"ck_{name}", name, name, "key", frozenset(("predict",)), bulk)


def test_a_caller_that_walks_through_ids_is_found_once_a_window() -> None:
    watch = Watch(WatchOptions(window=60, distinct_ids=1000))
    found = [watch.saw(caller(), number / 100, ids=[f"id-{number}"], rows=1) for number in range(2000)]
    (at,) = [number for number, kinds in enumerate(found) if kinds]
    assert found[at] == ("walks_ids",)
    assert 950 <= at <= 1050
    for number in range(2000):
        watch.saw(caller(), 100 + number / 100, ids=[f"id-{number}"], rows=1)
    assert watch.suspicious == {("shop", "walks_ids"): 2}


def test_the_same_customers_again_and_again_are_no_walk() -> None:
    watch = Watch(WatchOptions(distinct_ids=1000))
    for number in range(20_000):
        assert watch.saw(caller(), 1.0, ids=[f"id-{number % 900}"], rows=1) == ()


def test_a_key_for_bulk_may_read_many_customers_but_not_guess() -> None:
    watch = Watch(WatchOptions(distinct_ids=1000, unknown_ids=100))
    ids = [f"id-{number}" for number in range(10_000)]
    assert watch.saw(caller(bulk=True), 1.0, ids=ids, unknown_ids=50, rows=10_000) == ()
    assert watch.saw(caller(bulk=True), 2.0, ids=ids[:60], unknown_ids=60, rows=60) == ("walks_ids",)


def test_values_far_from_training_are_found_by_their_share() -> None:
    watch = Watch(WatchOptions(far_share=0.2))
    assert watch.saw(caller(), 1.0, rows=50, far_rows=50) == ()  # too few to say
    assert watch.saw(caller("other"), 1.0, rows=10_000, far_rows=1999) == ()
    assert watch.saw(caller(), 2.0, rows=50, far_rows=1) == ("far_values",)
    assert watch.saw(caller(), 3.0, rows=50, far_rows=50) == ()
    assert watch.suspicious == {("shop", "far_values"): 1}


@pytest.mark.parametrize("many", [10, 1000, 5000, 20_000, 50_000])
def test_the_count_of_different_ids_is_close(many: int) -> None:
    watch = Watch(WatchOptions(distinct_ids=50_000))
    watch.saw(caller(), 1.0, ids=[f"customer-{number}" for number in range(many)] * 2)
    window = watch._windows.get("ck_shop")
    assert window is not None
    assert window.distinct() == pytest.approx(many, rel=0.05)


def test_memory_is_bounded_whatever_callers_do() -> None:
    watch = Watch(WatchOptions())
    for number in range(3000):
        watch.saw(caller(f"k{number}"), 1.0, ids=[str(one) for one in range(5)], rows=5)
    assert len(watch._windows) == 1000
    window = watch._windows.get("ck_k2999")
    assert window is not None
    watch.saw(caller("k2999"), 1.0, ids=[str(one) for one in range(400_000)])
    assert window.bits is not None
    assert len(window.bits) == 2048


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHURN_WATCH_WINDOW", "0"),
        ("CHURN_WATCH_WINDOW", "nan"),
        ("CHURN_WATCH_DISTINCT_IDS", "1e9"),
        ("CHURN_WATCH_DISTINCT_IDS", "1.5"),
        ("CHURN_WATCH_UNKNOWN_IDS", "few"),
        ("CHURN_WATCH_FAR_SHARE", "2"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name):
        WatchOptions.load({name: value})


def test_thresholds_are_settings() -> None:
    assert WatchOptions.load({"CHURN_WATCH_WINDOW": "60", "CHURN_WATCH_FAR_SHARE": ".5"}) == WatchOptions(
        60, 5000, 100, 0.5
    )
