"""Erasing a customer from what batch runs have published, whatever kills it or works beside it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.addresses import sqlite_file
from churn.stores.database import migrate
from churn.stores.digests import sha256_of_file
from churn.stores.privacy import database
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.ledger import Act, Ledger
from churn.stores.privacy.places import Held, Place
from churn.stores.privacy.stored import StoredTables
from churn.stores.privacy.tables import Search
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from components.close_batch.forgetting import PublishedScores
from components.close_batch.manifest import Manifest
from components.close_batch.place import OnS3, open_place
from components.close_batch.step import Closed, close
from components.plan_batch import step as plan_batch
from components.plan_batch.step import Asked
from components.score.plan import Plan
from components.score.step import score
from tests.bundles import put_in_charge, shop, write_bundle
from tests.integration.privacy.household import Home, killed_at
from tests.integration.score.conftest import DAY, changed, customers
from tests.servers import s3_kind

CANARY = "c0007"
_numbers = itertools.count()


@dataclass
class Publisher:
    """A home whose batches are published at `out`, empty for their own place in the object store."""

    home: Home
    folder: Path
    out: str

    @property
    def settings(self) -> Settings:
        return self.home.settings

    @property
    def root(self) -> str:
        return self.out or f"{self.settings.objects}/scores/shop"

    def plan(self, columns: dict[str, list[Any]], **asked: Any) -> Plan:
        data = self.folder / f"customers-{next(_numbers)}.parquet"
        pq.write_table(pa.table(columns), data)
        usual = {"model": "shop", "data": str(data), "as_of": DAY, "shards": 2, "out": self.out}
        return plan_batch.plan(self.settings, Asked(**usual | asked))

    def score(self, plan: Plan) -> list[str]:
        return [score(self.settings, plan, shard.number, threads=1).part.digest for shard in plan.shards]

    def run(self, columns: dict[str, list[Any]], **asked: Any) -> Closed:
        plan = self.plan(columns, **asked)
        return close(self.settings, plan, self.score(plan))

    def places(self, customer: str = CANARY) -> list[Place]:
        """Those that a batch fills, in the order in which they are asked."""
        search = Search(Customer(customer, None), [shop()])
        ledger = Ledger(objects.open_store(self.settings), Act("", "", datetime.now(UTC)))
        published = PublishedScores(self.settings, search)
        return [
            StoredTables(self.settings, search, ledger, published.others),
            published,
            database.ScoreTable(self.settings.database, search.customer, search.contracts),
        ]

    def erase(self) -> list[Held]:
        return [held for place in self.places() for held in place.erase()]

    def left(self, customer: str = CANARY) -> list[Held]:
        return [held for place in self.places(customer) for held in place.find() if held.rows]

    def published(self) -> Iterator[tuple[Manifest, pa.Table, pa.Table]]:
        """Each manifest with the rows that it names: scores, and what was set aside. Checked as a reader may do it."""
        place = open_place(self.settings, self.root)
        for name in place.names(""):
            if name.endswith("_manifest.json"):
                manifest = msgspec.json.decode(place.read(name) or b"", type=Manifest)
                prefix = name.removesuffix("_manifest.json")
                yield manifest, *(self._read(prefix, files) for files in (manifest.parts, manifest.quarantine))

    def files(self) -> list[str]:
        return [name.rpartition("/")[2] for name in open_place(self.settings, self.root).names("")]

    def _read(self, prefix: str, files: tuple[Any, ...]) -> pa.Table:
        tables = []
        for one in files:
            copy = self.folder / f"copy-{next(_numbers)}"
            copy.mkdir()
            path = open_place(self.settings, self.root).local(prefix + one.file, copy)
            assert (sha256_of_file(path), path.stat().st_size) == (one.sha256, one.bytes)
            tables.append(pq.read_table(path, partitioning=None))
            assert len(tables[-1]) == one.rows
        return pa.concat_tables(tables) if tables else pa.table({})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A champion's bundle and its digest."""
    folder = tmp_path_factory.mktemp("champion") / "bundle"
    return folder, write_bundle(folder, shop(), estimator="xgboost")


def made(home: Home, folder: Path, bundle: tuple[Path, str], out: str) -> Publisher:
    """A home with a champion."""
    if sqlite_file(home.settings.database) is None:
        migrate(home.settings.database)
    address = objects.open_store(home.settings).put_folder(bundle[0], f"bundles/{bundle[1]}")
    put_in_charge(home.settings, "shop", Variant(1, bundle[1], address))
    return Publisher(home, folder, out)


