"""What the README says is held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from churn.stores.variables import VARIABLES
from local import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVING = (ROOT / "serving" / "README.md").read_text(encoding="utf-8")


def test_the_settings_of_the_readme_are_those_of_the_code() -> None:
    table = re.findall(r"^\| `([A-Z_]+[A-Z0-9_]*)` \| (.*) \|$", README + SERVING, re.MULTILINE)
    assert dict(table) == VARIABLES


COMMANDS = sorted(set(re.findall(r"\.venv/bin/churn ([a-z ]+?)(?= [-A-Z]|$|\n)", README + SERVING)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run([*command.split(), "--help"]) == 0
    options = set(re.findall(rf"churn {command}[^\n#]*", README + SERVING))
    helped = capsys.readouterr().out
    for option in {name for line in options for name in re.findall(r"--[a-z-]+", line)} - {"--help"}:
        assert option in helped, f"churn {command} has no {option}"


@pytest.mark.parametrize("folder", sorted(set(re.findall(r"^\| `([a-z_/]+)` \|", README, re.MULTILINE))))
def test_every_folder_of_the_readme_exists(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README + SERVING, re.MULTILINE))))
def test_every_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
