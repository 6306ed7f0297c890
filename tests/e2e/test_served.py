"""From the champion of a real run to live answers, over real HTTP and gRPC, through the commands a person types."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local import client
from tests.e2e.conftest import ROOT, Churn, Trained, rows
from tests.servers import free_port


class Serving:
    """`churn serve` on a trained home."""

    def __init__(self, churn: Churn) -> None:
        self.http, self.grpc = free_port(), free_port()
        command = [*churn.command, "serve", "--http-port", str(self.http), "--grpc-port", str(self.grpc)]
        environment = {**churn.env, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.url = f"http://127.0.0.1:{self.http}"

    def wait(self) -> None:
        for _ in range(600):
            assert self.process.poll() is None, self.process.communicate()[0].decode()
            try:
                if httpx.get(f"{self.url}/v2/models/telco/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None
            time.sleep(0.1)
        pytest.fail("the predictor was not ready within a minute")


@pytest.fixture(scope="module")
def serving(trained: Trained) -> Iterator[Serving]:
    server = Serving(trained.churn)
    try:
        server.wait()
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def ids(trained: Trained, count: int) -> list[str]:
    return [row[0] for row in rows(trained.data)[1 : count + 1]]


def test_a_customer_is_predicted_by_id_from_the_command_line(trained: Trained, serving: Serving) -> None:
    [customer] = ids(trained, 1)
    done = trained.churn("predict", "--customer-id", customer, "--url", serving.url)
    assert done.code == 0, done.err
    [answer] = done.json
    assert answer["customer_id"] == customer
    assert 0 < answer["probability"] < 1
    assert answer["risk"] in {"low", "medium", "high"}
    assert answer["model_version"] == 1
    assert {"decision", "confidence", "recommendation", "model_name"} <= set(answer)


def test_http_and_grpc_say_the_same(trained: Trained, serving: Serving) -> None:
    for customer in ids(trained, 5):
        [http] = client.predict_http(serving.url, "telco", [{"customer_id": customer}])
        grpc = client.predict_grpc(f"127.0.0.1:{serving.grpc}", "telco", customer)
        assert grpc["probability"] == pytest.approx(http["probability"], abs=1e-12)
        assert grpc["risk"] == http["risk"]


def test_a_fresh_value_overrides_the_stored_one(trained: Trained, serving: Serving, tmp_path: Path) -> None:
    [customer] = ids(trained, 1)
    file = tmp_path / "customers.json"
    file.write_text(
        json.dumps([{"customer_id": customer, "contract": term} for term in ("Month-to-month", "Two year")])
    )
    done = trained.churn("predict", "--json", file, "--url", serving.url)
    assert done.code == 0, done.err
    monthly, long = done.json
    assert monthly["probability"] > long["probability"]


def test_a_change_in_the_online_store_changes_the_prediction(trained: Trained, serving: Serving) -> None:
    """The predictor reads Feast's online store and nothing else: another value there is another answer."""
    import pyarrow as pa

    from churn.domain import contract as contracts
    from churn.stores.settings import Settings
    from feature_repo import materialisation, registration, store

    [_, customer] = ids(trained, 2)
    [before] = client.predict_http(serving.url, "telco", [{"customer_id": customer}])
    settings = Settings.load({**trained.churn.env})
    contract = contracts.load(ROOT / "feature_repo/contracts/telco.yaml")
    opened = store.open_store(settings, "telco")
    registration.apply(settings, contract, trained.done.json["artifacts"]["transform.features"])  # others have theirs
    view = registration.registered(settings, opened, contract, None).raw
    latest = materialisation._latest(opened, view, contract, materialisation.datetime.now(materialisation.UTC))
    changed = latest.to_pandas()
    mine = changed["customer_id"] == customer
    changed.loc[mine, "tenure"] = 72 if changed.loc[mine, "tenure"].iloc[0] < 36 else 0
    batch = pa.Table.from_pandas(changed[mine], schema=latest.schema, preserve_index=False)
    assert materialisation._write(opened, view, contract, batch) == 1
    [after] = client.predict_http(serving.url, "telco", [{"customer_id": customer}])
    assert after["probability"] != before["probability"]


def test_unknown_customers_and_bad_values_are_refused_in_words(
    trained: Trained, serving: Serving, tmp_path: Path
) -> None:
    done = trained.churn("predict", "--customer-id", "nobody", "--url", serving.url)
    assert done.code == 2
    assert "nobody" in done.err or "no known customer" in done.err
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({"customer_id": ids(trained, 1)[0], "tenure": "soon", "contrat": "x"}))
    done = trained.churn("predict", "--json", file, "--url", serving.url)
    assert done.code == 2
    assert "tenure" in done.err
    assert "contrat" in done.err
