from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from local import locks


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", *locks.LOCKS.values()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(locks.ROOT / name, tmp_path / name)
    return tmp_path


def test_a_requirement_that_no_lock_holds_is_noticed(project: Path) -> None:
    text = (project / "pyproject.toml").read_text()
    assert locks.stale(project) == []
    (project / "pyproject.toml").write_text(text.replace('"minio>=7.2",', '"minio>=7.2",\n  "humanize>=4",', 1))
    assert any("data-processing" in sentence for sentence in locks.stale(project))


def test_every_line_of_a_lock_is_exact_and_hashed_and_names_no_index() -> None:
    for lock in locks.LOCKS.values():
        lines = (locks.ROOT / lock).read_text().splitlines()
        packages = [line for line in lines if line and not line.startswith(" ")]
        assert packages
        assert all("==" in line and line.endswith("\\") for line in packages), lock
        assert not any("://" in line for line in lines), lock
