"""Whether the store is asked at all: after some failures in a row it is left alone for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from feature_repo.direct.errors import StoreAwayError

log = logging.getLogger(__name__)

Ticket = int
"""What a call is let in with; the result of one that was let in before the last change of state does not count."""


class Breaker:
    """Open after `failures` in a row, for `first` seconds, doubled up to `longest` with each trial that fails.

    One call is the trial; the others fail at once until it is back. Not for threads: it belongs to one event loop."""

    def __init__(
        self,
        failures: int = 5,
        first: float = 1.0,
        longest: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed, self._first, self._longest, self._clock = failures, first, longest, clock
        self._ticket = 0
        self._failed = 0
        self._period = 0.0
        self._until = 0.0
        self._since = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once, but for a trial."""
        return self._period > 0

    def enter(self) -> Ticket:
        """Lets a call in. Raises StoreAwayError while the store is left alone."""
        if self._period:
            wait = self._until - self._clock()
            if wait > 0 or self._trying:
                raise StoreAwayError(max(wait, 0.1))
            self._trying = True
        return self._ticket

    def succeeded(self, ticket: Ticket) -> None:
        """The call came back."""
        if ticket != self._ticket:
            return
        self._failed = 0
        if self._period:
            log.warning("the online store answers again, after %.1f s", self._clock() - self._since)
            self._period, self._trying = 0.0, False
            self._ticket += 1

    def failed(self, ticket: Ticket, cause: BaseException) -> StoreAwayError:
        """The call did not come back; gives what to raise. `cause` is logged when it is the one too many."""
        if ticket == self._ticket:
            self._failed += 1
            if self._period or self._failed >= self._allowed:
                self._open(cause)
        return StoreAwayError(max(self._until - self._clock(), 0.1) if self._period else self._first)

    def abandoned(self, ticket: Ticket) -> None:
        """The call was given up by who asked: it says nothing of the store."""
        if ticket == self._ticket:
            self._trying = False

    def _open(self, cause: BaseException) -> None:
        now = self._clock()
        if not self._period:
            self._since = now
            log.warning(
                "the online store is away, reads fail at once until it is back: %s: %s", type(cause).__name__, cause
            )
        self._period = min(self._period * 2, self._longest) or self._first
        self._until = now + self._period
        self._trying = False
        self._ticket += 1
