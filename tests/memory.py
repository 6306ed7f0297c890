"""A process's own peak memory. `ru_maxrss` will not do: a child inherits its parent's."""

from __future__ import annotations

from pathlib import Path


def peak_kb() -> int:
    """The most memory this process has held at once, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
