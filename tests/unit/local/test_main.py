from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from local import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main._run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "nosuch"),
        (["run", "training", "--unheard-of"], "--unheard-of"),
        (["data", "generate", "--customers", "many", "--out", "a.csv"], "--customers"),
        (["models", "show"], "model"),
        (["predict"], "--customer-id"),
        (["predict", "--json", "/no/such/file"], "/no/such/file"),
        (["predict", "--customer-id", "1", "--url", "http://127.0.0.1:1"], "churn serve"),
        (["run", "training"], "--data"),
        (["run", "training", "--data", "a.csv", "--param", "tune_trails=1"], "tune_trials"),
        (["run", "training", "--data", "a.csv", "--as-of", "tomorrow"], "--as-of"),
        (["run", "training", "--data", "a.csv", "--as-of", "2962-01-05"], "2962-01-05 has not come yet"),
        (["run", "batch", "--from-store", "--as-of", "2962-01-05"], "2962-01-05 has not come yet"),
        (["run", "batch", "--from-store", "--as-of", "0001-01-01"], "'0001-01-01' lies before 1971"),
        (["run", "monitoring", "--as-of", "2962-01-05"], "2962-01-05 has not come yet"),
        (["run", "retraining", "--as-of", "2962-01-05T12:00"], "2962-01-05 has not come yet"),
    ],
)
def test_what_was_typed_wrong_ends_with_2_and_one_message(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(arguments, capsys)
    assert code == 2
    assert out == ""
    assert says in err
    assert "Traceback" not in err


def test_a_failure_is_a_document_too_when_a_program_asks(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["run", "training", "--json"], capsys)
    assert code == 2
    assert json.loads(out)["error"]["where"] == "--data"


def test_what_nobody_foresaw_ends_with_1_and_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from local import models

    def broken() -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(models, "versions", broken)
    code, out, err = run(["models", "list"], capsys)
    assert code == 1
    assert out == ""
    assert "Traceback" in err
    assert "out of luck" in err


@pytest.mark.parametrize(
    "command", [[], ["data"], ["contract"], ["run"], ["pipeline"], ["features"], ["models"], ["keys"]]
)
def test_every_command_helps(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run([*command, "--help"], capsys)
    assert code == 0
    assert "Usage" in out


def test_an_unknown_setting_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_HOEM", "somewhere")
    code, _, err = run(["models", "list"], capsys)
    assert code == 2
    assert "CHURN_HOME" in err


def test_the_schema_is_made_once_and_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    for _ in range(2):
        code, out, err = run(["data", "migrate"], capsys)
        assert code == 0, err
        assert "up to date" in out
    with sqlite3.connect(tmp_path / "churn.db") as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "customers" in names


def test_customers_are_generated_twice_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv")]
    for file in files:
        code, out, err = run(["data", "generate", "--customers", "50", "--seed", "4", "--out", str(file)], capsys)
        assert code == 0, err
        assert "50 rows" in out
    assert files[0].read_bytes() == files[1].read_bytes()
