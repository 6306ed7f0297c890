"""The traffic document: what it says takes effect under load, and what cannot be loaded never does."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import grpc
import msgspec
import pytest

from churn.domain.bundle import MANIFEST
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant
from churn.stores.traffic_store import open_traffic
from local import keys
from serving.stock import grpc_predict_v2_pb2_grpc, pb
from tests import bundles
from tests.load import Load
from tests.predictors import PATIENCE_S, Predictor, running

ANN = bundles.CUSTOMER
FAILURES = "churn_model_load_failures_total"


@dataclass
class Shop:
    """A home whose traffic document the tests write, in the place of promotion and rollout."""

    settings: Settings
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def bundle(self, wrong_by: float = 0.0) -> Variant:
        """A new version in the store; nothing serves it yet."""
        number = next(self.numbers)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "bundle")
            digest = bundles.write_bundle(folder, bundles.shop(), number, wrong_by)
            address = objects.open_store(self.settings).put_folder(folder, f"bundles/{digest}")
        return Variant(number, digest, address)

    def put(self, **changes: Any) -> None:
        store = open_traffic(self.settings)
        current = store.read("shop")
        assert current is not None
        store.write(msgspec.structs.replace(current, **changes), current.revision)

    def champion(self, variant: Variant) -> None:
        self.put(champion=variant, challenger=None, share=0.0, mode="split")

    def logged(self, *columns: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self.settings.home}/churn.db?mode=ro", uri=True)) as connection:
            return connection.execute(f"SELECT {', '.join(columns)} FROM predictions").fetchall()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(bundles.settings_of(tmp_path_factory.mktemp("variants")))
    open_traffic(made.settings).write(Traffic("shop", made.bundle()), 0)
    return made


@pytest.fixture(scope="module")
def admin(shop: Shop) -> str:
    return keys.create(shop.settings.home / "keys.yaml", keys.Wanted("operator", ["predict", "explain", "admin"])).key


@pytest.fixture(scope="module")
def served(shop: Shop, admin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    home, log = shop.settings.home, tmp_path_factory.mktemp("served") / "log.txt"
    with running(home, log, key=admin, CHURN_API_KEYS=home / "keys.yaml") as predictor:
        yield predictor


def version(served: Predictor) -> int:
    reply = served.predict(ANN)
    assert reply.status == 200, reply.body
    return int(reply.json["predictions"][0]["model_version"])


def load(served: Predictor) -> Any:
    return served.send("/v2/repository/models/shop/load", b"", "POST")


def take_over(served: Predictor, shop: Shop, variant: Variant) -> None:
    shop.champion(variant)
    assert load(served).status == 200
    assert version(served) == variant.version


def test_a_new_champion_takes_over_without_a_restart_and_without_a_failed_request(
    served: Predictor, shop: Shop
) -> None:
    before, after = version(served), shop.bundle()
    with Load(served) as asking:
        asking.wait(30)
        shop.champion(after)
        served.wait_for(lambda: after.version in asking.versions() or asking.faults)
        asking.wait(30)
    assert asking.faults == []
    answers = {(one.version, one.probability) for one in asking.answers}
    assert sorted(number for number, _ in answers) == [before, after.version], "one probability for each, no other"
    assert {one.protocol for one in asking.answers if one.version == after.version} == {"http", "grpc"}
    assert f"version {after.version} of shop serves now" in served.said()
    info = {name: served.metric("churn_model_info", version=str(name)) for name in (before, after.version)}
    assert info == {before: 0, after.version: 1}
    assert served.metric("churn_model_load_seconds") > 0


def test_a_challenger_comes_grows_goes_into_the_shadow_and_leaves_while_everybody_is_answered(
    served: Predictor, shop: Shop
) -> None:
    champion, challenger = shop.bundle(), shop.bundle()
    take_over(served, shop, champion)
    with Load(served, ids=300) as asking:
        met = {0.0: set(), 0.2: set(), 0.6: set()}
        for share in (0.2, 0.6):
            since = _change(served, shop, asking, challenger=challenger, share=share, mode="split")
            asking.wait(250)
            now = asking.answers[since:]
            assert {one.version for one in now} == {champion.version, challenger.version}
            assert {(one.variant, one.version) for one in now} == {
                ("champion", champion.version),
                ("challenger", challenger.version),
            }
            met[share] = {one.customer for one in now if one.variant == "challenger"}
            others = {one.customer for one in now if one.variant == "champion"}
            assert not met[share] & others, "a customer always meets the same one"
        assert len(met[0.2]) < len(met[0.6])
        since = _change(served, shop, asking, challenger=challenger, share=0.6, mode="shadow")
        asking.wait(100)
        assert {one.version for one in asking.answers[since:]} == {champion.version}
        shadowed = {one.request_id for one in asking.answers[since:] if one.customer in met[0.6]}
        since = _change(served, shop, asking, challenger=None, share=0.0, mode="split")
        asking.wait(50)
        assert {one.version for one in asking.answers[since:]} == {champion.version}
    assert asking.faults == []
    assert shadowed
    given = {(one.request_id, one.version, one.variant) for one in asking.answers}
    served.wait_for(lambda: given <= {tuple(row[:3]) for row in shop.logged("request_id", "version", "variant")})
    rows = shop.logged("request_id", "version", "variant", "shadow")
    assert not given & {tuple(row[:3]) for row in rows if row[3]}
    assert shadowed <= {row[0] for row in rows if row[3]}
    assert {tuple(row[1:3]) for row in rows if row[3]} == {(challenger.version, "challenger")}
    assert served.metric("churn_requests_total", status="200", variant="challenger") > 0


def _change(served: Predictor, shop: Shop, asking: Load, **changes: Any) -> int:
    """How many answers there were when the document was in force, and no request of before it was open."""
    shop.put(**changes)
    assert load(served).status == 200
    asking.wait(1)
    return len(asking.answers)


Broken = Literal["digest", "nowhere", "changed", "wrong"]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("digest", "has the digest"),
        ("nowhere", "there is no such object"),
        ("changed", "model.onnx is missing or has changed"),
        ("wrong", "answers its own example wrongly"),
    ],
)
def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_serving(
    served: Predictor, shop: Shop, broken: Broken, problem: str
) -> None:
    before, failures, said = version(served), served.metric(FAILURES, role="champion"), len(served.said())
    with Load(served) as asking:
        shop.champion(_broken(shop, broken))
        served.wait_for(lambda: served.metric(FAILURES, role="champion") >= failures + 2)
        refused = load(served)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert problem not in refused.json["error"]
        asking.wait(10)
        assert served.ready()
    assert asking.faults == []
    assert asking.versions() == {before}
    told = [line for line in served.said()[said:].splitlines() if problem in line]
    assert len(told) == 1, "said once, however often it is tried"
    assert f"version {before} of shop serves on" in told[0]
    take_over(served, shop, shop.bundle())


def _broken(shop: Shop, how: Broken) -> Variant:
    good = shop.bundle(0.01 if how == "wrong" else 0.0)
    match how:
        case "digest":
            return msgspec.structs.replace(good, digest="0" * 64)
        case "nowhere":
            return msgspec.structs.replace(good, bundle=f"{shop.settings.objects}/bundles/nowhere")
        case "changed":
            (Path(good.bundle) / "model.onnx").write_bytes(b"changed")
    return good


def test_a_challenger_that_cannot_be_loaded_is_left_out(served: Predictor, shop: Shop) -> None:
    failures, said = served.metric(FAILURES, role="challenger"), len(served.said())
    champion = shop.bundle()
    shop.put(champion=champion, challenger=_broken(shop, "changed"), share=1.0, mode="split")
    served.wait_for(lambda: served.metric(FAILURES, role="challenger") >= failures + 2)
    assert version(served) == champion.version
    told = [line for line in served.said()[said:].splitlines() if "without its challenger" in line]
    assert len(told) == 1
    shop.champion(champion)


def test_a_champion_that_is_slow_to_load_keeps_nobody_waiting(served: Predictor, shop: Shop) -> None:
    before, slow = version(served), shop.bundle()
    manifest = _blocked(slow)
    with Load(served) as asking:
        shop.champion(slow)
        asking.wait(100)
        time.sleep(1.5)
        asking.wait(100)
        assert asking.versions() == {before}
        assert served.ready()
        _feed(slow, manifest)
        served.wait_for(lambda: slow.version in asking.versions() or asking.faults)
    assert asking.faults == []


def _blocked(variant: Variant) -> bytes:
    """Makes the manifest a pipe, so that reading the bundle takes until somebody writes; gives the manifest."""
    path = Path(variant.bundle) / MANIFEST
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    return content


def _feed(variant: Variant, manifest: bytes) -> None:
    with (Path(variant.bundle) / MANIFEST).open("wb") as pipe:
        pipe.write(manifest)


def test_a_damaged_or_lost_document_changes_nothing(served: Predictor, shop: Shop) -> None:
    before, document = version(served), Path(shop.settings.traffic, "shop.yaml")
    kept = document.read_bytes()
    said = len(served.said())
    document.write_text("champion: [")
    served.wait_for(lambda: "shop.yaml" in served.said()[said:])
    document.unlink()
    time.sleep(1.5)
    assert version(served) == before
    document.write_bytes(kept)
    take_over(served, shop, shop.bundle())


def test_the_repository_reads_the_document_at_once_and_unloads_nothing(
    served: Predictor, shop: Shop, tmp_path: Path
) -> None:
    for protocol in ("http", "grpc"):
        variant = shop.bundle()
        shop.champion(variant)
        if protocol == "http":
            reply = load(served)
            assert (reply.status, reply.json) == (200, {"name": "shop", "load": True})
        else:
            answer = _rpc(served, "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="shop"))
            assert (answer.model_name, answer.isLoaded) == ("shop", True)
        assert version(served) == variant.version
    refused = served.send("/v2/repository/models/shop/unload", b"", "POST")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert served.send("/v2/repository/models/garage/load", b"", "POST").status == 404
    unload = _refusal(served, "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="shop"))
    assert unload is grpc.StatusCode.PERMISSION_DENIED
    nobody = _refusal(served, "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="garage"))
    assert nobody is grpc.StatusCode.NOT_FOUND
    assert served.ready()
    acts = [(line["audit"], line["outcome"], line["caller"]) for line in served.lines() if "audit" in line]
    for act in (("load", "done", "operator"), ("unload", "refused", "operator"), ("load", "failed", "operator")):
        assert act in acts


def test_only_administrators_reach_the_repository(served: Predictor, shop: Shop) -> None:
    plain = keys.create(shop.settings.home / "keys.yaml", keys.Wanted("website", ["predict", "explain"])).key
    served.wait_for(lambda: served.predict(ANN, x_api_key=plain).status == 200)
    for act in ("load", "unload"):
        refused = served.send(f"/v2/repository/models/shop/{act}", b"", "POST", x_api_key=plain)
        assert (refused.status, refused.json["code"]) == (403, "forbidden")
        assert 'scope="admin"' in refused.headers["www-authenticate"]
    served_by = pb.RepositoryModelLoadRequest(model_name="shop")
    assert _refusal(served, "RepositoryModelLoad", served_by, plain) is grpc.StatusCode.PERMISSION_DENIED


def _rpc(served: Predictor, method: str, request: Any, key: str = "") -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        return getattr(stub, method)(request, metadata=[("x-api-key", key or served.key)], timeout=30)


def _refusal(served: Predictor, method: str, request: Any, key: str = "") -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        _rpc(served, method, request, key)
    return refused.value.code()


def test_a_model_that_never_loads_does_not_keep_the_server_from_leaving(served: Predictor, shop: Shop) -> None:
    """Ends the server, so it stands last."""
    slow = shop.bundle()
    _blocked(slow)
    shop.champion(slow)
    with Load(served) as asking:
        time.sleep(1.5)
        asking.wait(10)
    told = time.monotonic()
    served.process.terminate()
    assert served.process.wait(PATIENCE_S) == 0, served.said()
    assert time.monotonic() - told < 15
    assert asking.faults == []
