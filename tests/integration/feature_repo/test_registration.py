from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from feast import Project

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from feature_repo import names, store
from feature_repo.materialisation import materialise
from feature_repo.online import Known, OnlineFeatures
from feature_repo.quiet import Registry
from feature_repo.registration import apply
from feature_repo.training import training_set
from tests.integration.feature_repo.samples import NOW, contract, customer, entities, write_source


def registry(settings: Settings) -> Registry:
    return Registry.FromString(Path(settings.feast_registry).read_bytes())


def apply_many(home: str, source: str, first: int) -> None:
    settings = Settings.load({"CHURN_HOME": home})
    for number in range(first, first + 5):
        apply(settings, contract(name=f"made-{number}"), source)


def test_applying_twice_registers_once(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    source = write_source(made, tmp_path / "features", [customer("a", NOW)])
    apply(settings, made, source)
    once = registry(settings)
    apply(settings, made, source)
    twice = registry(settings)
    assert {view.spec.name for view in twice.feature_views} == {names.raw_view(made), names.derived_view(made)}
    for kind in ("feature_views", "feature_services", "data_sources", "entities", "projects"):
        assert len(getattr(twice, kind)) == len(getattr(once, kind))
    assert len(twice.feature_view_version_history.records) == len(once.feature_view_version_history.records)


def test_a_new_contract_touches_nothing_of_the_one_that_serves(settings: Settings, tmp_path: Path) -> None:
    serving, new = contract(), contract(ttl=60)
    source = write_source(serving, tmp_path / "serving", [customer("a", NOW, tenure=1)])
    apply(settings, serving, source)
    materialise(settings, serving, NOW)
    apply(settings, new, write_source(new, tmp_path / "new", [customer("a", NOW, tenure=2)]))
    materialise(settings, new, NOW)
    assert training_set(settings, serving, entities(serving, [("a", NOW)]), source)["tenure"].to_pylist() == [1]
    (answer,) = OnlineFeatures(settings, serving).read(["a"])
    assert isinstance(answer, Known)
    assert answer.raw["tenure"] == 1


def test_applying_changes_no_value_that_is_served(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    apply(settings, made, write_source(made, tmp_path / "old", [customer("a", NOW, tenure=1)]))
    materialise(settings, made, NOW)
    before = OnlineFeatures(settings, made).read(["a"])
    apply(settings, made, write_source(made, tmp_path / "new", [customer("a", NOW, tenure=2)]))
    assert OnlineFeatures(settings, made).read(["a"]) == before


def test_processes_that_register_at_once_lose_nothing(settings: Settings, tmp_path: Path) -> None:
    source = write_source(contract(), tmp_path / "features", [customer("a", NOW)])
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=apply_many, args=(str(settings.home), source, n)) for n in (0, 5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert {service.spec.project for service in registry(settings).feature_services} == {f"made_{n}" for n in range(10)}


def test_a_reader_never_meets_half_a_registry(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    apply(settings, made, write_source(made, tmp_path / "features", [customer("a", NOW)]))
    written = threading.Event()

    def write() -> None:
        opened = store.open_online(settings, names.project(made))
        for number in range(100):
            opened.registry.apply_project(Project(name=f"p{number}"))
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not written.is_set():
        assert len(registry(settings).feature_views) == 2
        reads += 1
    writer.join()
    assert reads > 10


def test_a_file_that_is_no_registry_is_named(settings: Settings, tmp_path: Path) -> None:
    Path(settings.feast_registry).parent.mkdir(parents=True)
    Path(settings.feast_registry).write_text("something else entirely")
    made = contract()
    with pytest.raises(UserError, match=r"registry.db: is not a Feast registry"):
        apply(settings, made, str(tmp_path))


def test_a_contract_that_derives_nothing_has_one_view(settings: Settings, tmp_path: Path) -> None:
    from churn.domain import contract as contracts

    made = contracts.parse("{name: bare, target: {column: left, positive: 1}, columns: {age: {type: number}}}")
    raw = pa.table(
        {
            "entity_id": ["x"],
            "event_timestamp": pa.array([NOW], pa.timestamp("us", tz="UTC")),
            "age": [41.5],
        }
    )
    import pyarrow.parquet as pq

    pq.write_table(raw, tmp_path / "raw.parquet")
    apply(settings, made, str(tmp_path))
    joined = training_set(settings, made, raw.select(["entity_id", "event_timestamp"]), str(tmp_path))
    assert joined.equals(raw)
