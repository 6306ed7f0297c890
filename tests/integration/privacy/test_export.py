"""What is held of a customer, handed out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from local import main, privacy
from tests.integration.privacy.household import CANARY, OTHER, Household
from tests.unit.stores.prediction_log.samples import matrix


def test_everything_that_is_held_is_in_one_document(household: Household, tmp_path: Path) -> None:
    household.know_customers()
    household.predicted(0, 40, features=matrix((12, 70.35, 1), (3, 1, 0)))
    household.demonstrate()
    privacy.archive(30)
    household.leave_in_spool(2, [None, household.pseudonym()], "on its way")

    done = privacy.export(CANARY, tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["customer.json"]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    document = json.loads((tmp_path / "out/customer.json").read_bytes())
    held = document["held"]
    assert document["customer_id"] == CANARY
    assert set(held) == {"database", "prediction log", "spool", "object store", "step files", "online store"}
    assert [row["tenure"] for row in held["database"]["customers"]] == [3, 3]
    [prediction] = held["prediction log"]["predictions"]
    [archived] = next(rows for where, rows in held["object store"].items() if where.startswith("archive/"))
    [waiting] = next(iter(held["spool"].values()))
    assert prediction["features"] == archived["features"] == waiting["features"]
    assert prediction["features"] == {"tenure": 12, "version": 70.35, "contract": "One year"}
    assert (waiting["probability"], waiting["decision"], waiting["request_id"]) == (0.5, True, "on its way")
    snapshot = next(rows for where, rows in held["object store"].items() if where.startswith("snapshots/"))
    assert [row["customerID"] for row in snapshot] == [CANARY, CANARY]
    [quarantined] = next(rows for where, rows in held["step files"].items() if where.endswith("quarantine"))
    assert "tenure 'soon'" in quarantined["reasons"]
    [[online]] = held["online store"].values()
    assert online["event_timestamp"].startswith("2026-06-01T00:00:00")
    assert set(household.contract.raw) <= set(online)
    assert OTHER not in json.dumps(document)
    assert done.rows["step files"] == 6


def test_nothing_is_changed_and_what_was_erased_is_not_there(embedded: Household, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime for path in (embedded.settings.home / "objects").rglob("*")}
    privacy.export(CANARY, tmp_path / "first")
    assert {path: path.stat().st_mtime for path in (embedded.settings.home / "objects").rglob("*")} == before
    assert not (embedded.settings.home / "keys").exists(), "who only reads makes no key"
    privacy.erase(CANARY)
    assert privacy.export(CANARY, tmp_path / "second").rows == {}


def test_who_is_not_known_is_said_to_be_so(
    embedded: Household, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    os.write(write, b"nobody\n")
    os.close(write)
    monkeypatch.setattr("sys.stdin", os.fdopen(read))
    assert main._run(["privacy", "export", "--customer-id", "-", "--out", str(tmp_path / "out")]) == 0
    assert "Nothing is held of this customer" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(embedded: Household, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    with pytest.raises(UserError, match="another --out"):
        privacy.export(CANARY, tmp_path / "out")
