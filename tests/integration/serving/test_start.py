"""A predictor starts with little, or says in one line why it does not."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from churn.stores.settings import Settings
from local import keys
from tests import bundles
from tests.predictors import PATIENCE_S, ROOT, Predictor, command, environment, start
from tests.servers import free_port

SYSTEMS_CHOICE = ("--http-port", "0", "--grpc-port", "0")

NOT_BEFORE_NEEDED = {
    "feast": "takes 7 s and 300 MB; the online store is read by the layout in the bundle",
    "xgboost": "for reasons of that model alone, and its contributions come from the trees in the bundle",
    "lightgbm": "likewise",
    "sklearn": "training's: the graph is what serves",
    "scipy": "scikit-learn's",
    "onnxmltools": "training's",
    "skl2onnx": "training's",
    "sqlalchemy": "for commands: the log speaks to its database by the driver",
    "alembic": "migrations are a command",
    "mlflow": "promotion's: the traffic document says what serves",
    "psycopg2": "only where the prediction log is in PostgreSQL",
    "minio": "only where bundles or the document are in S3",
    "redis": "the protocol is spoken by hiredis alone",
    "jwt": "only with tokens",
    "duckdb": "data processing's",
    "ibis": "data processing's",
    "matplotlib": "reports'",
    "typer": "the command line's",
    "kfp": "the pipelines'",
}
"""What must not be imported by a server that is ready and has answered, by features and v1 and v2, and why."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with version 1 in charge, and nothing online."""
    settings = bundles.settings_of(tmp_path_factory.mktemp("home"))
    bundles.publish(settings, bundles.shop())
    return settings


SPY = """
import json, os, signal, sys, threading, time, urllib.request
from serving import __main__

http, body = sys.argv[1], sys.argv[2].encode()

def imported():
    return sorted({name.partition('.')[0] for name in sys.modules})

def ask(path, body=None):
    headers = {'Content-Type': 'application/json'}
    request = urllib.request.Request(f'http://127.0.0.1:{http}{path}', body, headers)
    return urllib.request.urlopen(request, timeout=30).read()

def spy():
    found = {}
    while True:
        try:
            ask('/v2/models/shop/ready')
            break
        except OSError:
            time.sleep(.02)
    found['ready'] = imported()
    ask('/v1/models/shop:predict', body)
    ask('/metrics')
    time.sleep(1)
    found['answered'] = imported()
    print(json.dumps(found), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=spy, daemon=True).start()
sys.exit(__main__.main(['--model', 'shop', '--http-port', http, '--grpc-port', '0']))
"""


def test_what_is_imported_at_the_start_is_held(home: Settings) -> None:
    body = json.dumps({"instances": [bundles.CUSTOMER]})
    ended = subprocess.run(
        [sys.executable, "-c", SPY, str(free_port()), body],
        cwd=ROOT,
        env=environment(home.home),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = {moment: set(names) for moment, names in json.loads(ended.stdout).items()}
    assert found["ready"] >= {"kserve", "onnxruntime"}
    for moment, names in found.items():
        unwanted = {name: why for name, why in NOT_BEFORE_NEEDED.items() if name in names}
        assert not unwanted, f"imported before it was {moment}: {unwanted}"


def test_a_refusal_imports_hardly_anything(tmp_path: Path) -> None:
    """Who got a setting wrong reads so at once."""
    program = (
        "import sys; from serving import __main__; code = __main__.main(['--model', 'shop']);"
        "print(sorted({'kserve', 'onnxruntime', 'pandas', 'fastapi', 'grpc', 'pyarrow', 'onnx'} & set(sys.modules)));"
        "sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(tmp_path, CHURN_DRAIN_SECONDS="soon"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "[]\n"), ended.stderr
    assert ended.stderr.startswith("error: CHURN_DRAIN_SECONDS: 'soon' cannot be")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"CHURN_BODY_LIMIT_MB": "0"}, "CHURN_BODY_LIMIT_MB: '0' cannot be (give a whole number from 1 to 1024)"),
        ({"CHURN_LOG_DURABILITY": "maybe"}, "CHURN_LOG_DURABILITY: 'maybe' cannot be (give one of: batched"),
        ({"CHURN_RATE_LIMIT": "fast"}, "CHURN_RATE_LIMIT: 'fast' is no rate"),
        ({"CHURN_API_KEYS": "/nowhere/keys.yaml"}, "CHURN_API_KEYS: /nowhere/keys.yaml cannot be read"),
        ({"CHURN_JWT_ISSUER": "https://issuer"}, "CHURN_JWT_KEYS: is not set although CHURN_JWT_ISSUER is"),
        ({"CHURN_TLS_KEY": "/nowhere/key"}, "CHURN_TLS_CERTIFICATE: is not set although CHURN_TLS_KEY is"),
        ({"CHURN_ALLOWED_NETWORKS": "home"}, "CHURN_ALLOWED_NETWORKS: 'home' is no network"),
        ({"CHURN_AUDIT_FILE": "/nowhere/audit"}, "CHURN_AUDIT_FILE: /nowhere/audit cannot be written"),
        ({"CHURN_DRAIN_SECOND": "1"}, "CHURN_DRAIN_SECOND: is no setting of this project (did you mean CHURN_DRAIN"),
    ],
)
def test_a_setting_that_cannot_be_is_said_in_one_line(home: Settings, variables: dict[str, str], problem: str) -> None:
    ended = start(home.home, *SYSTEMS_CHOICE, **variables)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {problem}"), ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_keys_it_does_not_listen_beyond_this_machine(home: Settings, host: str) -> None:
    ended = start(home.home, "--host", host, *SYSTEMS_CHOICE)
    assert ended.returncode == 2
    assert f"the server would answer everybody who reaches {host}" in ended.stderr
    assert "CHURN_ALLOW_ANONYMOUS=true" in ended.stderr