@pytest.fixture(params=["a folder that --out names", f"{s3_kind()} in the object store"])
def batches(request: pytest.FixtureRequest, tmp_path: Path, bundle: tuple[Path, str]) -> Publisher:
    """Whose scores are published in a folder of people's own, or in the object store on S3."""
    if request.param.startswith("a folder"):
        return made(request.getfixturevalue("on_files"), tmp_path, bundle, str(tmp_path / "scores of shop"))
    return made(request.getfixturevalue("on_servers"), tmp_path, bundle, "")


def test_a_customer_is_gone_from_what_was_published_and_the_manifest_says_what_is_left(batches: Publisher) -> None:
    columns = changed(customers(60), 9, Kunde=CANARY, visits=501)
    batches.run(columns)
    batches.run({name: values[:40] for name, values in columns.items()}, as_of="2026-02-28", reasons=True)
    before = list(batches.published())
    found = batches.left()
    assert sum(held.rows for held in found if held.place == "published scores") == 4
    told = [row for place in batches.places() for _, rows in place.rows() for row in rows]
    assert {"probability", "reasons", "Kunde"} <= {name for row in told for name in row}

    gone = batches.erase()

    assert batches.left() == []
    assert sum(held.rows for held in gone if held.place == "published scores") == 4
    assert [held.where for held in gone if held.place == "published scores"] == [
        held.where for held in found if held.place == "published scores"
    ], "as it was found"
    for (old, scores, aside), (new, rest, others) in zip(before, batches.published(), strict=True):
        assert rest.equals(scores.filter(pc.not_equal(scores["id"], CANARY)))
        assert len(others) == len(aside) - 1 == 0
        counts = (new.summary.rows, new.summary.scored, new.summary.quarantined)
        assert counts == (old.summary.rows - 2, old.summary.scored - 1, 0)
        assert sum(new.summary.histogram) == sum(one.customers for one in new.summary.risk) == len(rest)
        assert new.summary.mean_probability == pytest.approx(pc.mean(rest["probability"]).as_py(), abs=1e-6)
        assert new.summary.comparison == old.summary.comparison
    named = [one.file for new, *_ in batches.published() for one in (*new.parts, *new.quarantine)]
    assert sorted(name for name in batches.files() if name != "_manifest.json") == sorted(named)
    assert batches.erase() == []


def test_the_next_run_compares_with_what_is_left(batches: Publisher) -> None:
    batches.run(customers(60))
    batches.erase()
    found = batches.run(customers(60), as_of="2026-02-28").summary.comparison
    assert found is not None
    assert (found.both, found.new, found.gone) == (59, 1, 0)


@pytest.mark.parametrize("moment", ["put", "replace", "remove"])
def test_a_kill_leaves_what_is_published_whole_and_the_next_erasure_ends_it(batches: Publisher, moment: str) -> None:
    """Killed when it is about to do the last of each: the parts are there, but not all; no manifest; an old part."""
    batches.run(changed(customers(60), 40, Kunde=CANARY))
    [(_, scores, _)] = batches.published()
    place = type(open_place(batches.settings, batches.root))
    killed_at(place, moment, batches.erase, call=1 if moment == "replace" else 2)

    [(_, now, _)] = batches.published()
    assert len(now) == len(scores) - (2 if moment == "remove" else 0)
    assert batches.left()
    batches.erase()
    assert batches.left() == []
    [(manifest, rest, _)] = batches.published()
    assert len(rest) == 58
    assert sorted(batches.files()) == sorted(["_manifest.json", *(one.file for one in manifest.parts)])


def test_a_run_that_publishes_is_waited_for(batches: Publisher) -> None:
    """It has begun to publish when the erasure begins: that ends behind it, with nothing of the customer left."""
    batches.run(customers(60))
    plan = batches.plan(customers(50, seed=2))
    digests = batches.score(plan)
    place = type(open_place(batches.settings, batches.root))
    whole, begun, may_end, ended = place.replace, threading.Event(), threading.Event(), []

    def replace(*given: Any) -> None:
        if threading.current_thread() is running:
            begun.set()
            assert may_end.wait(60)
        whole(*given)

    def publish_it() -> None:
        close(batches.settings, plan, digests)
        ended.append("run")

    def erase() -> None:
        list(batches.places()[1].erase())
        ended.append("erasure")

    running, erasing = threading.Thread(target=publish_it), threading.Thread(target=erase)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "replace", replace)
        running.start()
        assert begun.wait(60)
        erasing.start()
        erasing.join(0.3)
        assert erasing.is_alive()
        may_end.set()
        running.join()
        erasing.join()
    assert ended == ["run", "erasure"]
    [(manifest, rest, _)] = batches.published()
    assert (manifest.summary.rows, CANARY in rest["id"].to_pylist()) == (49, False)


