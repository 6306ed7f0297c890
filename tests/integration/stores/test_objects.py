from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores.errors import ConflictError
from churn.stores.objects import ObjectStore, open_store
from churn.stores.settings import Settings
from tests.servers import s3_kind

SHA = hashlib.sha256(b"rows").hexdigest()

DIE = """
import os, signal
def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["folder", s3_kind()])
def settings_of_kind(request: pytest.FixtureRequest) -> Settings:
    found: Settings = request.getfixturevalue("settings" if request.param == "folder" else "s3_settings")
    return found


@pytest.fixture
def store(settings_of_kind: Settings) -> ObjectStore:
    return open_store(settings_of_kind)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"rows")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "reference").mkdir(parents=True)
    (root / "model.onnx").write_bytes(b"graph" * 100)
    (root / "reference" / "rows.parquet").write_bytes(b"rows")
    return root


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("key", [f"snapshots/{SHA}.parquet", "data/rows.parquet"], ids=["by digest", "by name"])
def test_a_stored_file_is_fetched_as_it_was(store: ObjectStore, file: Path, key: str) -> None:
    address = store.put_file(file, key)

    assert address == f"{store.root}/{key}" == store.address(key)
    assert store.exists(address)
    assert store.fetch(address).read_bytes() == b"rows"
    assert store.fetch(address).name == Path(key).name


def test_the_same_file_again_is_no_second_copy(store: ObjectStore, file: Path) -> None:
    first = store.put_file(file, "data/rows.parquet")

    assert store.put_file(file, "data/rows.parquet") == first
    assert store.list() == [first]


def test_other_content_under_a_taken_name_is_refused(store: ObjectStore, file: Path, folder: Path) -> None:
    address = store.put_file(file, "data/rows.parquet")
    bundle = store.put_folder(folder, "bundles/named")
    kept = _contents(folder)
    file.write_bytes(b"other")
    (folder / "more").touch()

    with pytest.raises(ConflictError, match="objects never change"):
        store.put_file(file, "data/rows.parquet")
    with pytest.raises(ConflictError, match="objects never change"):
        store.put_folder(folder, "bundles/named")

    assert store.fetch(address).read_bytes() == b"rows"
    assert _contents(store.fetch_folder(bundle)) == kept


@pytest.mark.parametrize("key", [f"bundles/{SHA}", "bundles/named"], ids=["by digest", "by name"])
def test_a_stored_folder_is_fetched_as_it_was(store: ObjectStore, folder: Path, key: str) -> None:
    address = store.put_folder(folder, key)

    assert store.put_folder(folder, key) == address
    assert store.exists(address)
    assert _contents(store.fetch_folder(address)) == _contents(folder)
    assert store.list("bundles") == [f"{address}/model.onnx", f"{address}/reference/rows.parquet"]
    assert store.fetch(f"{address}/model.onnx").read_bytes() == b"graph" * 100


def test_what_is_missing_is_told_with_its_address(store: ObjectStore) -> None:
    address = store.address(f"snapshots/{SHA}.parquet")

    assert not store.exists(address)
    assert store.list("snapshots") == []
    for fetch in (store.fetch, store.fetch_folder):
        with pytest.raises(UserError, match=SHA):
            fetch(address)


def test_an_object_is_as_old_as_it_was_stored_long_ago(store: ObjectStore, file: Path) -> None:
    os.utime(file, (0, 0))
    age = store.age_s(store.put_file(file, "data/rows.parquet"))
    assert age is not None
    assert -60 < age < 600, "the server's clock may be another"
    assert store.age_s(store.address("data/none.parquet")) is None


def test_deleted_objects_are_gone(store: ObjectStore, file: Path, folder: Path) -> None:
    addresses = (store.put_file(file, "a/file"), store.put_folder(folder, "b/folder"))
    for address in (*addresses, *addresses):  # the second time there is nothing to do
        store.delete(address)

    assert store.list() == []
    assert not any(store.exists(address) for address in addresses)


@pytest.mark.parametrize("key", ["", "../escape", "/absolute", "a//b", "a/../b", "a/"])
def test_a_key_that_leaves_the_store_is_refused(store: ObjectStore, file: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        store.put_file(file, key)


PUT_FOLDER = (
    DIE
    + """
from pathlib import Path
from churn.stores import files
from churn.stores.objects import open_store
from churn.stores.s3_store import S3Store
from churn.stores.settings import Settings
files.publish, S3Store._finish = die, die
open_store(Settings.load()).put_folder(Path({folder!r}), {key!r})
"""
)


def test_a_folder_whose_writer_was_killed_is_not_seen_and_can_be_put_again(
    settings_of_kind: Settings, folder: Path, kill: Callable[[str, Settings], None]
) -> None:
    key = f"bundles/{SHA}"
    store = open_store(settings_of_kind)
    kill(PUT_FOLDER.format(folder=str(folder), key=key), settings_of_kind)

    assert not store.exists(store.address(key))
    with pytest.raises(UserError, match=SHA):
        store.fetch_folder(store.address(key))

    assert _contents(store.fetch_folder(store.put_folder(folder, key))) == _contents(folder)


PUT_FILE = (
    DIE
    + """
from pathlib import Path
from churn.stores import files
from churn.stores.objects import open_store
from churn.stores.settings import Settings
files.publish = die
open_store(Settings.load()).put_file(Path({file!r}), {key!r})
"""
)


def test_a_file_whose_writer_was_killed_is_not_seen_and_can_be_put_again(
    settings: Settings, file: Path, kill: Callable[[str, Settings], None]
) -> None:
    key = f"snapshots/{SHA}.parquet"
    store = open_store(settings)
    kill(PUT_FILE.format(file=str(file), key=key), settings)

    assert store.list() == []
    assert store.fetch(store.put_file(file, key)).read_bytes() == b"rows"


RACE = """
import sys
from pathlib import Path
from churn.stores.objects import open_store
from churn.stores.settings import Settings
store = open_store(Settings.load())
print("ready", flush=True)
sys.stdin.readline()
for key in range(10):
    store.put_folder(Path({folder!r}), f"bundles/{{key}}")
print("done")
"""


def test_writers_of_the_same_folder_at_once_all_succeed(
    settings_of_kind: Settings, folder: Path, race: Callable[[str, Settings, int], list[str]]
) -> None:
    assert race(RACE.format(folder=str(folder)), settings_of_kind, 3) == ["done"] * 3

    store = open_store(settings_of_kind)
    for key in range(10):
        assert _contents(store.fetch_folder(store.address(f"bundles/{key}"))) == _contents(folder)
    assert len(store.list()) == 20


@pytest.fixture
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.rglob(".staging/*")) == []


@pytest.mark.usefixtures("_no_leftovers")
def test_nothing_staged_stays_behind(store: ObjectStore, file: Path, folder: Path) -> None:
    store.fetch(store.put_file(file, "a"))
    store.fetch_folder(store.put_folder(folder, "b"))
    store.delete(store.address("b"))
