"""The live server against its own description: schemathesis reads it, and tries to prove the server wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from churn.domain.contract import Derived
from serving.access import keys
from tests import bundles
from tests.predictors import Predictor, running

CONFIGURATION = """
[phases.stateful]
enabled = false  # nothing is made that could be asked for again: no answer leads to another request

[[operations]]
include-name = "POST /v2/models/shop/infer"
# That all tensors are as long as their shapes say, and each other, and fit their datatypes, JSON Schema cannot say.
checks.positive_data_acceptance.enabled = false
"""

EXAMPLES = 60
"""Of each operation in the fuzzing phase; what the coverage phase makes of the schemas is some thousands."""


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A model with an answer to all that its contract allows, three customers online, and a key for everything."""
    settings = bundles.settings_of(tmp_path_factory.mktemp("described"))
    of = bundles.shop(derived={"spend_per_visit": Derived("spend", formula="spend / (visits + 1)")})
    bundles.publish(settings, of, version=7)
    bundles.remember(settings, of, bundles.CUSTOMERS)
    identity, key, digest = keys.make()
    entry = keys.KeyEntry(identity, "tests", digest, ["predict", "explain", "admin"])
    file = settings.home / "keys.json"
    file.write_bytes(msgspec.json.encode(keys.KeysDocument([entry])))
    file.chmod(0o600)
    log = tmp_path_factory.mktemp("log") / "log.txt"
    with running(settings.home, log, key=key, CHURN_API_KEYS=file) as predictor:
        yield predictor


def schemathesis(predictor: Predictor, folder: Path) -> subprocess.CompletedProcess[str]:
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    program = [str(Path(sys.executable).with_name("st")), "--config-file", str(configuration), "run"]
    return subprocess.run(
        [
            *program,
            f"http://127.0.0.1:{predictor.http_port}/openapi.json",
            *("--header", f"X-API-Key: {predictor.key}"),
            *("--max-examples", str(EXAMPLES), "--generation-deterministic"),
            *("--continue-on-failure", "--no-color"),
        ],
        cwd=folder,
        env={**os.environ, "COLUMNS": "160"},
        text=True,
        capture_output=True,
        check=False,
        timeout=600,
    )


def test_schemathesis_finds_nothing(predictor: Predictor, tmp_path: Path) -> None:
    run = schemathesis(predictor, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: 17" in run.stdout
    assert '"level":"ERROR"' not in predictor.said()


def described(predictor: Predictor) -> Any:
    return predictor.send("/openapi.json").json


def test_every_example_of_the_description_is_answered(predictor: Predictor) -> None:
    tried = 0
    for path, methods in described(predictor)["paths"].items():
        for operation in methods.values():
            shown = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
            for one in shown.values():
                assert predictor.send(path, one["value"]).status == 200, one
                tried += 1
    assert tried >= 10


class Blocks(HTMLParser):
    """The blocks of a page that are meant to be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "pre"
        if self._inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


@pytest.fixture(scope="module")
def blocks(predictor: Predictor) -> list[str]:
    blocks = Blocks()
    reply = predictor.send("/docs")
    assert reply.headers["content-type"].startswith("text/html")
    blocks.feed(reply.body.decode())
    return blocks.found


def shell(predictor: Predictor, command: list[str]) -> subprocess.CompletedProcess[str]:
    named = {
        "SERVER": f"http://127.0.0.1:{predictor.http_port}",
        "GRPC_SERVER": f"127.0.0.1:{predictor.grpc_port}",
        "KEY": predictor.key,
        "CUSTOMER": "ann",
    }
    return subprocess.run(command, env={**os.environ, **named}, text=True, capture_output=True, check=False, timeout=60)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
def test_every_command_of_the_page_can_be_pasted(predictor: Predictor, blocks: list[str]) -> None:
    commands = [block for block in blocks if block.startswith("curl")]
    assert len(commands) == 5
    for command in commands:
        ran = shell(predictor, ["bash", "-ec", command.replace("curl -s", "curl -sS -w '%{stderr}%{http_code}'", 1)])
        assert ran.stderr == "200", (command, ran.stdout)
        assert json.loads(ran.stdout)


def test_the_program_of_the_page_asks_over_grpc(predictor: Predictor, blocks: list[str]) -> None:
    (program,) = [block for block in blocks if block.startswith("import os")]
    ran = shell(predictor, [sys.executable, "-c", program])
    assert ran.returncode == 0, ran.stderr
    assert "probability [1] fp64_contents" in ran.stdout
    assert "contributions [1, 6]" in ran.stdout


def test_the_answer_of_the_page_is_the_one_that_the_server_gives(predictor: Predictor, blocks: list[str]) -> None:
    (shown,) = [json.loads(block) for block in blocks if block.startswith('{\n  "explanations"')]
    (command,) = [block for block in blocks if ":explain" in block]
    given = json.loads(shell(predictor, ["bash", "-ec", command]).stdout)
    assert given["explanations"][0].keys() == shown["explanations"][0].keys()
    assert given["explanations"][0]["probability"] == pytest.approx(shown["explanations"][0]["probability"], abs=0.02)


def test_the_page_may_not_run_anything(predictor: Predictor) -> None:
    policy = predictor.send("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
