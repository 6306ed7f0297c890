"""The command line as a person runs it: a process of its own, a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.csv as pv
import pytest

from churn.domain.synthetic.generation import generate
from local import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Churn:
    """`churn` with one CHURN_HOME."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "AWS_"))}
        return {**inherited, "CHURN_HOME": str(self.home), **self.environment}

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "local.main"]

    def __call__(self, *arguments: str | Path, cwd: Path = ROOT) -> Done:
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            cwd=cwd, env={**self.env, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def train(self, data: Path | str, *more: str | Path) -> Done:
        return self("run", "training", "--data", data, "--json", *more)


@dataclass(frozen=True)
class Within(Churn):
    """`churn` in this process, whose interpreters are warm: for many commands that fail early."""

    def __call__(self, *arguments: str | Path, cwd: Path = ROOT) -> Done:
        out, err = StringIO(), StringIO()
        with patch.dict(os.environ, self.env, clear=True), redirect_stdout(out), redirect_stderr(err), chdir(cwd):
            code = main._run([*map(str, arguments)])
        return Done(code, out.getvalue(), err.getvalue())


def customers(path: Path, count: int = 1500, seed: int = 3) -> Path:
    """A generated customer table."""
    generate(count, 1, seed, path, None)
    return path


def rows(path: Path) -> list[list[str]]:
    """A CSV file's lines, the header first, all as text."""
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def churn(tmp_path: Path) -> Churn:
    return Churn(tmp_path / "home")


@dataclass(frozen=True)
class Trained:
    """A home with a champion, and the run that made it."""

    churn: Churn
    data: Path
    done: Done


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = customers(folder / "customers.csv", 2500)
    churn = Churn(folder / "home")
    done = churn.train(data, "--param", "candidates=xgboost,logistic-regression")
    assert done.code == 0, done.err
    return Trained(churn, data, done)


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Churn:
    """A copy of a home with a champion: what a run leaves there is nobody else's."""
    shutil.copytree(trained.churn.home, tmp_path / "home", ignore=shutil.ignore_patterns("runs", "reports"))
    for document in (tmp_path / "home/traffic").glob("*.yaml"):
        document.write_text(document.read_text().replace(str(trained.churn.home), str(tmp_path / "home")))
    return replace(trained.churn, home=tmp_path / "home")


@pytest.fixture(scope="session")
def telco() -> Path:
    """The IBM sample; it is not ours to ship."""
    found = Path(os.environ.get("CHURN_TELCO_CSV") or ROOT.parent / "shared/data/telco.csv")
    if not found.is_file():
        pytest.skip("the IBM Telco sample is not here: set CHURN_TELCO_CSV to the downloaded file")
    assert pv.read_csv(found).num_rows == 7043
    return found