def test_who_publishes_with_another_database_meanwhile_is_not_overwritten(
    on_servers: Home, tmp_path: Path, bundle: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On S3 there is no lock for them, but the manifest is replaced only if it still is the one that was read."""
    batches = made(on_servers, tmp_path, bundle, "")
    batches.run(customers(60))
    whole, foreign, calls = OnS3.replace, OnS3(batches.root, batches.settings), itertools.count()

    def replace(self: OnS3, name: str, content: bytes, former: bytes | None) -> None:
        if not next(calls):
            theirs = foreign.read(name)
            assert theirs is not None
            whole(foreign, name, theirs + b"\n", theirs)
        whole(self, name, content, former)

    monkeypatch.setattr(OnS3, "replace", replace)
    batches.erase()
    assert next(calls) == 2
    assert batches.left() == []
    [(_, rest, _)] = batches.published()
    assert len(rest) == 59


def test_a_run_that_scored_before_does_not_publish_behind(batches: Publisher) -> None:
    batches.run(customers(60))
    plan = batches.plan(customers(60, seed=2))
    digests = batches.score(plan)
    batches.erase()
    with pytest.raises(UserError, match="run again"):
        close(batches.settings, plan, digests)
    [(_, rest, _)] = batches.published()
    assert len(rest) == 59
    assert batches.left() == []


def test_what_a_killed_run_left_unnamed_is_deleted_and_a_last_customer_takes_the_partition_along(
    batches: Publisher,
) -> None:
    done = batches.run({name: values[7:8] for name, values in customers(8).items()}, shards=1)
    place = open_place(batches.settings, batches.root)
    [part] = [name for name in place.names("") if name.endswith(".parquet")]
    path = place.local(part, batches.folder)
    place.put(path, "date=2026-01-30/version=1/part-00000-0123456789abcdef.parquet", sha256_of_file(path))
    assert done.summary.scored == 1
    batches.erase()
    assert batches.files() == []


def test_with_a_damaged_manifest_nothing_is_touched_and_it_is_said(batches: Publisher) -> None:
    batches.run(customers(60))
    place = open_place(batches.settings, batches.root)
    [manifest] = [name for name in place.names("") if name.endswith("_manifest.json")]
    place.replace(manifest, b"{}", place.read(manifest))
    files = batches.files()
    [held] = [held for held in batches.erase() if held.place == "published scores"]
    assert "manifest cannot be read" in held.note
    assert batches.files() == files
    assert [held.where for held in batches.left()] == [held.where]


def test_what_a_killed_run_scored_is_removed_by_a_run_a_day_later(
    batches: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = objects.open_store(batches.settings)
    killed, own = batches.plan(customers(20)), batches.plan(customers(30))
    batches.score(killed)
    batches.score(own)
    works = {key: len(store.list(f"{key}/")) for key in (killed.work, own.work)}
    batches.plan(customers(40))
    assert works == {key: len(store.list(f"{key}/")) for key in works}, "they may go on yet"
    monkeypatch.setattr(plan_batch, "LEFT_BEHIND_S", -60)
    batches.plan(customers(30))
    assert [len(store.list(f"{key}/")) for key in works] == [0, works[own.work]]


def test_a_place_that_is_not_there_is_named(on_files: Home, tmp_path: Path, bundle: tuple[Path, str]) -> None:
    batches = made(on_files, tmp_path, bundle, str(tmp_path / "stick"))
    batches.run(customers(20))
    (tmp_path / "stick").rename(tmp_path / "elsewhere")
    [held] = [held for held in batches.erase() if held.place == "published scores"]
    assert (held.where, held.rows) == (str(tmp_path / "stick"), 0)
    assert "not there" in held.note
    assert not (tmp_path / "stick").exists()