def test_nobody_is_anonymous_with_keys(home: Settings, tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    keys.create(file, keys.Wanted("website", ["predict"]))
    ended = start(home.home, *SYSTEMS_CHOICE, CHURN_API_KEYS=file, CHURN_ALLOW_ANONYMOUS="true")
    assert ended.returncode == 2
    assert "CHURN_ALLOW_ANONYMOUS: is set, and so are keys or tokens" in ended.stderr


@contextmanager
def starting(home: Settings, log: Path, *arguments: str, **variables: str) -> Iterator[Predictor]:
    with log.open("wb") as said:
        process = subprocess.Popen(
            command(*arguments), cwd=ROOT, env=environment(home.home, **variables), stdout=said, stderr=said
        )
    try:
        yield Predictor(process, 0, 0, log)
    finally:
        process.kill()
        process.wait()


def test_a_signal_during_the_start_ends_it_cleanly(home: Settings, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("--http-port", str(port), "--grpc-port", str(free_port()))
    with starting(home, tmp_path / "log.txt", *arguments) as predictor:
        predictor.wait_for(lambda: not _bindable(port))
        predictor.process.terminate()
        assert predictor.process.wait(PATIENCE_S) == 0
    assert predictor.said() == ""


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


def test_without_a_champion_it_says_how_to_get_one(tmp_path: Path) -> None:
    ended = start(tmp_path, *SYSTEMS_CHOICE)
    assert ended.returncode == 2
    assert "no version of 'shop' has been promoted (train one: churn run training)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_changed_bundle_it_does_not_start(tmp_path: Path) -> None:
    """Workers that cannot load it are not started again and again."""
    home = bundles.settings_of(tmp_path)
    bundles.publish(home, bundles.shop())
    (changed,) = Path(home.objects).glob("bundles/*/contract.yaml")
    changed.write_text(changed.read_text() + "\n")
    ended = start(home.home, "--http-port", "0", "--grpc-port", str(free_port()), "--workers", "2")
    assert ended.returncode == 2
    assert "contract.yaml is missing or has changed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_bundle_of_another_model_it_does_not_start(tmp_path: Path) -> None:
    home = bundles.settings_of(tmp_path)
    bundles.put_in_charge(home, "shop", bundles.publish(home, bundles.shop(name="garage")))
    ended = start(home.home, *SYSTEMS_CHOICE)
    assert ended.returncode == 2
    assert "is a model of 'garage', not of 'shop'" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--http-port", "99999"], ["--http-port", "x"], ["--htpp-port", "1"], ["--workers", "0"], ["--workers", "65"]],
)
def test_options_that_are_none_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert start(tmp_path, *arguments).returncode == 2


def test_importing_kserve_reads_no_command_line() -> None:
    program = "import sys; sys.argv = ['x', '--workers', 'many']; import serving.stock; print(sys.argv)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "['x', '--workers', 'many']\n"


def test_it_listens_on_this_machine_alone_at_ports_of_its_own(home: Settings, tmp_path: Path) -> None:
    """The ports may be left to the system. A parent's folder of metrics, which Feast gives to whoever imports it, is
    not the server's."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    with starting(home, tmp_path / "log.txt", *SYSTEMS_CHOICE, PROMETHEUS_MULTIPROC_DIR=str(folder)) as predictor:
        predictor.wait_for(lambda: "serves at" in predictor.said())
        found = re.search(r"http://127\.0\.0\.1:(\d+), gRPC port (\d+)", predictor.said())
        assert found
        served = Predictor(predictor.process, int(found[1]), int(found[2]), predictor.log)
        assert served.send("/v2/health/ready").json == {"ready": True}
        for port in (served.http_port, served.grpc_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", port), timeout=5)
        second = start(home.home, "--http-port", "0", "--grpc-port", str(served.grpc_port))
        assert second.returncode == 2
        assert f"127.0.0.1:{served.grpc_port}: cannot listen" in second.stderr
        assert served.metric("process_resident_memory_bytes") > 0
        assert served.stop() == 0
    assert list(folder.iterdir()) == []
