"""What reading may end in: the store is away, an id is none, or a stored value is none of its column's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from churn.domain.errors import UserError

if TYPE_CHECKING:
    from feature_repo.direct.reader import Stored


class StoreAwayError(Exception):
    """The online store does not answer, or refuses to; it may be asked again after `retry_after` seconds.

    Its text says nothing of the cause, which is chained for the log and holds neither passwords nor ids."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("the online store does not answer")
        self.retry_after = retry_after


class RowsError(UserError):
    """What is wrong with some of the ids that were asked for: `rows` are their positions, in order.

    `stored` is what a reader has found nevertheless, of all ids in order; those in `rows` look unknown."""

    stored: Stored

    def __init__(self, problem: str, where: str, remedy: str, rows: Sequence[int] = (0,)) -> None:
        super().__init__(problem, where, remedy)
        self.rows = tuple(rows)


class BadIdError(RowsError):
    """An id that cannot be one: text where the key is an integer, an integer beyond 64 bits, broken Unicode."""


class BadValueError(RowsError):
    """A stored value that its column cannot hold, because somebody wrote it past the pipeline; `where` names it."""


class RefusedError(Exception):
    """The store answered with an error; the text is its code alone, since the rest may repeat what was sent."""


class GarbageError(Exception):
    """What came back is no answer to what was asked."""


class LostError(ConnectionError):
    """The connection ended before the answer came."""
