"""A worker's memory: kept small, though threads that score large batches would each have a heap, and kept quiet."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

_ARENAS = -8
"""glibc's M_ARENA_MAX, of <malloc.h>."""


_TURN_S = 0.001
"""How long a thread with a large batch may keep the event loop waiting; Python's own is five times that."""


def settle() -> None:
    """Takes what is there for good out of the garbage collector's sight: going through all that the imports brought
    would stop every request for a tenth of a second, again and again."""
    gc.collect()
    gc.freeze()


def keep_small() -> None:
    """Lets all threads share two heaps, and Arrow use them too. Call it before threads and Arrow are there."""
    sys.setswitchinterval(_TURN_S)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library may have none
        if mallopt is not None:
            mallopt(_ARENAS, 2)
