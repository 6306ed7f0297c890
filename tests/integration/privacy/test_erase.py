"""Erasing a customer: from every place there is, in files and on servers, whatever kills it or works beside it."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.digests import sha256_of_file
from churn.stores.folder_store import FolderStore
from churn.stores.prediction_log import fingerprints, schema
from churn.stores.prediction_log.frames import RECORDS, frame
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.privacy import ledger
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.folders import StepFiles
from churn.stores.privacy.ledger import Ledger
from churn.stores.settings import Settings
from components.train.data import Source, join
from feature_repo.forgetting.store import OnlineStore
from feature_repo.materialisation import materialise
from feature_repo.online import Known, Unknown
from feature_repo.training import training_set
from local import main, privacy
from tests.integration.feature_repo import samples
from tests.integration.privacy.household import CANARY, OTHER, WHEN, Home, Household, begun, joined, killed_at
from tests.unit.stores.prediction_log.samples import record


def test_nothing_of_a_customer_is_left_anywhere_and_all_of_the_others_is(household: Household) -> None:
    household.know_customers()
    household.predicted(0, 1, 40)
    household.demonstrate()
    privacy.archive(30)
    assert isinstance(household.online(), Known)
    before = _rows(household)

    done = privacy.erase(CANARY)

    assert not done.left
    assert household.mentions() == []
    rows = [held.rows for held in done.erased if held.place in {"object store", "step files"}]
    assert _rows(household) == before - sum(rows) + 2, "the demo's two rows are in a CSV"
    assert household.pseudonym() not in _logged(household)
    assert isinstance(household.online(), Unknown)
    assert isinstance(household.online(OTHER), Known)
    assert {held.place for held in done.erased} >= {
        "database", "prediction log", "object store", "step files", "online store",
    }  # fmt: skip
    assert [held.rows for held in done.erased if held.where.startswith("snapshots/")] == [2]
    assert [held.rows for held in done.erased if held.where.startswith("archive/")] == [1]
    assert [held.where for held in done.yours] == [str(household.table)]
    assert len(household.mentions(OTHER)) > 5
    assert household.pseudonym(OTHER) in _logged(household)
    assert privacy.erase(CANARY).rows == 0


def test_a_dry_run_says_the_same_and_changes_nothing(household: Household) -> None:
    household.predicted(0)
    before = _tables(household)

    found = privacy.erase(CANARY, dry_run=True)

    assert _tables(household) == before
    assert isinstance(household.online(), Known)
    done = privacy.erase(CANARY)
    places = [(held.place, held.where, held.rows) for held in found.erased]
    assert places == [(held.place, held.where, held.rows) for held in done.erased]


def test_who_holds_the_old_address_finds_what_it_became(household: Household) -> None:
    old, features = household.ingested.address, household.transformed.features
    store = objects.open_store(household.settings)
    privacy.erase(CANARY)
    assert not store.exists(old)
    assert not store.exists(features)

    privacy.erase(OTHER)  # which moves what was moved
    ids = set(pq.read_table(objects.fetch(household.settings, old))["customerID"].to_pylist())
    assert len(ids) == 397
    assert not ids & {CANARY, OTHER}
    assert ledger.current(household.settings, features) != features

    entities = pq.read_table(household.run / "transform/entities")
    joined = training_set(household.settings, household.contract, entities, expected_source=features)
    assert len(joined) == 397
    assert joined["tenure"].null_count == 0
    materialise(household.settings, household.contract, WHEN, expected_source=features)
    assert isinstance(household.online(), Unknown)
    with pytest.raises(UserError, match="no such object"):
        objects.fetch(household.settings, f"{features}/raw2.parquet")


def test_the_pipeline_trains_on_what_is_left(embedded: Household) -> None:
    """What the train step fits its candidates on, and then names in `scored`."""
    privacy.erase(CANARY)
    source = Source(embedded.transformed.features, embedded.ingested.digest)
    data = join(embedded.settings, embedded.contract, embedded.run / "transform/entities", source)
    assert len(data.table) == 398
    assert CANARY not in data.keys.to_pylist()
    assert embedded.mentions() == []


def test_a_training_set_that_was_made_of_the_log_loses_the_customer_too(embedded: Household, tmp_path: Path) -> None:
    """Nobody is in it by their id, but by a key made of their pseudonym."""
    features = embedded.retrain_on_the_log()
    key, other = (embedded.pseudonym(one).hex() for one in (CANARY, OTHER))
    before = set(embedded.mentions(key))
    assert len({one for one in before if "/objects/" in one}) == 3, "a snapshot, and features raw and derived"
    assert len({one for one in before if "/runs/retraining-1/" in one}) == 3, "valid, entities, scored"
    assert sum(row.get("customer_id") == key for row in _exported(tmp_path / "out")) == 5

    done = privacy.erase(CANARY)

    assert not done.left
    assert all("/ledger/" in one for one in embedded.mentions(key)), "which says of whom, by their pseudonym"
    assert len(set(embedded.mentions(other))) == len(before)
    assert not done.unsearched
    entities = pq.read_table(embedded.settings.home / "runs/retraining-1/artifacts/retraining/transform/entities")
    joined = training_set(embedded.settings, embedded.contract, entities, expected_source=features, logged=True)
    assert len(joined) == 398


def test_the_ledger_knows_who_when_and_what_became_of_what_but_no_id(household: Household) -> None:
    privacy.erase(CANARY, by="data protection")
    store = objects.open_store(household.settings)
    entries = {address: store.fetch(address).read_bytes() for address in store.list("ledger/")}
    assert all(CANARY.encode() not in content for content in entries.values())
    moved = [json.loads(content) for address, content in entries.items() if "/moved/" in address]
    [ended] = [json.loads(content) for address, content in entries.items() if "/erasures/" in address]
    assert {entry["act"]["customer"] for entry in moved} == {household.pseudonym().hex()}
    assert ended["act"]["by"] == "data protection"
    assert ended["places"]["object store"] == 4
    [snapshot] = [entry for entry in moved if entry["source"].startswith("snapshots/")]
    assert snapshot["source"] == f"snapshots/{household.ingested.digest}.parquet"
    assert snapshot["rows"] == 2
    assert store.exists(store.address(snapshot["target"]))


@pytest.mark.parametrize("moment", ["put", "noted", "deleted"])
def test_what_is_killed_half_way_is_completed_by_the_next(embedded: Household, moment: str) -> None:
    owner, name = {
        "put": (Ledger, "moved"),
        "noted": (FolderStore, "delete"),
        "deleted": (StepFiles, "erase"),
    }[moment]
    killed_at(owner, name, lambda: privacy.erase(CANARY))

    assert not privacy.erase(CANARY).left
    assert embedded.mentions() == []
    assert not (embedded.settings.home / ".privacy").exists() or not any(
        (embedded.settings.home / ".privacy").iterdir()
    )
    ids = pq.read_table(objects.fetch(embedded.settings, embedded.ingested.address))["customerID"].to_pylist()
    assert len(ids) == 398
    store = objects.open_store(embedded.settings)
    assert len(store.list("snapshots/")) == 1
    assert len(store.list("features/")) == 2


def test_predictions_on_their_way_do_not_arrive(home: Home) -> None:
    """One process died with its spool; another runs, and holds its own."""
    home.predicted(1)
    running = home.log(durability="durable", ship_s=3600.0, adopt_s=3600.0)
    time.sleep(0.2)
    running.append(record(2, customers=[home.pseudonym(), home.pseudonym(OTHER)]))
    home.leave_in_spool(3, [home.pseudonym(), None, home.pseudonym()])
    shipped = threading.Timer(1.0, running.close)
    shipped.start()
    done = privacy.erase(CANARY)
    shipped.join()

    assert sum(held.rows for held in done.erased if held.place == "spool") == 3
    assert not done.left
    assert not list(home.spool.glob("*/*.seg"))
    assert home.pseudonym() not in _logged(home)
    assert len(_logged(home)) == 3, "the others' predictions, and the one of nobody, are there"


@pytest.mark.parametrize("kind", ["another version's frame", "damage", "a folder", "a pipe"])
def test_what_cannot_be_read_in_the_spool_is_named_and_the_rest_is_erased(
    embedded: Household, tmp_path: Path, kind: str
) -> None:
    embedded.leave_in_spool(1, [embedded.pseudonym()])
    [left] = embedded.spool.glob("*/*.seg")
    odd = left if kind in ("another version's frame", "damage") else left.with_name("000000007.seg")
    if kind == "a folder":
        odd.mkdir()
    elif kind == "a pipe":
        os.mkfifo(odd)
    else:
        more = b"?" * 100 if kind == "damage" else frame(RECORDS, 1, b"\xc1")
        odd.write_bytes(odd.read_bytes() + more + frame(RECORDS, 0, b"\x90"))
    where = odd.relative_to(embedded.spool).as_posix()

    exported = privacy.export(CANARY, tmp_path / "out")
    assert exported.rows["spool"] == 1
    assert where in [held.where for held in exported.unsearched]
    done = privacy.erase(CANARY)
    assert [(held.where, held.rows) for held in done.unsearched if held.place == "spool"] == [(where, 0)]
    assert not done.left
    assert [held.rows for held in done.erased if held.place == "spool"] == [1]
    assert "online store" in {held.place for held in done.erased}, "later places are reached"
    assert embedded.pseudonym() not in _logged(embedded)


def test_a_writer_that_began_before_the_erasure_brings_nobody_back(on_servers: Home) -> None:
    on_servers.predicted(0)
    url, name = on_servers.settings.database, on_servers.pseudonym()
    writer = psycopg2.connect(url)
    with writer.cursor() as cursor:  # as the log inserts: it has looked for erasures before this one
        columns = ", ".join(schema.COLUMNS[1:])
        copy = f"INSERT INTO predictions SELECT gen_random_uuid(), {columns} FROM predictions WHERE customer = %s"
        cursor.execute(copy, [name])
    threading.Timer(1.0, lambda: (writer.commit(), writer.close())).start()
    done = privacy.erase(CANARY)
    assert [held.rows for held in done.erased if held.place == "prediction log"] == [2]
    assert name not in _logged(on_servers)


def test_erasures_at_once_take_turns(embedded: Household) -> None:

    def erase() -> None:
        assert privacy.erase(CANARY).left == []

    running = [begun(erase) for _ in range(2)]
    assert [joined(process) for process in running] == [0, 0]
    assert embedded.mentions() == []


def test_a_key_that_counts_is_found_however_it_is_spelled(tmp_path: Path, postgres: str) -> None:
    made = samples.contract(key="integer")
    stores = {"CHURN_HOME": str(tmp_path / "home"), "CHURN_ONLINE_STORE": postgres}
    settings = Settings.load(stores).prepare()
    from feature_repo.online import OnlineFeatures
    from feature_repo.registration import apply

    rows = [samples.customer(number, samples.NOW, tenure=number, plan="basic") for number in (7, 70)]
    apply(settings, made, samples.write_source(made, tmp_path / "features", rows))
    materialise(settings, made, samples.NOW)
    store = OnlineStore(settings, Customer("007", None), [made])
    [(_, [values])] = store.rows()
    assert (values["tenure"], values["plan"]) == (7, "basic")
    assert [held.rows for held in store.erase()] == [1]
    unknown, known = OnlineFeatures(settings, made).read([7, 70])
    assert isinstance(unknown, Unknown)
    assert isinstance(known, Known)


def test_tables_without_a_key_or_without_a_contract_are_named(embedded: Household, tmp_path: Path) -> None:
    store = objects.open_store(embedded.settings)
    strange = {"Kunde": [f" {CANARY}", OTHER], "gone": [0, 1], "visits": [1, 2]}
    for name, columns in (("survey", {"score": [1.0], "churned": [1]}), ("strange", strange)):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        digest = sha256_of_file(tmp_path / f"{name}.parquet")
        store.put_file(tmp_path / f"{name}.parquet", f"snapshots/{digest}.parquet")
    survey = tmp_path / "survey.yaml"
    survey.write_text("name: survey\ntarget: {column: churned, positive: 1}\ncolumns: {score: {type: number}}\n")
    done = privacy.erase(CANARY, [str(survey)])
    notes = sorted(held.note.partition(":")[0] for held in done.unsearched)
    assert notes == ["a table without a key", "no known contract reads it"]

    kunde = tmp_path / "kunde.yaml"
    kunde.write_text(
        "name: kunde\nkey: {column: id, source: Kunde}\ntarget: {column: gone, positive: 1}\n"
        "columns: {visits: {type: integer}}\n"
    )
    done = privacy.erase(CANARY, [str(kunde)])
    assert done.rows == 1


def test_without_the_logs_key_nothing_is_erased(embedded: Household) -> None:
    embedded.predicted(0)
    (embedded.settings.home / "keys/log").unlink()
    with pytest.raises(UserError, match="CHURN_LOG_KEY"):
        privacy.erase(CANARY)
    assert isinstance(embedded.online(), Known)


def test_with_another_key_than_the_logs_nothing_is_erased_and_nothing_handed_out(
    embedded: Household, tmp_path: Path
) -> None:
    embedded.predicted(0)
    key = embedded.settings.home / "keys/log"
    fingerprints.keep(embedded.settings.database, Pseudonyms.load(key), key)
    key.unlink()
    Pseudonyms.load(key)
    for act in (lambda: privacy.erase(CANARY), lambda: privacy.export(CANARY, tmp_path / "out")):
        with pytest.raises(UserError, match="keys/log: is not the key"):
            act()
    assert isinstance(embedded.online(), Known)


def test_the_command_prints_what_it_did_and_never_the_id(
    embedded: Household, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.predicted(0)
    assert main._run(["privacy", "erase", "--customer-id", CANARY, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "would be erased" in shown.out
    assert main._run(["privacy", "erase", "--customer-id", CANARY, "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["customer"] == embedded.pseudonym().hex()
    assert {held["place"] for held in found["erased"]} >= {"prediction log", "object store", "online store"}
    assert main._run(["privacy", "erase", "--customer-id", CANARY]) == 0
    again = capsys.readouterr()
    assert "Nothing is held" in again.out
    assert CANARY not in "".join([*shown, *printed, *again])
    assert main._run(["privacy", "erase", "--customer-id", " "]) == 2


def test_an_upload_that_did_not_end_is_deleted(on_servers: Home, tmp_path: Path) -> None:
    store = objects.open_store(on_servers.settings)
    pq.write_table(pa.table({"customer_id": [CANARY], "event_timestamp": [0]}), tmp_path / "raw.parquet")
    half = f"features/0123456789ab/{'a' * 64}"
    store.put_file(tmp_path / "raw.parquet", f"{half}/raw.parquet")
    loose = store.put_file(tmp_path / "raw.parquet", "mine/raw.parquet")
    done = privacy.erase(CANARY)
    assert store.list("features/") == []
    assert [(held.where, held.rows) for held in done.left] == [("mine/raw.parquet", 1)], "it is named, and not ours"
    assert store.exists(loose)


def test_a_batch_that_is_not_closed_begins_anew_and_what_no_manifest_names_is_deleted(
    home: Home, tmp_path: Path
) -> None:
    store = objects.open_store(home.settings)
    scores = {"id": [OTHER, CANARY], "probability": [0.1, 0.2], "decision": [False, True], "risk": ["low", "high"]}
    pq.write_table(pa.table(scores), tmp_path / "part.parquet")
    work, published = f"batch/telco/2026-06-01/{'7' * 32}", "scores/telco/date=2026-06-01/version=1/part-0.parquet"
    store.put_file(tmp_path / "part.parquet", f"{work}/{sha256_of_file(tmp_path / 'part.parquet')}.parquet")
    (tmp_path / "facts").touch()
    store.put_file(tmp_path / "facts", f"{work}/shard-00000.json")
    store.put_file(tmp_path / "part.parquet", published)
    done = privacy.erase(CANARY)
    assert store.list("batch/") == []
    assert [address for address in store.list("scores/") if not address.endswith(".lock")] == []
    assert [held.rows for held in done.erased if held.place == "published scores"] == [1]
    assert done.left == []


def _exported(folder: Path) -> list[dict[str, object]]:
    """The rows that an export gives, whatever holds them."""
    privacy.export(CANARY, folder)
    held = json.loads((folder / "customer.json").read_bytes())["held"]
    return [row for place in held.values() for rows in place.values() for row in rows]


def _logged(home: Home) -> list[bytes | None]:
    return [row["customer"] for row in home.logged()]


def _tables(household: Household) -> dict[str, pa.Table]:
    """All tables of the object store and of the run, but not what copies there are of the former."""
    return {where: table for where, table in household.parquet() if "/cache/" not in where}


def _rows(household: Household) -> int:
    return sum(len(table) for table in _tables(household).values())
