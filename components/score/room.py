"""A full disk, said as what it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn.domain.errors import UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def room(where: str | Path) -> Iterator[None]:
    """Turns the error of a full disk into a UserError: it is nobody's mistake in the code, and has a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        remedy = "make room and run again: shards that are done are not scored anew"
        raise UserError("the disk is full", str(where), remedy) from error
