"""A worker's open files: every connection is one, and a process that has no more of them answers nobody."""

from __future__ import annotations

import resource

_MOST = 65_536
"""Where the system sets no limit, more than this would only make room for memory to run out first."""

MOST_CONNECTIONS = 10_000
"""Each of them holds some kilobytes even while nothing is asked."""


def raise_limit() -> int:
    """Lets this process open as many files as the system grants it; gives how many. What cannot be raised stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def most_connections(files: int) -> int:
    """How many clients one protocol may have: the other has as many, and the rest is for stores, logs and threads."""
    return min(files // 3, MOST_CONNECTIONS)
