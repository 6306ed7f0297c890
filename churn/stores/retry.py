"""Trying again, a bounded number of times, with exponential backoff and full jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Backoff(msgspec.Struct, frozen=True):
    """At most `attempts` tries; before the n-th one more, a pause of up to `base_s` * 2^n, capped at `cap_s` seconds.

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015 (full jitter)."""

    attempts: int = 6
    base_s: float = 0.2
    cap_s: float = 5.0

    def run(self, call: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
        """The result of `call`; an error that is not `transient`, or the last one, is raised as it is."""
        for attempt in range(self.attempts - 1):
            try:
                return call()
            except Exception as error:
                if not transient(error):
                    raise
            time.sleep(random.uniform(0, min(self.cap_s, self.base_s * 2**attempt)))  # noqa: S311 - not for secrecy
        return call()


PATIENT = Backoff()
"""Three seconds of pauses on average: a dropped connection, a moment of overload."""
