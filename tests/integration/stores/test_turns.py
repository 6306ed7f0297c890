"""One holder of a turn at a time, and a database that goes away while one is waited for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from churn.domain.errors import UserError
from churn.stores import turns

_WAITING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory' AND pid <> %s"


def take(url: str) -> None:
    with turns.held(url, "prune"):
        pass


def test_who_waits_while_the_database_leaves_is_told_so_and_the_holder_keeps_its_turn(database_url: str) -> None:
    with ThreadPoolExecutor(1) as beside, turns.held(database_url, "prune"):
        waiting = beside.submit(take, database_url)
        connection = psycopg2.connect(database_url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            deadline = time.monotonic() + 30
            while not cursor.rowcount > 0:
                assert time.monotonic() < deadline, "it never waited"
                time.sleep(0.05)
                cursor.execute(_WAITING, [connection.info.backend_pid])
        connection.close()
        with pytest.raises(UserError, match="does not answer"):
            waiting.result(30)
    take(database_url)


def test_a_turn_is_waited_for_longer_than_a_statement_may_take(database_url: str) -> None:
    impatient = f"{database_url}{'&' if '?' in database_url else '?'}options=-c%20statement_timeout%3D100"
    with ThreadPoolExecutor(1) as beside:
        with turns.held(database_url, "prune"):
            waiting = beside.submit(take, impatient)
            time.sleep(1)
            assert not waiting.done()
        waiting.result(30)
