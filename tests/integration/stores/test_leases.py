"""One holder at a time, on both databases."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from churn.domain.errors import UserError
from churn.stores import leases

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=61)


def test_a_lease_has_one_holder_until_it_is_given_back(url: str) -> None:
    assert leases.current(url, "watch", NOW) is None
    taken = leases.acquire(url, "watch", "ann", 60, NOW)
    assert taken == leases.Lease("watch", "ann", NOW + dt.timedelta(seconds=60))
    assert leases.acquire(url, "watch", "bob", 60, NOW) is None
    assert leases.acquire(url, "another", "bob", 60, NOW) is not None
    assert leases.current(url, "watch", NOW) == taken

    assert not leases.release(url, "watch", "bob"), "it is not his"
    assert leases.release(url, "watch", "ann")
    assert leases.acquire(url, "watch", "bob", 60, NOW) is not None


def test_a_holder_renews_and_one_that_does_not_loses_it(url: str) -> None:
    leases.acquire(url, "watch", "ann", 60, NOW)
    renewed = leases.acquire(url, "watch", "ann", 60, LATER - dt.timedelta(seconds=30))
    assert renewed is not None
    assert leases.acquire(url, "watch", "bob", 60, LATER) is None
    assert leases.current(url, "watch", renewed.until) is None
    assert leases.acquire(url, "watch", "bob", 60, renewed.until) is not None
    assert leases.acquire(url, "watch", "ann", 60, renewed.until) is None, "it was too late"


def test_of_many_at_once_one_gets_it(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: leases.acquire(url, "watch", str(number), 60), range(8)))
    (winner,) = [one for one in found if one]
    held = leases.current(url, "watch")
    assert held is not None
    assert held.holder == winner.holder


def test_a_database_without_the_table_says_what_to_do(database_url: str) -> None:
    with pytest.raises(UserError, match=r"no table leases yet.*churn data migrate"):
        leases.acquire(database_url, "watch", "ann", 60)
