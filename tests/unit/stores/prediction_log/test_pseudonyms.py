from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores.prediction_log.pseudonyms import Pseudonyms


def test_a_customer_has_one_pseudonym_under_a_key_and_another_under_another(tmp_path: Path) -> None:
    ours, again = (Pseudonyms.load(tmp_path / "keys" / "log.key") for _ in range(2))
    theirs = Pseudonyms.load(tmp_path / "theirs" / "log.key")

    assert ours.pseudonym("7590-VHVEG") == again.pseudonym("7590-VHVEG")
    assert len(ours.pseudonym("7590-VHVEG")) == 16
    assert ours.pseudonym("7590-VHVEG") != theirs.pseudonym("7590-VHVEG")
    assert ours.pseudonym("7590-VHVEG") != ours.pseudonym("7590-VHVEH")


def test_who_has_no_id_has_no_pseudonym(tmp_path: Path) -> None:
    ours = Pseudonyms.load(tmp_path / "log.key")

    assert ours.pseudonyms(["7590-VHVEG", None, "\ud800"])[:2] == [ours.pseudonym("7590-VHVEG"), None]


def test_the_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    Pseudonyms.load(tmp_path / "keys" / "log.key")

    assert (tmp_path / "keys" / "log.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in (tmp_path / "keys").iterdir()] == ["log.key"]


def _write(key: Path, content: str, mode: int = 0o600) -> None:
    key.touch()
    key.chmod(mode)
    key.write_text(content)


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_key_that_everybody_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    _write(tmp_path / "log.key", "k" * 40, mode)

    with pytest.raises(UserError, match=r"log\.key: everybody may read or write it \(chmod 600"):
        Pseudonyms.load(tmp_path / "log.key")


def test_a_key_that_is_mounted_for_a_group_is_taken(tmp_path: Path) -> None:
    _write(tmp_path / "log.key", "k" * 40, 0o640)

    assert Pseudonyms.load(tmp_path / "log.key").pseudonym("x") == Pseudonyms(b"k" * 40).pseudonym("x")


def test_a_key_is_the_same_with_and_without_a_line_break(tmp_path: Path) -> None:
    for name, content in (("a", "k" * 40), ("b", "k" * 40 + "\n")):
        _write(tmp_path / name, content)

    assert Pseudonyms.load(tmp_path / "a").pseudonym("x") == Pseudonyms.load(tmp_path / "b").pseudonym("x")


@pytest.mark.parametrize("content", ["", "short", "long" * 17])
def test_a_file_that_holds_no_key_is_refused_without_being_quoted(tmp_path: Path, content: str) -> None:
    _write(tmp_path / "log.key", content)

    with pytest.raises(UserError, match=r"log\.key: holds no key \(32 to 64 characters") as caught:
        Pseudonyms.load(tmp_path / "log.key")

    assert not content or content not in str(caught.value)


def test_a_key_that_can_not_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")

    with pytest.raises(UserError, match="no key can be kept there"):
        Pseudonyms.load(tmp_path / "keys" / "log.key")


RACER = """
import sys
from pathlib import Path
from churn.stores.prediction_log.pseudonyms import Pseudonyms
print("ready", flush=True)
sys.stdin.readline()
print(Pseudonyms.load(Path(sys.argv[1])).pseudonym("x").hex())
"""


def test_processes_that_start_at_once_agree_on_a_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path / "keys" / "log.key")]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()

    assert len({racer.communicate()[0] for racer in racers}) == 1
