"""How a step writes and reads what it hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def write_json(path: str | Path, value: Any) -> None:
    """Writes a struct as indented JSON."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2))


def read_json(path: str | Path, kind: type[T]) -> T:
    """Reads what `write_json` wrote. Raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(Path(path).read_bytes(), type=kind)
