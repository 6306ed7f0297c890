from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from churn.stores import objects
from churn.stores.privacy.ledger import Act, Ledger, Moved, current, key_of, split
from churn.stores.settings import Settings

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path / "home")}).prepare()


def move(settings: Settings, old: str, new: str, day: int = 1, *, in_home: bool = False) -> None:
    act = Act("5" * 32, "somebody", dt.datetime(2026, 1, day, tzinfo=dt.UTC))
    entry = Moved(f"features/1/{old}", f"features/1/{new}", 1, act, in_home)
    Ledger(objects.open_store(settings), act).moved(old, new, entry)


def test_an_address_leads_to_what_is_there_over_all_that_was(settings: Settings, tmp_path: Path) -> None:
    store = objects.open_store(settings)
    (tmp_path / "raw.parquet").touch()
    store.put_file(tmp_path / "raw.parquet", f"features/1/{C}/raw.parquet")
    move(settings, A, B)
    move(settings, B, C, day=2)
    old = store.address(f"features/1/{A}/raw.parquet")
    assert current(settings, old) == store.address(f"features/1/{C}/raw.parquet")
    assert objects.fetch(settings, old) == Path(store.address(f"features/1/{C}/raw.parquet"))


def test_the_later_of_two_moves_counts_and_the_same_again_is_none(settings: Settings) -> None:
    move(settings, A, C, day=3)
    move(settings, A, B, day=1)
    move(settings, A, C, day=9)
    store = objects.open_store(settings)
    assert current(settings, store.address(f"features/1/{A}")) == store.address(f"features/1/{C}")


def test_what_nothing_is_known_of_stays_where_it_is(settings: Settings, tmp_path: Path) -> None:
    store = objects.open_store(settings)
    move(settings, A, B, in_home=True)
    for address in (store.address(f"features/1/{A}"), store.address("mine.csv"), f"/elsewhere/{A}.parquet"):
        assert current(settings, address) == address
    assert key_of(store, "s3://bucket/key") is None


def test_a_key_is_split_at_its_digest() -> None:
    assert split(f"features/12/{A}/raw.parquet") == (f"features/12/{A}", A, "raw.parquet")
    assert split(f"snapshots/{B}.parquet") == (f"snapshots/{B}.parquet", B, "")
    assert split("customers.csv") is None
