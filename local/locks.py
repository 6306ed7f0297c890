"""Whether the locks still say what `pyproject.toml` asks for: `python -m local.locks`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = "local/requirements.lock"
LOCKS = {"dev": EVERYTHING} | {
    role: f"docker/{role}/requirements.lock"
    for role in ("data-processing", "model-training", "model-serving", "monitoring")
}


def stale(root: Path = ROOT) -> list[str]:
    """A sentence for each lock that a new compilation would change. Needs uv and the package index."""
    return [
        f"{lock} no longer matches pyproject.toml: run `make lock`"
        for extra, lock in LOCKS.items()
        if _pins(_compiled(root, extra, lock)) != _pins((root / lock).read_text(encoding="utf-8"))
    ]


def _pins(lock: str) -> list[str]:
    """The lines that name versions; hashes alone change when a release gets another wheel."""
    return [line for line in lock.splitlines() if not line.startswith(" ")]


def _compiled(root: Path, extra: str, lock: str) -> str:
    """The lock as uv would write it now, keeping every version that still fits."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, "requirements.lock")
        shutil.copyfile(root / lock, fresh)
        constraint = [] if extra in {"dev", "monitoring"} else ["-c", EVERYTHING]
        command = [
            find_uv_bin(),
            "pip",
            "compile",
            "pyproject.toml",
            "--universal",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
        ]
        command += ["--quiet", "--extra", extra, *constraint, "-o", str(fresh)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
        return fresh.read_text(encoding="utf-8") if done.returncode == 0 else done.stderr


def main() -> int:
    """Exit status 1 when a lock is stale."""
    problems = stale()
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
