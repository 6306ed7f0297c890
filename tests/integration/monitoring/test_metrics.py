"""Metrics of monitoring: as Prometheus reads them, and to a gateway that is there, refuses, or is away."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from churn.domain.errors import UserError
from components.monitor_judge.report import Monitoring
from components.monitor_record.exposition import exposition
from components.monitor_record.push import gateway, push
from tests.monitored import AS_OF, DAY, Shop
from tests.servers import free_port

Watch = Callable[..., Monitoring]


@pytest.fixture
def found(open_shop: Shop, watch: Watch) -> Monitoring:
    """A drifted window, and a version with outcomes."""
    open_shop.log(400, AS_OF - 35 * DAY)
    open_shop.log(400, AS_OF, shift=100.0)
    open_shop.became({f"c{row}": AS_OF - 20 * DAY if row % 4 == 0 else None for row in range(400)}, AS_OF)
    return watch(open_shop, days=7)


@contextmanager
def pushgateway(status: int) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A gateway's receiving side, which answers with `status`, and what came: method, path, body."""
    came: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            came.append(("PUT", self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
        thread.join()


def test_answers_are_counted_as_they_were_logged_however_few_are_looked_at(open_shop: Shop, watch: Watch) -> None:
    for days in (0, 1):
        open_shop.log(300, AS_OF - days * DAY)
    text = exposition(watch(open_shop))
    assert 'churn_window_rows{model="shop"} 600.0' in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(found: Monitoring) -> None:
    text = exposition(found)
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_metrics_name_model_column_and_version(found: Monitoring) -> None:
    lines = exposition(found).splitlines()
    assert 'churn_drifted{model="shop",part="feature",column="spend"} 1.0' in lines
    assert 'churn_window_rows{model="shop"} 400.0' in lines
    assert 'churn_judged_predictions{model="shop",version="1"} 400.0' in lines
    assert not [line for line in lines if line.startswith("churn_model_age_days")]


def test_a_window_that_was_not_judged_says_nothing_of_columns(open_shop: Shop, watch: Watch) -> None:
    text = exposition(watch(open_shop))
    assert 'churn_window_judged{model="shop"} 0.0' in text
    assert "churn_drift" not in text


def test_a_gateway_gets_the_text_under_the_model() -> None:
    with pushgateway(200) as (address, came):
        assert push(f"{address}/", "shop", "churn_drifted 1.0\n") == ""
    assert came == [("PUT", "/metrics/job/churn_monitoring/model/shop", b"churn_drifted 1.0\n")]


def test_a_gateway_that_refuses_or_is_away_is_told_and_no_error() -> None:
    with pushgateway(400) as (address, _):
        assert "400" in push(address, "shop", "nonsense")
    assert "refused" in push(f"http://127.0.0.1:{free_port()}", "shop", "")


def test_what_is_no_address_is_refused() -> None:
    assert gateway({}) == ""
    with pytest.raises(UserError, match="CHURN_PUSHGATEWAY"):
        gateway({"CHURN_PUSHGATEWAY": "gateway:9091"})
