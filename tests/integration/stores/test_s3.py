from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from churn.domain.errors import UserError
from churn.stores.errors import ConflictError
from churn.stores.objects import fetch, open_store
from churn.stores.s3 import S3
from churn.stores.s3_store import S3Store
from churn.stores.settings import S3Access, Settings
from tests.integration.stores.conftest import QUICK
from tests.servers import S3Server, faulty_proxy, free_port

ROWS = b"rows" * 1_000_000
SHA = hashlib.sha256(ROWS).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows"
    path.write_bytes(ROWS)
    return path


@pytest.fixture
def access(s3: S3Server) -> S3Access:
    return S3Access.load(s3.environment)


def _store(root: str, access: S3Access, tmp_path: Path, **changes: str) -> S3Store:
    return S3Store(root, msgspec.structs.replace(access, **changes), tmp_path / "cache", QUICK)


def test_a_users_object_is_fetched_from_any_bucket(
    s3: S3Server, bucket: str, file: Path, access: S3Access, tmp_path: Path
) -> None:
    other = _store(bucket, access, tmp_path / "theirs")
    address = other.put_file(file, "their/own/telco.csv")
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "home"), **s3.environment})

    fetched = fetch(settings, address)

    assert fetched.name == "telco.csv"
    assert fetched.read_bytes() == ROWS


def test_an_object_that_changed_is_fetched_again(bucket: str, access: S3Access, tmp_path: Path) -> None:
    store, client = _store(bucket, access, tmp_path), S3(access)
    name = bucket.removeprefix("s3://")
    client.write_if(name, "table.csv", b"old", None)
    before = store.fetch(f"{bucket}/table.csv").read_bytes()
    _, etag = client.read(name, "table.csv") or (b"", "")
    client.write_if(name, "table.csv", b"new", etag)

    assert (before, store.fetch(f"{bucket}/table.csv").read_bytes()) == (b"old", b"new")


def test_fetched_content_is_not_downloaded_twice(bucket: str, file: Path, access: S3Access, tmp_path: Path) -> None:
    store = _store(bucket, access, tmp_path)
    address = store.put_file(file, f"snapshots/{SHA}.parquet")
    first = store.fetch(address)
    store.delete(address)

    assert store.fetch(address) == first


