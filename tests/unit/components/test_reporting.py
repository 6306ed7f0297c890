from __future__ import annotations

from pathlib import Path

import pytest

from churn.domain.errors import UserError
from components import reporting
from components.reporting import reported

ERROR = UserError("column tenure is missing", where="customers.csv", remedy="add it")


def test_an_error_of_the_user_ends_with_status_2_and_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHURN_TERMINATION_LOG", str(tmp_path / "termination"))

    with pytest.raises(SystemExit) as caught, reported():
        raise ERROR

    assert caught.value.code == 2
    assert caught.value.__suppress_context__
    assert (tmp_path / "termination").read_text() == str(ERROR)
    assert capsys.readouterr().err == f"{ERROR}\n"


def test_without_a_variable_the_message_goes_where_kubernetes_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "termination-log"
    mounted.touch()
    monkeypatch.delenv("CHURN_TERMINATION_LOG", raising=False)
    monkeypatch.setattr(reporting, "_KUBERNETES_TERMINATION_LOG", str(mounted))

    with pytest.raises(SystemExit), reported():
        raise ERROR

    assert mounted.read_text() == str(ERROR)


def test_outside_kubernetes_no_termination_log_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHURN_TERMINATION_LOG", raising=False)
    monkeypatch.setattr(reporting, "_KUBERNETES_TERMINATION_LOG", str(tmp_path / "termination-log"))

    with pytest.raises(SystemExit), reported():
        raise ERROR

    assert not list(tmp_path.iterdir())


def test_a_termination_log_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_TERMINATION_LOG", str(tmp_path / "nowhere" / "termination"))

    with pytest.raises(SystemExit) as caught, reported():
        raise ERROR

    assert caught.value.code == 2


def test_a_long_message_keeps_its_beginning_within_what_kubernetes_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_TERMINATION_LOG", str(tmp_path / "termination"))

    with pytest.raises(SystemExit), reported():
        raise UserError("é" * 5000, where="customers.csv")

    written = (tmp_path / "termination").read_text()
    assert written.startswith("customers.csv: éé")
    assert 4090 < len(written.encode()) <= 4096


def test_any_other_error_passes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_TERMINATION_LOG", str(tmp_path / "termination"))

    with pytest.raises(ZeroDivisionError), reported():
        _ = 1 / 0

    assert not (tmp_path / "termination").exists()
