"""The process: it starts or says why not, follows its document, and leaves without a trace."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from tests import bundles
from tests.predictors import PATIENCE_S, ROOT, Predictor, command, environment, running
from tests.servers import free_port

ANN = bundles.CUSTOMER


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with version 1 in charge, and nothing online."""
    settings = bundles.settings_of(tmp_path / "home")
    bundles.publish(settings, bundles.shop())
    return settings


@pytest.fixture
def served(home: Settings, tmp_path: Path) -> Iterator[Predictor]:
    with running(home.home, tmp_path / "log.txt") as predictor:
        yield predictor


def version(predictor: Predictor) -> int:
    reply = predictor.predict(ANN)
    assert reply.status == 200, reply.body
    return int(reply.json["predictions"][0]["model_version"])


def start(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_new_champion_takes_over_without_a_restart_and_without_a_failed_request(
    served: Predictor, home: Settings
) -> None:
    assert version(served) == 1
    replies: list[Any] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            replies.append(served.predict(ANN))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        bundles.publish(home, bundles.shop(), version=2, seed=1)
        served.wait_for(lambda: version(served) == 2)
    finally:
        over.set()
        asking.join()
    assert {reply.status for reply in replies} == {200}
    answers = {(a["model_version"], a["probability"]) for r in replies for a in r.json["predictions"]}
    assert [number for number, _ in sorted(answers)] == [1, 2], "each version gives one probability, and no other"
    assert "version 2 of shop serves now" in served.said()


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_serving(served: Predictor, home: Settings) -> None:
    good = bundles.publish(bundles.settings_of(home.home), bundles.shop(), version=2, seed=1)
    served.wait_for(lambda: version(served) == 2)
    (Path(good.bundle) / "model.onnx").write_bytes(b"changed")
    changed = Variant(3, good.digest, good.bundle)
    for broken, problem in (
        (Variant(4, "0" * 64, good.bundle), "has the digest"),
        (Variant(5, "1" * 64, f"{home.objects}/bundles/nowhere"), "there is no such object"),
        (changed, "model.onnx is missing or has changed"),
    ):
        bundles.put_in_charge(home, "shop", broken)
        served.wait_for(lambda problem=problem: problem in served.said())
        assert version(served) == 2
        assert served.ready()
    bundles.publish(home, bundles.shop(), version=6, seed=3, wrong_by=0.01)
    served.wait_for(lambda: "answers its own example wrongly" in served.said())
    assert version(served) == 2
    time.sleep(2.5)
    assert served.said().count("answers its own example wrongly") == 1
    bundles.publish(home, bundles.shop(), version=7, seed=3)
    served.wait_for(lambda: version(served) == 7)


def test_a_damaged_or_lost_document_changes_nothing(served: Predictor, home: Settings) -> None:
    document = Path(home.traffic, "shop.yaml")
    kept = document.read_bytes()
    document.write_text("champion: [")
    served.wait_for(lambda: "shop.yaml" in served.said())
    document.unlink()
    time.sleep(2)
    assert version(served) == 1
    document.write_bytes(kept)
    assert served.process.poll() is None


def test_requests_by_id_wait_for_the_online_store_and_others_do_not(served: Predictor, home: Settings) -> None:
    away = served.predict({"customer_id": "ann"})
    assert (away.status, away.json["error"]["code"]) == (503, "unavailable")
    assert away.headers["retry-after"] == "1"
    assert served.predict({"customer_id": "ann", **ANN}).status == 200
    assert served.ready()
    bundles.remember(home, bundles.shop(), {"ann": ANN})
    assert served.predict({"customer_id": "ann"}).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(served: Predictor, number: signal.Signals) -> None:
    served.process.send_signal(number)
    assert served.process.wait(PATIENCE_S) == 0
    assert len(served.said().splitlines()) == 2, served.said()
    assert "Traceback" not in served.said()


def test_a_signal_lets_a_request_in_flight_end(served: Predictor) -> None:
    replies = []
    rows = [ANN] * 20_000
    asking = threading.Thread(target=lambda: replies.append(served.predict(*rows)))
    asking.start()
    time.sleep(0.3)
    served.process.send_signal(signal.SIGTERM)
    asking.join()
    assert replies[0].status == 200
    assert len(replies[0].json["predictions"]) == len(rows)
    assert served.process.wait(PATIENCE_S) == 0


def test_a_signal_during_the_start_ends_it_cleanly(home: Settings, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log.txt"
    with log.open("wb") as said:
        ports = ["--http-port", str(port), "--grpc-port", str(free_port())]
        process = subprocess.Popen(command(*ports), cwd=ROOT, env=environment(home.home), stdout=said, stderr=said)
    while _bindable(port):
        assert process.poll() is None, log.read_text()
        time.sleep(0.005)
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert log.read_text() == ""


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
def test_a_port_that_is_taken_is_said_before_anything_is_loaded(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        free = {"--http-port": str(free_port()), "--grpc-port": str(free_port())} | {option: str(port)}
        ended = start(tmp_path, *[part for pair in free.items() for part in pair])
    assert ended.returncode == 2
    problem = "cannot listen: Address already in use (choose another port or host)"
    assert ended.stderr == f"error: 127.0.0.1:{port}: {problem}\n"


def test_one_port_for_both_protocols_is_refused(tmp_path: Path) -> None:
    port = str(free_port())
    ended = start(tmp_path, "--http-port", port, "--grpc-port", port)
    assert ended.returncode == 2
    assert f"cannot both listen on port {port}" in ended.stderr


@pytest.mark.xdist_group("predictor")
def test_two_predictors_never_share_a_port(predictor: Predictor, shop: Settings) -> None:
    ended = start(shop.home, "--http-port", str(free_port()), "--grpc-port", str(predictor.grpc_port))
    assert ended.returncode == 2
    assert f"127.0.0.1:{predictor.grpc_port}: cannot listen" in ended.stderr


@pytest.mark.xdist_group("predictor")
def test_it_listens_on_this_machine_alone(predictor: Predictor) -> None:
    for port in (predictor.http_port, predictor.grpc_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)


def test_without_a_champion_it_says_how_to_get_one(tmp_path: Path) -> None:
    ended = start(tmp_path, "--http-port", "0", "--grpc-port", "0")
    assert ended.returncode == 2
    assert "no version of 'shop' has been promoted (train one: churn run training)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_changed_bundle_it_does_not_start(home: Settings) -> None:
    (changed,) = Path(home.objects).glob("bundles/*/contract.yaml")
    changed.write_text(changed.read_text() + "\n")
    ended = start(home.home, "--http-port", "0", "--grpc-port", "0")
    assert ended.returncode == 2
    assert "contract.yaml is missing or has changed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_bundle_of_another_model_it_does_not_start(home: Settings) -> None:
    other = bundles.publish(home, bundles.shop(name="garage"))
    bundles.put_in_charge(home, "shop", other)
    ended = start(home.home, "--http-port", "0", "--grpc-port", "0")
    assert ended.returncode == 2
    assert "is a model of 'garage', not of 'shop'" in ended.stderr


@pytest.mark.parametrize("arguments", [["--http-port", "99999"], ["--http-port", "x"], ["--htpp-port", "1"]])
def test_options_that_are_none_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert start(tmp_path, *arguments).returncode == 2


def test_importing_kserve_reads_no_command_line() -> None:
    program = "import sys; sys.argv = ['x', '--workers', 'many']; import serving.stock; print(sys.argv)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "['x', '--workers', 'many']\n"


def test_ports_may_be_left_to_the_system(home: Settings, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with log.open("wb") as said:
        ports = ["--http-port", "0", "--grpc-port", "0"]
        process = subprocess.Popen(command(*ports), cwd=ROOT, env=environment(home.home), stdout=said, stderr=said)
    predictor = Predictor(process, 0, 0, log)
    try:
        predictor.wait_for(lambda: "serves at" in predictor.said())
        port = int(predictor.said().partition("http://127.0.0.1:")[2].partition(",")[0])
        assert json.loads(Predictor(process, port, 0, log).send("/v2/health/ready").body) == {"ready": True}
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