def test_content_that_is_not_what_its_address_promises_is_refused_and_not_kept(
    bucket: str, file: Path, access: S3Access, tmp_path: Path
) -> None:
    store = _store(bucket, access, tmp_path)
    file.write_bytes(b"damaged")
    address = store.put_file(file, f"snapshots/{SHA}.parquet")

    for _ in range(2):
        with pytest.raises(UserError, match="not what its address promises"):
            store.fetch(address)

    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_of_a_folder_that_was_changed_is_noticed(
    bucket: str, tmp_path: Path, access: S3Access, file: Path
) -> None:
    store = _store(bucket, access, tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    file.rename(folder / "model.onnx")
    address = store.put_folder(folder, "bundles/x")
    S3(access).client.remove_object(bucket.removeprefix("s3://"), "bundles/x/model.onnx")
    (folder / "model.onnx").write_bytes(b"planted")
    store.put_file(folder / "model.onnx", "bundles/x/model.onnx")

    with pytest.raises(UserError, match="not what its address promises"):
        store.fetch_folder(address)


FAULTS = ["slow down", "hang up", "slow down", "lose answer"]


def test_faults_on_the_way_are_retried(s3: S3Server, bucket: str, file: Path, access: S3Access, tmp_path: Path) -> None:
    faults = list(FAULTS)
    with faulty_proxy(s3.endpoint, faults) as endpoint:
        store = _store(bucket, access, tmp_path, endpoint=endpoint)
        address = store.put_file(file, f"snapshots/{SHA}.parquet")
        assert faults == []

        faults += ["slow down", "cut", "hang up"]
        assert store.fetch(address).read_bytes() == ROWS
        assert faults == []


def test_retries_are_bounded(s3: S3Server, bucket: str, access: S3Access, tmp_path: Path) -> None:
    faults = ["slow down"] * 100
    with faulty_proxy(s3.endpoint, faults) as endpoint:
        store = _store(bucket, access, tmp_path, endpoint=endpoint)
        with pytest.raises(UserError, match=r"did not answer after 6 attempts .*AWS_ENDPOINT_URL"):
            store.fetch(f"{bucket}/x.csv")

    assert len(faults) == 100 - QUICK.attempts


def test_a_server_that_is_not_there_is_told_with_its_address(access: S3Access, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(UserError, match=nowhere):
        _store("s3://bucket", access, tmp_path, endpoint=nowhere).fetch("s3://bucket/x.csv")


@pytest.mark.parametrize("status", ["missing object", "missing bucket"])
def test_what_is_not_there_is_not_asked_for_twice(
    status: str, s3: S3Server, bucket: str, access: S3Access, tmp_path: Path
) -> None:
    faults = ["" for _ in range(100)]
    address = f"{bucket}/x.csv" if status == "missing object" else "s3://no-such-bucket/x.csv"
    with faulty_proxy(s3.endpoint, faults) as endpoint, pytest.raises(UserError) as caught:
        _store(bucket, access, tmp_path, endpoint=endpoint).fetch(address)

    assert len(faults) == 98, "one request for the object, one for its bucket"
    assert ("no such object" if status == "missing object" else "'no-such-bucket' does not exist") in str(caught.value)
    assert address in str(caught.value)


@pytest.mark.parametrize("operation", ["fetch", "put", "list", "write_if"])
def test_a_missing_bucket_is_told_by_every_operation(
    operation: str, access: S3Access, file: Path, tmp_path: Path
) -> None:
    store, root = _store("s3://no-such-bucket/p", access, tmp_path), "s3://no-such-bucket/p"
    calls: dict[str, Callable[[], object]] = {
        "fetch": lambda: store.fetch(f"{root}/x"),
        "put": lambda: store.put_file(file, "x"),
        "list": store.list,
        "write_if": lambda: S3(access, QUICK).write_if("no-such-bucket", "x", b"", None),
    }

    with pytest.raises(UserError, match="the bucket 'no-such-bucket' does not exist"):
        calls[operation]()


@pytest.mark.parametrize(
    "changes",
    [{"secret_key": "wrong-secret"}, {"access_key": "nobody"}, {"access_key": "", "secret_key": ""}],
    ids=["wrong secret", "unknown key", "anonymous"],
)
@pytest.mark.parametrize("operation", ["fetch", "put", "write_if"])
def test_wrong_credentials_are_told_without_the_secret(
    changes: dict[str, str], operation: str, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    if s3.kind == "moto":
        pytest.skip("moto accepts wrong credentials; MinIO is not on the PATH nor in MINIO_BIN")
    store = _store(bucket, S3Access.load(s3.environment), tmp_path, **changes)
    calls: dict[str, Callable[[], object]] = {
        "fetch": lambda: store.fetch(f"{bucket}/x"),
        "put": lambda: store.put_file(Path(__file__), "x"),
        "write_if": lambda: store._s3.write_if(bucket.removeprefix("s3://"), "x", b"", None),
    }

    with pytest.raises(UserError, match="AWS_SECRET_ACCESS_KEY") as caught:
        calls[operation]()

    assert "wrong-secret" not in str(caught.value)


def test_a_conditional_write_whose_answer_was_lost_is_recognised_as_done(
    s3: S3Server, bucket: str, access: S3Access
) -> None:
    name = bucket.removeprefix("s3://")
    with faulty_proxy(s3.endpoint, ["lose answer"]) as endpoint:
        S3(msgspec.structs.replace(access, endpoint=endpoint), QUICK).write_if(name, "doc", b"mine", None)

    assert (S3(access).read(name, "doc") or (b"",))[0] == b"mine"


@pytest.mark.parametrize("etag", ['"0123456789abcdef0123456789abcdef"', None], ids=["changed since", "there is one"])
def test_a_conditional_write_on_another_state_is_a_conflict(etag: str | None, bucket: str, access: S3Access) -> None:
    client, name = S3(access, QUICK), bucket.removeprefix("s3://")
    client.write_if(name, "doc", b"first", None)

    with pytest.raises(ConflictError):
        client.write_if(name, "doc", b"second", etag)

    assert (client.read(name, "doc") or (b"",))[0] == b"first"


def test_a_conditional_write_over_a_deleted_object_is_a_conflict(bucket: str, access: S3Access) -> None:
    with pytest.raises(ConflictError):
        S3(access, QUICK).write_if(bucket.removeprefix("s3://"), "doc", b"x", '"0123456789abcdef0123456789abcdef"')


def test_a_project_without_a_prefix_lists_its_whole_bucket(s3_settings: Settings, bucket: str, file: Path) -> None:
    root = msgspec.structs.replace(s3_settings, objects=bucket)
    address = open_store(s3_settings).put_file(file, "x")

    assert open_store(root).list() == [address]
