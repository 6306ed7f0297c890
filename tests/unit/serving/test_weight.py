"""A request costs what it weighs, and no more: not the square of it, and not the event loop's time."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import pytest
from fastapi.routing import APIRoute

from serving import v1, v2_body
from serving.access.admission import Access
from serving.asked import Tensor
from serving.checking import check
from serving.desk import HEAVY_BYTES, Desk
from serving.errors import MOST_DETAILS, InvalidValuesError, MalformedError, refusal
from serving.journal import Journal
from serving.metrics import Metrics
from serving.model import ChurnModel
from serving.recording import Recorder
from serving.v2 import MOST_TENSORS
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import answering, asked, call, run

ANN = bundles.CUSTOMER


def cpu(work: Any) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_names_of_their_own_for_each_customer_do_not_cost_their_square() -> None:
    of = bundles.shop()

    def work(rows: int) -> float:
        strange = [{**ANN, **{f"x{row}-{name}": 1 for name in range(4)}} for row in range(rows)]
        return min(cpu(lambda: check(of, asked(*strange))) for _ in range(3))

    assert work(2_000) < 20 * work(250)  # 64 times, were it the square


def test_a_tensor_of_one_value_is_not_read_beyond_it() -> None:
    endless = Tensor("plan", "BYTES", [1], None, bytes(4_000_000))
    assert cpu(endless.single) < 0.1
    with pytest.raises(MalformedError, match="values where its shape says 1"):
        _ = v2_body.Tensors([endless]).values


def test_more_tensors_than_any_model_has_are_refused_unread() -> None:
    many = [{"name": "a", "shape": [1], "datatype": "FP64", "data": [1.0]}] * (MOST_TENSORS + 1)
    with pytest.raises(MalformedError, match=f"more than {MOST_TENSORS}"):
        v2_body.read(msgspec.json.encode({"inputs": many}), None, "shop")


def test_a_refusal_lists_a_thousand_faults_and_counts_all() -> None:
    checked = check(bundles.shop(), asked({**ANN, **{f"x{number}": 1 for number in range(3_000)}}))
    why = refusal(checked.failures)
    assert isinstance(why, InvalidValuesError)
    assert (len(why.details), why.total) == (MOST_DETAILS, 3_000)
    assert why.message.endswith("(and 2999 more)")


def test_a_large_request_is_read_beside_the_event_loop(shop: Version, access: Access) -> None:
    threads: set[str] = set()

    class Watching(v1.Instances):
        def _read(self, readers: Any) -> Any:
            threads.add(threading.current_thread().name)
            return super()._read(readers)

    metrics, answers = Metrics(), answering(shop)
    desk = Desk(ChurnModel("shop", answers), access, metrics, Recorder(metrics, None, access), Journal("none"))
    one = run(desk.read(lambda: Watching([ANN] * 300), HEAVY_BYTES + 1))
    assert one.heavy
    assert run(answers.answer(one, call())).count == 300
    assert threads
    assert threading.main_thread().name not in threads
    run(desk.read(lambda: Watching([ANN]), HEAVY_BYTES)).plain(shop.plain)
    assert threading.main_thread().name in threads


def test_kserve_mounts_no_route_that_predicts_loads_or_unloads(shop: Version) -> None:
    from kserve.model_repository import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension

    from serving import rest
    from serving.access.options import AccessOptions
    from serving.repository import Repository

    async def nothing() -> None: ...

    registry = ModelRepository()
    model = ChurnModel("shop", answering(shop))
    parts = DataPlane(registry), ModelRepositoryExtension(registry)
    own = Repository("shop", nothing, Access(AccessOptions()))
    app = rest.application(model, *parts, own, lambda: b"")
    kserves = [route for route in app.routes if isinstance(route, APIRoute)]
    assert {method for route in kserves for method in route.methods} == {"GET"}
    others = {route.path for route in app.routes if not isinstance(route, APIRoute)}  # type: ignore[attr-defined]
    assert not [path for path in others if path.endswith((":predict", ":explain", "infer"))]
    assert all(hasattr(route, "path") for route in app.routes), "no router hides routes of its own"
