"""A worker's memory, kept small: threads that score large batches would each keep a heap of their own."""

from __future__ import annotations

import ctypes
import os
import sys

_ARENAS = -8
"""glibc's M_ARENA_MAX, of <malloc.h>."""


def keep_small() -> None:
    """Lets all threads share two heaps, and Arrow use them too. Call it before threads and Arrow are there."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library may have none
        if mallopt is not None:
            mallopt(_ARENAS, 2)
