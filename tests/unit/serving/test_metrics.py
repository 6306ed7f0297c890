from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from serving.access.admission import Access
from serving.answering import Answering
from serving.call import Call
from serving.errors import Failure, Fault, UnknownCustomerError
from serving.lineup import Lineup
from serving.metrics import OBJECTIVE_S, Metrics, observe_many
from serving.recording import Recorder
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import asked, run

BOUNDS = (0.1, 0.2, 0.5, 1.0)
ROOT = Path(__file__).parents[3]


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Values by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics.render().decode())[name, tuple(sorted(labels.items()))]


@pytest.fixture
def used(shop: Version, access: Access) -> Iterator[Metrics]:
    """Metrics of a server that has answered some requests, and refused others."""
    metrics = Metrics()
    answering = Answering("shop", Lineup(shop), Recorder(metrics, None, access), 100)
    metrics.serving("shop", {"champion": (shop.variant.version, shop.variant.digest)})
    for rows in ([bundles.CUSTOMER], [{**bundles.CUSTOMER, "rating": None, "spend": 9999.0}] * 30):
        call = Call("v1 predict", "1")
        found = run(answering.answer(asked(*rows), call))
        metrics.request(call.route, 200, found.one_variant, call.elapsed)
    metrics.request("grpc infer", 404, "", 0.001)
    metrics.online_read("ok", 0.001)
    metrics.suspicious.labels("call-centre", "walks_ids").inc()
    metrics.refused.labels("unauthenticated").inc()
    metrics.load_failures.labels("challenger").inc()
    metrics.log_rows.labels("queued").set(3)
    return metrics


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_observing_many_is_observing_one_by_one(count: int) -> None:
    random = np.random.default_rng(count)
    values = np.concatenate([random.uniform(-0.1, 1.2, count), BOUNDS, [0.0]])
    registry = CollectorRegistry()
    together = Histogram("together", "", registry=registry, buckets=BOUNDS)
    apart = Histogram("apart", "", registry=registry, buckets=BOUNDS)
    observe_many(together, values, BOUNDS)
    for one in values:
        apart.observe(one)
    collected = {family.name: family.samples for family in registry.collect()}
    for left, right in zip(collected["together"], collected["apart"], strict=True):
        assert left.name.removeprefix("together") == right.name.removeprefix("apart")
        assert left.labels == right.labels
        assert left.value == pytest.approx(right.value)


def test_one_observed_is_one_observed() -> None:
    registry = CollectorRegistry()
    child = Histogram("child", "", registry=registry, buckets=BOUNDS)
    observe_many(child, np.array([0.2]), BOUNDS)
    found = {sample.labels.get("le"): sample.value for family in registry.collect() for sample in family.samples}
    assert (found["0.1"], found["0.2"], found["+Inf"]) == (0, 1, 1)


def test_answers_are_counted_by_risk_and_their_probabilities_by_version(used: Metrics, shop: Version) -> None:
    found = samples(used.render().decode())
    by_risk = {
        dict(labels)["risk"]: count for (name, labels), count in found.items() if name == "churn_predictions_total"
    }
    assert set(by_risk) == {"low", "medium", "high"}, "rates start from zero"
    assert sum(by_risk.values()) == 31
    assert value(used, "churn_probability_count", version="1") == 31
    assert value(used, "churn_requests_total", route="v1 predict", status="200", variant="champion") == 2
    assert value(used, "churn_requests_total", route="grpc infer", status="404", variant="") == 1


def test_latency_has_a_bucket_at_the_objective(used: Metrics) -> None:
    labels = {"route": "v1 predict", "variant": "champion", "le": str(OBJECTIVE_S)}
    assert value(used, "churn_request_duration_seconds_bucket", **labels) >= 0


def test_a_challengers_failures_are_counted_from_zero() -> None:
    assert [value(Metrics(), "churn_challenger_failures_total", kind=kind) for kind in ("split", "shadow")] == [0, 0]


