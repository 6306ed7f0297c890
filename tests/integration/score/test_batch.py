"""A batch run, step by step, with a real model, real files and a real database."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from churn.domain import bundle as bundles
from churn.domain import decision, encoding, parsing
from churn.domain.contract import Advice, EventTimestamp
from churn.domain.errors import UserError
from churn.domain.explanation import Explainer, reasons, strongest
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from components.close_batch.page import render
from components.close_batch.step import close
from components.score import step
from tests.bundles import CUSTOMERS, publish, remember, settings_of, shop
from tests.integration.score.conftest import DAY, Shop, changed, customers
from tests.servers import S3Server, free_port


def opened(store: Shop) -> bundles.Bundle:
    return bundles.load(Path(open_traffic(store.settings).read("shop").champion.bundle))


def encoded(store: Shop, columns: dict[str, list[object]]) -> np.ndarray:
    of = opened(store).contract
    return encoding.encode(of, parsing.parse(of, pa.table(columns)).table)


def test_each_customer_gets_what_the_graph_and_the_rules_say(store: Shop) -> None:
    columns = customers()
    store.run(store.write(columns))
    found, bundle = store.scores(), opened(store)
    p = bundle.predict(encoded(store, columns))
    assert found["id"].to_pylist() == columns["Kunde"]
    np.testing.assert_allclose(found["probability"].to_numpy(), p, atol=1e-5)
    given = found["probability"].to_numpy().astype(np.float64)
    assert found["decision"].to_pylist() == (given >= bundle.manifest.threshold).tolist()
    risk = [decision.risk(one, bundle.manifest.risk) for one in given]
    assert found["risk"].to_pylist() == risk
    assert found["recommendation"].to_pylist() == [decision.recommendation(bundle.contract, one) for one in risk]
    assert [row[:3] for row in store.database()] == [(name, DAY, 1) for name in columns["Kunde"]]


@pytest.mark.parametrize("shards", [1, 4])
def test_the_rows_are_the_same_however_they_are_cut_and_whatever_the_format(store: Shop, shards: int) -> None:
    columns = customers()
    store.run(store.write(columns, group=70), shards=shards)
    by_parquet = store.scores()
    assert len(store.manifest().parts) == shards
    pv.write_csv(pa.table(columns), store.folder / "customers.csv")
    store.run(str(store.folder / "customers.csv"), shards=2)
    assert store.scores().equals(by_parquet)


def test_the_same_run_again_gives_the_same_bytes_and_no_second_row(store: Shop) -> None:
    data = store.write(customers())
    store.run(data, shards=3)
    before, rows = store.state(), store.database()
    store.run(data, shards=3, as_of=f"{DAY}T17:00")
    assert (store.state(), store.database()) == (before, rows)


def test_a_corrected_table_takes_the_place_of_the_former(store: Shop) -> None:
    store.run(store.write(customers(300)), shards=3)
    done = store.run(store.write(customers(200, seed=2)), shards=2)
    assert store.scores().num_rows == len(store.database()) == 200
    assert done.database.removed == 100
    named = {part.file for part in store.manifest().parts}
    assert {path.name for path in store.partition().iterdir()} == {*named, "_manifest.json"}


def test_another_table_of_the_same_date_takes_nothing_from_the_database(store: Shop) -> None:
    store.run(store.write(customers(300)))
    vip = store.write({name: column[290:] for name, column in customers(310).items()}, "vip.parquet")
    done = store.run(vip, out=str(store.folder / "vip"))
    assert (done.database.written, done.database.newer, done.database.removed) == (20, 0, 0)
    assert len(store.database()) == 310


def test_who_takes_the_place_of_another_tables_scores_is_told_so(store: Shop) -> None:
    everybody, vip = (store.write(customers(rows), name) for rows, name in ((300, "all.parquet"), (20, "vip.parquet")))
    assert [store.run(table).replaced for table in (everybody, everybody, vip, everybody)] == ["", "", everybody, vip]


def test_a_shard_that_is_done_is_not_scored_again(store: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    found = store.plan(store.write(customers()), shards=3)
    digests = [score.part.digest for score in (step.score(store.settings, found, number) for number in (0, 2))]
    monkeypatch.setattr(step, "open_bundle", lambda *_: pytest.fail("scored again"))
    assert [step.score(store.settings, found, number).part.digest for number in (0, 2)] == digests


def test_without_all_shards_nothing_appears(store: Shop) -> None:
    found = store.plan(store.write(customers()), shards=3)
    digests = store.score(found)
    facts = next(Path(store.settings.objects, found.work).glob("shard-00001.json"))
    facts.unlink()
    with pytest.raises(UserError, match="shard 1 of 3 is missing"):
        close(store.settings, found, digests)
    assert not store.partition().exists()
    assert store.database() == []
    close(store.settings, found, store.score(found))
    assert store.scores().num_rows == 300


def test_a_part_that_was_damaged_does_not_appear(store: Shop) -> None:
    found = store.plan(store.write(customers()))
    digests = store.score(found)
    part = next(Path(store.settings.objects, found.work).glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        close(store.settings, found, digests)
    assert not (store.partition() / "_manifest.json").exists()


def test_bad_rows_are_set_aside_with_their_reasons_and_the_others_are_scored(store: Shop) -> None:
    good = customers(400)
    bad = changed(good, 3, Plan="gold", visits=501)
    bad = changed(changed(changed(bad, 150, Kunde=None), 151, visits=0), 399, Kunde="  ")
    done = store.run(store.write(bad), shards=2)

    aside = pa.concat_tables(
        pq.read_table(store.partition() / one.file, partitioning=None) for one in store.manifest().quarantine
    )
    assert aside["row"].to_pylist() == [4, 151, 152, 400]
    assert aside["reasons"].to_pylist() == [
        "plan 'gold' is none of 'basic', 'plus'; visits '501' is above 500",
        "customer_id is missing",
        "spend_per_visit has no finite value",
        "customer_id is missing",
    ]
    assert aside["Plan"][0].as_py() == "gold"
    assert (done.summary.rows, done.summary.scored, done.summary.quarantined) == (400, 396, 4)
    assert {(fault.column, fault.rows) for fault in done.summary.faults} == {
        ("plan", 1), ("visits", 1), ("customer_id", 2), ("spend_per_visit", 1),
    }  # fmt: skip
    kept = [name for at, name in enumerate(good["Kunde"]) if at not in {3, 150, 151, 399}]
    assert store.scores()["id"].to_pylist() == kept
    store.run(store.write(good), as_of="2026-02-28")
    right = dict(zip(*(store.scores("2026-02-28")[name].to_pylist() for name in ("id", "probability")), strict=True))
    assert store.scores()["probability"].to_pylist() == pytest.approx([right[name] for name in kept], abs=1e-6)


def test_a_shard_of_bad_rows_alone_has_no_scores_and_ends_no_run(store: Shop) -> None:
    bad = {**customers(300), "visits": [-1] * 10 + [1] * 290}
    done = store.run(store.write(bad), shards=30, reasons=True)
    assert (done.summary.scored, done.summary.quarantined) == (290, 10)
    assert [part.rows for part in store.manifest().parts] == [0] + [10] * 29


def test_a_table_with_too_many_bad_rows_is_refused_and_what_there_was_stays(store: Shop) -> None:
    store.run(store.write(customers()))
    before, rows = store.state(), store.database()
    bad = {**customers(), "visits": [-1] * 100 + [1] * 200}
    with pytest.raises(UserError, match=r"100 of 300 rows break the contract.*'visits' is below 0"):
        store.run(store.write(bad))
    assert (store.state(), store.database()) == (before, rows)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({name: values[:0] for name, values in customers(1).items()}, "has no rows"),
        ({name: values for name, values in customers().items() if name != "visits"}, "visits"),
    ],
)
def test_a_table_that_cannot_be_scored_is_refused(store: Shop, columns: dict[str, list[object]], says: str) -> None:
    table = pa.table(columns, schema=pa.table(customers(1)).schema if "visits" in columns else None)
    pq.write_table(table, store.folder / "bad.parquet")
    with pytest.raises(UserError, match=says):
        store.run(str(store.folder / "bad.parquet"))
    assert not store.out.exists()


def test_without_a_champion_it_is_said_how_to_get_one(store: Shop) -> None:
    with pytest.raises(UserError, match=r"no champion yet.*churn run training"):
        store.plan(store.write(customers()), model="other")


def test_a_date_that_has_not_come_is_refused_and_tomorrow_is_not(store: Shop) -> None:
    data = store.write(customers(20))
    with pytest.raises(UserError, match="2962-01-05 has not come yet"):
        store.plan(data, as_of="2962-01-05")
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(hours=23)
    assert store.plan(data, as_of=tomorrow.isoformat()).as_of == f"{tomorrow:%Y-%m-%d}"


@pytest.mark.parametrize("out", ["afile", "afile/below", "/proc/foo"])
def test_a_place_that_cannot_be_written_to_is_found_before_anything_is_read(store: Shop, out: str) -> None:
    (store.folder / "afile").write_text("")
    with pytest.raises(UserError, match="cannot be used") as caught:
        store.plan(store.write(customers(20)), out=str(store.folder / out))
    assert caught.value.where == str(store.folder / out)


def test_a_place_is_tried_without_a_trace(store: Shop) -> None:
    before = sorted(store.folder.iterdir())
    data = store.write(customers(20))
    store.plan(data, out=str(store.folder / "new/place"))
    assert sorted(store.folder.iterdir()) == sorted([*before, Path(data)])


def test_a_place_that_is_lost_meanwhile_is_said(store: Shop) -> None:
    found = store.plan(store.write(customers(20)), out=str(store.folder / "place"))
    digests = store.score(found)
    (store.folder / "place").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        close(store.settings, found, digests)


def test_a_promotion_meanwhile_changes_nothing_of_the_run(store: Shop) -> None:
    found = store.plan(store.write(customers()), shards=2)
    first = step.score(store.settings, found, 0).part.digest
    publish(store.settings, shop(), version=2, seed=7, estimator="xgboost")
    done = close(store.settings, found, [first, step.score(store.settings, found, 1).part.digest])
    assert done.summary.version == 1
    store.run(store.write(customers()))
    assert store.scores(version=2)["probability"].to_pylist() != store.scores(version=1)["probability"].to_pylist()
    assert {row[2] for row in store.database()} == {2}


def test_a_customer_twice_is_scored_twice_and_the_later_event_timestamp_wins_in_the_database(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    publish(settings, shop(event_timestamp=EventTimestamp(column="seen", source="Seen")), estimator="xgboost")
    store = Shop(settings, tmp_path)
    times = [dt.datetime(2026, 1, 1 + at, tzinfo=dt.UTC) for at in range(4)]
    columns = {**customers(4), "Kunde": ["ann", "bob", "ann", "bob"], "Seen": [times[at] for at in (3, 0, 2, 1)]}
    done = store.run(store.write(columns), shards=2)
    p = store.scores()["probability"].to_pylist()
    assert store.scores()["event_timestamp"].to_pylist() == columns["Seen"]
    assert {row[0]: row[3] for row in store.database()} == {"ann": p[0], "bob": p[3]}
    assert (done.summary.scored, done.database.customers) == (4, 2)
    assert store.run(store.write(columns), as_of="2026-02-28").summary.comparison.both == 2


def test_a_table_without_a_key_names_its_rows_by_what_they_hold(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    publish(settings, shop(key=None), estimator="xgboost")
    store = Shop(settings, tmp_path)
    columns = customers(50)
    store.run(store.write(columns))
    ids = store.scores()["id"].to_pylist()
    assert len(set(ids)) == 50
    assert {len(one) for one in ids} == {32}


@pytest.mark.parametrize("estimator", ["xgboost", "logistic"])
def test_reasons_are_those_of_the_explainer_and_advice_follows_the_strongest(tmp_path: Path, estimator: str) -> None:
    advice = Advice("Call.", {"visits": "Ask why they come so rarely.", "spend": "Offer a discount."})
    settings = settings_of(tmp_path / "home")
    of = shop(recommendations={"low": "Nothing.", "medium": "Mail.", "high": advice})
    publish(settings, of, estimator=estimator)
    store = Shop(settings, tmp_path)
    columns = customers()
    store.run(store.write(columns), reasons=True)
    found, bundle, rows = store.scores(), opened(store), encoded(store, columns)
    given = Explainer.of(bundle).explain(rows)
    told = [[one.text for one in row] for row in reasons(of, rows, given, 3)]
    assert found["reasons"].to_pylist() == told
    why = strongest(of, given)
    expected = [decision.recommendation(of, *pair) for pair in zip(found["risk"].to_pylist(), why, strict=True)]
    assert found["recommendation"].to_pylist() == expected
    assert "Offer a discount." in expected or "Ask why they come so rarely." in expected
    store.run(store.write(columns), as_of="2026-02-28")
    assert store.scores("2026-02-28")["recommendation"].to_pylist() == expected, (
        "without reasons the advice is the same"
    )


def test_the_offline_store_gives_each_customers_latest_row_that_is_young_enough(store: Shop) -> None:
    remember(store.settings, shop(), CUSTOMERS, dt.datetime(2026, 1, 20, tzinfo=dt.UTC))
    done = store.run("")
    assert store.scores()["id"].to_pylist() == sorted(CUSTOMERS)
    assert done.summary.source == "offline store"
    with pytest.raises(UserError, match="no rows"):
        store.run("", as_of="2026-01-19")
    with pytest.raises(UserError, match="ttl_days"):
        store.run("", as_of="2026-06-01")


def test_the_run_before_is_compared_with_customer_by_customer(store: Shop) -> None:
    before = customers(300)
    now = {**{name: values[50:] for name, values in customers(340).items()}}
    assert store.run(store.write(before)).summary.comparison is None
    done = store.run(store.write(now), as_of="2026-02-28")
    found = done.summary.comparison
    assert (found.as_of, found.version, found.both, found.new, found.gone) == (DAY, 1, 250, 40, 50)
    assert sum(one.customers for one in found.moved) == 250
    page = render(done)
    assert "250 customers in both, 40 new, 50 gone" in page
    assert "<script" not in page


def test_a_run_before_that_cannot_be_read_is_passed_over(store: Shop) -> None:
    data = store.write(customers())
    store.run(data, as_of="2026-01-29")
    store.run(data, as_of="2026-01-30")
    (store.partition("2026-01-30") / "_manifest.json").write_text('{"format": 0}')
    assert store.run(data).summary.comparison.as_of == "2026-01-29"


def test_with_the_database_away_nothing_appears_and_the_next_run_goes_on(store: Shop) -> None:
    away = msgspec.structs.replace(store.settings, database=f"postgresql://churn:secret@127.0.0.1:{free_port()}/churn")
    broken = Shop(away, store.folder)
    found = broken.plan(store.write(customers()), shards=2)
    digests = broken.score(found)
    with pytest.raises(UserError, match="CHURN_DATABASE") as caught:
        close(away, found, digests)
    assert "secret" not in str(caught.value)
    assert not (store.partition() / "_manifest.json").exists()
    close(store.settings, found, store.score(found))
    assert len(store.database()) == 300


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(store: Shop, small_disk: Path) -> None:
    data = store.write(customers(3000))
    shutil.copytree(store.settings.home, small_disk / "home")
    full = Shop(settings_of(small_disk / "home"), store.folder)
    for number, variant in enumerate(sorted((small_disk / "home/traffic").glob("*.yaml"))):
        variant.write_text(variant.read_text().replace(str(store.settings.home), str(small_disk / "home")))
        assert number == 0
    found = full.plan(data, shards=2)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(8 << 20))
    with pytest.raises(UserError, match=r"the disk is full.*make room"):
        full.score(found)
    assert not full.out.exists()
    filler.unlink()
    close(full.settings, found, full.score(found))
    assert full.scores().num_rows == 3000


def test_everything_on_s3(store: Shop, s3: S3Server, bucket: str, tmp_path: Path) -> None:
    env = {"CHURN_OBJECTS": f"{bucket}/objects", "CHURN_TRAFFIC": f"{bucket}/traffic", **s3.environment}
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "elsewhere"), **env}).prepare()
    publish(settings, shop(), estimator="xgboost")
    there = Shop(settings, store.folder)
    data = store.write(customers())
    store.run(data, shards=2)
    with pytest.raises(UserError, match="no such bucket"):
        there.plan(data, out="s3://nowhere-at-all/scores")
    for _ in range(2):
        done = there.run(data, shards=2, out=f"{bucket}/scores/of/shop")
        assert done.address == f"{bucket}/scores/of/shop/date={DAY}/version=1/"
    there.run(store.write(customers(100)), shards=2, out=f"{bucket}/scores/of/shop", as_of="2026-02-28")
    from components.close_batch.place import OnS3, partitions

    place = OnS3(f"{bucket}/scores/of/shop", settings)
    assert partitions(place) == [(DAY, 1), ("2026-02-28", 1)]
    assert [name for name in place.names("") if DAY in name] == [
        f"date={DAY}/version=1/{path.name}" for path in sorted(store.partition().iterdir())
    ], "as in a folder, name by name"
    assert place.read(f"date={DAY}/version=1/_manifest.json") == (store.partition() / "_manifest.json").read_bytes()


@pytest.mark.parametrize("kind", ["plain", "large", "dictionary", "numbers", "float32"])
def test_a_parquet_file_may_type_its_columns_in_its_own_way(store: Shop, kind: str) -> None:
    columns = {**customers(200), "Plan": ["0", "1"] * 100}
    store.run(store.write(columns))
    expected = store.scores()
    table = pa.table(columns)
    match kind:
        case "large":
            texts = {name: table[name].cast(pa.large_string()) for name in ("Kunde", "Plan", "region")}
        case "dictionary":
            texts = {name: table[name].dictionary_encode() for name in ("Kunde", "Plan", "region")}
        case "numbers":
            texts = {"Plan": table["Plan"].cast(pa.int64()), "visits": table["visits"].cast(pa.float64())}
        case "float32":
            texts = {"visits": table["visits"].cast(pa.int16()), "discount": table["discount"].cast(pa.float32())}
        case _:
            texts = {}
    for name, values in texts.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, store.folder / "typed.parquet")
    store.run(str(store.folder / "typed.parquet"))
    assert store.scores().equals(expected)
