"""What is remembered of an answer, and that it never costs the answer."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.records import Logged
from serving.access.admission import Access
from serving.access.options import AccessOptions
from serving.access.watch import WatchOptions
from serving.answering import Answering
from serving.call import Call
from serving.errors import Failure, Fault, UnknownCustomerError
from serving.journal import Lines
from serving.lineup import Lineup
from serving.metrics import Metrics
from serving.recording import Recorder
from serving.settings import Log
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import asked, run

ANN = bundles.CUSTOMER
PSEUDONYMS = Pseudonyms(b"k" * 32)


@dataclass
class Kept:
    """A log in memory."""

    records: list[Logged] = field(default_factory=list)

    def append(self, record: Logged) -> None:
        self.records.append(record)


class Broken:
    def append(self, record: Logged) -> None:
        raise OSError("canary-1212")


@pytest.fixture
def watching() -> Iterator[Access]:
    opened = Access(AccessOptions(watch=WatchOptions(distinct_ids=20, unknown_ids=5)))
    yield opened
    opened.close()


def answered(shop: Version, recorder: Recorder, call: Call, *rows: dict[str, object], **parameters: object) -> object:
    return run(Answering("shop", Lineup(shop), recorder, 1000).answer(asked(*rows, **parameters), call))


def test_an_answer_is_written_down_once_with_all_that_it_was(shop: Version, access: Access) -> None:
    kept = Kept()
    before = time.time()
    call = Call("v1 predict", "request-7")
    found = answered(
        shop,
        Recorder(Metrics(), Log(kept, PSEUDONYMS), access),
        call,
        {"customer_id": "ann", **ANN},
        ANN,
        threshold=0.25,
    )
    (record,) = kept.records
    assert record.is_sound()
    assert (record.request_id, record.model, record.version, record.variant) == ("request-7", "shop", 1, "champion")
    assert (record.shadow, record.threshold, record.layout) == (False, 0.25, shop.contract.digest)
    assert before <= record.at <= time.time()
    assert 0 < record.latency_ms < 10_000
    assert record.customers == [PSEUDONYMS.pseudonym("ann"), None]
    assert np.frombuffer(record.probabilities).tolist() == found.probability
    assert list(record.risks) == found.level
    np.testing.assert_array_equal(np.frombuffer(record.features).reshape(2, 6)[0], [0, 0, 12, 340.5, 5, 4])


def test_both_versions_of_a_divided_request_answered_at_one_moment(shop: Version, access: Access) -> None:
    """Otherwise the first request opens the experiment between its two halves: one group would have it, one not."""
    kept, ticks = Kept(), itertools.count(1000.0)
    recorder = Recorder(Metrics(), Log(kept, PSEUDONYMS), access, lambda: next(ticks))
    rows = [{"customer_id": f"c{number}", **ANN} for number in range(40)]
    run(Answering("shop", Lineup(shop, shop, 0.5), recorder, 1000).answer(asked(*rows), Call("v1 predict", "1")))
    assert {record.variant for record in kept.records} == {"champion", "challenger"}
    assert len({record.at for record in kept.records}) == 1


def test_customers_without_ids_have_no_pseudonyms_and_those_without_an_answer_no_row(
    shop: Version, access: Access
) -> None:
    kept = Kept()
    recorder = Recorder(Metrics(), Log(kept, PSEUDONYMS), access)
    answered(shop, recorder, Call("v1 predict", "1"), ANN, {**ANN, "visits": 0}, ANN, partial=True)
    (record,) = kept.records
    assert record.rows == 2
    assert set(record.customers or [None]) == {None}
    answered(shop, recorder, Call("v1 predict", "2"), {**ANN, "visits": 0}, partial=True)
    assert len(kept.records) == 1


def test_the_log_has_no_id_of_a_customer(shop: Version, access: Access) -> None:
    kept = Kept()
    answered(
        shop,
        Recorder(Metrics(), Log(kept, PSEUDONYMS), access),
        Call("v1 predict", "1"),
        {"customer_id": "canary-3", **ANN},
    )
    assert "canary-3" not in repr(kept.records)


def test_a_log_that_fails_costs_no_answer_and_its_text_is_not_said(
    shop: Version, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = answered(
            shop,
            Recorder(Metrics(), Log(Broken(), PSEUDONYMS), access),
            Call("v1 predict", "1"),
            {"customer_id": "canary-8", **ANN},
        )
    assert found.count == 1
    said = "\n".join(Lines().format(record) for record in caplog.records)
    assert "an answer could not be written down" in said
    assert "OSError at test_recording.py" in said
    assert "canary" not in said


def test_who_names_very_many_customers_is_suspected_once(shop: Version, watching: Access) -> None:
    metrics = Metrics()
    recorder = Recorder(metrics, None, watching)
    caller = watching._callers.of_address("10.0.0.1")
    for number in range(60):
        answered(shop, recorder, Call("v1 predict", "1", caller=caller), {"customer_id": f"c{number}", **ANN})
    text = metrics.render().decode()
    assert 'churn_suspicious_callers_total{caller="anonymous",kind="walks_ids"} 1.0' in text


def test_who_asks_for_customers_there_are_not_is_suspected(watching: Access) -> None:
    metrics = Metrics()
    recorder = Recorder(metrics, None, watching)
    call = Call("v1 predict", "1", caller=watching._callers.of_address("10.0.0.1"))
    nobody = Failure(0, Fault("instances[0].customer_id", "names no known customer"), UnknownCustomerError)
    recorder.failed(call, None, [Failure(0, Fault("instances[0].visits", "is below 0"))] * 9)
    assert "walks_ids" not in metrics.render().decode()
    for _ in range(3):
        recorder.failed(call, None, [nobody] * 2)
    text = metrics.render().decode()
    assert 'churn_suspicious_callers_total{caller="anonymous",kind="walks_ids"} 1.0' in text


def test_who_sends_values_far_from_training_is_suspected(shop: Version, watching: Access) -> None:
    metrics = Metrics()
    call = Call("v1 predict", "1", caller=watching._callers.of_address("10.0.0.1"))
    answered(shop, Recorder(metrics, None, watching), call, *[{**ANN, "spend": 9999.0}] * 120)
    assert 'churn_suspicious_callers_total{caller="anonymous",kind="far_values"} 1.0' in metrics.render().decode()