def test_a_challengers_answers_and_shadows_have_their_own_latency(
    shop: Version, trained: Callable[..., Version], access: Access
) -> None:
    metrics = Metrics()
    lineup = Lineup(shop, trained(version=2, seed=1), share=1.0)
    named = {**bundles.CUSTOMER, "customer_id": "ann"}

    async def ask(answering: Answering, rows: list[dict[str, object]]) -> None:
        call = Call("v1 predict", "1")
        found = await answering.answer(asked(*rows), call)
        metrics.request(call.route, 200, found.one_variant, call.elapsed)
        await answering.settle()

    recorder = Recorder(metrics, None, access)
    run(ask(Answering("shop", lineup, recorder, 100), [named]))
    run(ask(Answering("shop", lineup, recorder, 100), [named, bundles.CUSTOMER]))
    run(ask(Answering("shop", replace(lineup, mode="shadow"), recorder, 100), [named]))
    counted = {(route, variant): value(metrics, "churn_request_duration_seconds_count", route=route, variant=variant)
               for route, variant in (("v1 predict", "challenger"), ("v1 predict", "mixed"),
                                      ("v1 predict", "champion"), ("shadow", "challenger"))}  # fmt: skip
    assert set(counted.values()) == {1}
    scored = [value(metrics, "churn_scoring_duration_seconds_count", variant=one) for one in ("challenger", "champion")]
    assert scored == [3, 2], "each score of one customer, also in a request of two and in the shadow"
    assert 0 < value(metrics, "churn_scoring_duration_seconds_sum", variant="challenger") < 10


def test_missing_and_unusual_values_are_counted_by_column(used: Metrics) -> None:
    assert value(used, "churn_feature_values_unusual_total", column="rating", kind="missing") == 30
    assert value(used, "churn_feature_values_unusual_total", column="spend", kind="out_of_range") == 30
    found = samples(used.render().decode())
    columns = {dict(labels)["column"] for name, labels in found if name == "churn_feature_values_unusual_total"}
    assert columns == {"rating", "spend", "discount"}, "its five are a little more than training saw"


def test_a_version_that_no_longer_serves_is_zero(used: Metrics, shop: Version) -> None:
    digest = shop.variant.digest[:12]
    used.serving("shop", {"champion": (2, "f" * 64), "challenger": (3, "e" * 64)})
    assert value(used, "churn_model_info", model="shop", version="1", digest=digest, role="champion") == 0
    assert value(used, "churn_model_info", model="shop", version="2", digest="f" * 12, role="champion") == 1
    assert value(used, "churn_model_info", model="shop", version="3", digest="e" * 12, role="challenger") == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(used: Metrics) -> None:
    ended = subprocess.run(
        ["promtool", "check", "metrics"], input=used.render(), capture_output=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_what_a_caller_chooses_makes_no_label(used: Metrics, shop: Version, access: Access) -> None:
    answering = Answering("shop", Lineup(shop), Recorder(used, None, access), 100)
    before = set(samples(used.render().decode()))
    for number in range(50):
        row = {"customer_id": f"canary-{number}", **bundles.CUSTOMER, "visits": 1 + number}
        call = Call("v1 predict", f"request-{number}", caller=access._callers.of_address(f"10.0.{number}.1"))
        run(answering.answer(asked(row), call))
        used.request(call.route, 200, "champion", call.elapsed)
        unknown = Failure(0, Fault(f"canary-{number}", ""), UnknownCustomerError)
        Recorder(used, None, access).failed(call, [f"canary-{number}"], [unknown])
    text = used.render().decode()
    grown = set(samples(text)) - before
    assert {name for name, _ in grown} <= {"churn_feature_values_unusual_total"}
    assert len(grown) <= 2 * len(bundles.CUSTOMER)
    assert "canary" not in text


PROGRAM = """
import os, sys
import numpy as np
from serving.metrics import Metrics
metrics = Metrics()
for _ in range(int(sys.argv[1])):
    metrics.request("v1 predict", 200, "champion", 0.01)
    metrics.answered(1, "champion", {"low": 2}, np.array([0.1, 0.3]))
metrics.serving("shop", {"champion": (1, "a" * 64)})
metrics.log_rows.labels("queued").set(5)
os.write(1, metrics.render())
"""


def test_the_counts_of_several_workers_are_added_up(tmp_path: Path) -> None:
    text = ""
    for count in (3, 4):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(count)],
            cwd=ROOT,
            env={"PATH": "", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        text = ended.stdout
    found = samples(text)
    labels = (("route", "v1 predict"), ("status", "200"), ("variant", "champion"))
    assert found["churn_requests_total", labels] == 7
    assert found["churn_probability_count", (("version", "1"),)] == 14
    assert found["churn_log_rows", (("place", "queued"),)] == 10
    assert [count for (name, _), count in found.items() if name == "churn_model_info"] == [1]
    assert not any("pid" in dict(labels) for _, labels in found)
