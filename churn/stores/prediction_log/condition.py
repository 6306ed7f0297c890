"""What is wrong right now, told to the operator when it begins and when it is over."""

from __future__ import annotations

import logging
import time

_LOGGER = logging.getLogger(__package__)
_QUIET_S = 10.0


class Condition:
    """A fault that comes and goes; one that flickers is told every ten seconds at most.

    `kind` names it, and is empty while all is well: an error's class or code, never its text, which quotes values."""

    def __init__(self, wrong: str, right: str) -> None:
        self.kind = ""
        self._wrong, self._right = wrong, right
        self._told, self._told_at = "", -_QUIET_S

    def trouble(self, kind: str, hint: str = "") -> None:
        """It is wrong."""
        self.kind = kind
        if kind != self._told and self._is_time():
            self._told = kind
            _LOGGER.error("prediction log: %s (%s)%s", self._wrong, kind, hint)

    def fine(self) -> None:
        """It is right."""
        self.kind = ""
        if self._told and self._is_time():
            self._told = ""
            _LOGGER.warning("prediction log: %s", self._right)

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._told_at < _QUIET_S:
            return False
        self._told_at = now
        return True
