from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from churn.stores.privacy.customer import Customer
from churn.stores.privacy.folders import Copies, StepFiles
from churn.stores.privacy.ledger import Act, Ledger
from churn.stores.privacy.places import Held
from churn.stores.privacy.tables import Search
from churn.stores.settings import Settings
from local import main, privacy
from local.commands import privacy as command

HALF = b"PAR1 and no more"


@pytest.mark.parametrize("arguments", [["privacy"], *(["privacy", one] for one in ("erase", "export", "retain"))])
def test_every_command_helps(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run([*arguments, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_what_is_left_is_said_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("step files", "runs/1/valid", 2)
    done = privacy.Erased(customer="5" * 32, dry_run=False, erased=[held], left=[held], unsearched=[], yours=[])
    monkeypatch.setattr(privacy, "erase", lambda *_, **__: done)
    assert main._run(["privacy", "erase", "--customer-id", "x"]) == 1
    shown = capsys.readouterr()
    assert "2 rows erased" in shown.out
    assert "runs/1/valid" in shown.err
    assert command.app.info.help


def test_half_a_file_goes_when_it_is_old_and_stays_while_somebody_may_write_it(tmp_path: Path) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "home")}).prepare()
    search = Search(Customer("x", None), ())
    runs = settings.home / "runs"
    runs.mkdir()
    staged = settings.home / ".staging"
    staged.mkdir()
    for folder in (runs, staged):
        for name in ("young", "old"):
            (folder / name).write_bytes(HALF)
        os.utime(folder / "old", (time.time() - 7200,) * 2)
    ledger = Ledger.__new__(Ledger)
    ledger.act = Act("", "", privacy.datetime.now(privacy.UTC))
    notes = [held.note for held in StepFiles(settings, search, ledger).erase()]
    assert [note.endswith("deleted") for note in notes] == [True, False]
    assert [held.where for held in Copies(settings, search).erase()] == [str(staged / "old")]
    assert sorted(path.name for path in (*runs.iterdir(), *staged.iterdir())) == ["young", "young"]
