"""What is left when the log's process is killed, or its database at the worst moment."""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from churn.stores.database import migrate
from churn.stores.prediction_log.records import FLUSH_S
from tests.servers import free_port
from tests.unit.stores.prediction_log.samples import log, record

ROUNDS = 95

KILLER = """
import json, os, random, select, signal, sys, time
from pathlib import Path
import numpy, psycopg2, sqlite3  # before the fork, as in a server
from churn.stores.prediction_log import binary_copy, postgres, sqlite
from tests.unit.stores.prediction_log.samples import log, record

urls, spool, durability, rounds = sys.argv[1].split("|"), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
chance = random.Random(1)

def write(number, acknowledge):
    ours = log(urls[number % len(urls)], spool, durability=durability, segment_bytes=16384, ship_s=0.005)
    for count in range(1_000_000):
        name, at = f"{number} {count}", time.monotonic()
        ours.append(record(50 if count % 100 == 99 else 1, request_id=name))
        os.write(acknowledge, f"{name} {at}\\n".encode())
        time.sleep(0.0002)

def one(number):
    reading, acknowledge = os.pipe()
    child = os.fork()
    if not child:
        write(number, acknowledge)
    os.close(acknowledge)
    answer, until = b"", None
    while until is None or time.monotonic() < until:
        if select.select([reading], [], [], 0.005)[0]:
            answer += os.read(reading, 1 << 16)
            until = until or time.monotonic() + chance.uniform(0.005, 0.2)
    os.kill(child, signal.SIGKILL)
    killed = time.monotonic()
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    while more := os.read(reading, 1 << 16):
        answer += more
    os.close(reading)
    return killed, answer.decode().splitlines()

print(json.dumps([one(number) for number in range(rounds)]))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/churn.db"
    found: str = request.getfixturevalue("database_url")
    migrate(found)
    return found


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def eventually(condition: Callable[[], bool], patience_s: float = 60) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def written(url: str) -> Counter[str]:
    """How many rows there are for each request, row numbers aside."""
    statement = "SELECT request_id, count(*), count(DISTINCT row) FROM predictions GROUP BY request_id"
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        rows = connection.execute(statement).fetchall()
    else:
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall()
    connection.close()
    assert all(count == distinct for _, count, distinct in rows), "none twice"
    return Counter({name: count for name, count, _ in rows})


def killed(urls: list[str], spool: Path, durability: str, rounds: int) -> list[tuple[float, dict[str, float]]]:
    """For each round: when the writer was killed, and what it had acknowledged when. All it left is shipped."""
    command = [sys.executable, "-c", KILLER, "|".join(urls), str(spool), durability, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = log(urls[0], spool)
    eventually(lambda: not any(spool.glob("*/*.seg")))
    assert last.close()
    assert (last.status().lost_rows, last.status().damaged_frames) == (0, 0)
    assert not list(spool.rglob("*.seg")), "an empty folder may wait for the next one"
    pairs = [(at, [line.rsplit(" ", 1) for line in lines]) for at, lines in json.loads(done.stdout)]
    return [(at, {name: float(when) for name, when in lines}) for at, lines in pairs]


def test_what_was_acknowledged_survives_95_kills(url: str, spool: Path) -> None:
    """Every third writer meets no database, and the others ship what it left while they write."""
    away = f"postgresql://churn@127.0.0.1:{free_port()}/churn"
    rounds = killed([url, url, away], spool, "durable", ROUNDS)

    found = written(url)
    acknowledged = [name for _, names in rounds for name in names]
    assert len(rounds) == ROUNDS
    assert len(acknowledged) > 10 * ROUNDS, "they were under load"
    assert [name for name in acknowledged if name not in found] == []
    assert len(found) - len(acknowledged) <= ROUNDS, "one a round may be written and not yet acknowledged"
    for name, rows in found.items():
        assert rows == (50 if name.split()[1][-2:] == "99" else 1), name


def test_batched_loses_no_more_than_its_bound(url: str, spool: Path) -> None:
    """The age of the oldest record that is lost. A machine that stalls the writer may spoil a round in ten."""
    rounds = killed([url], spool, "batched", 20)

    found = written(url)
    ages = sorted(
        max((at - when for name, when in names.items() if name not in found), default=0.0) for at, names in rounds
    )
    assert len(found) > 0
    assert ages[len(ages) // 2] > 0, "a kill costs something"
    assert ages[-3] <= FLUSH_S
    assert ages[-1] <= 10 * FLUSH_S


class Proxy:
    """Forwards to PostgreSQL's socket until it is told to drop connections instead."""

    def __init__(self, url: str) -> None:
        self.drop_commits = 0
        self.is_away = False
        self.dropped = 0
        folder = parse_qs(urlsplit(url).query)["host"][0]
        self._upstream = f"{folder}/.s.PGSQL.5432"
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = url.partition("?")[0].replace("@/", f"@127.0.0.1:{self._server.getsockname()[1]}/")
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """No connection is left, and none is accepted."""
        self.is_away = True
        for pair in self._pairs:
            self._cut(*pair)

    def close(self) -> None:
        self.stop()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.is_away:
                    client.close()
                    continue
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(self._upstream)
                self._pairs.append((client, upstream))
                for way in (self._requests, self._answers):
                    threading.Thread(target=way, args=(client, upstream), daemon=True).start()

    def _requests(self, client: socket.socket, upstream: socket.socket) -> None:
        has_inserted = False
        with suppress(OSError):
            while content := client.recv(1 << 16):
                has_inserted |= any(way in content for way in (b"INSERT INTO predictions (", b"COPY predictions ("))
                if b"COMMIT\0" in content and has_inserted and self.drop_commits > 0:
                    self.drop_commits -= 1
                    self.dropped += 1
                    self._cut(client)  # the server commits, and its answer goes nowhere
                    upstream.sendall(content)
                    time.sleep(0.05)
                    break
                upstream.sendall(content)
        self._cut(client, upstream)

    def _answers(self, client: socket.socket, upstream: socket.socket) -> None:
        with suppress(OSError):
            while content := upstream.recv(1 << 16):
                client.sendall(content)
        self._cut(client, upstream)

    @staticmethod
    def _cut(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    migrate(database_url)
    proxy = Proxy(database_url)
    yield proxy
    proxy.close()


def test_a_commit_whose_answer_is_lost_is_not_made_twice(database_url: str, proxy: Proxy, spool: Path) -> None:
    ours = log(proxy.url, spool, durability="durable")
    ours.append(record(request_id="before"))
    eventually(lambda: ours.status().written_rows == 1)
    proxy.drop_commits = 3
    for number in range(200):
        ours.append(record(3, request_id=str(number)))
        time.sleep(0.001)
    eventually(lambda: ours.status().written_rows == 601)
    assert ours.close()

    assert proxy.dropped == 3, "each of them after an insert"
    found = written(database_url)
    assert found == Counter({"before": 1, **{str(number): 3 for number in range(200)}})


def test_a_database_that_goes_and_comes_back_gets_all_in_order(database_url: str, proxy: Proxy, spool: Path) -> None:
    ours = log(proxy.url, spool, segment_bytes=8192)
    sent = 0

    def some(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            ours.append(record(request_id=f"{sent:05d}"))
            sent += 1
            time.sleep(0.0005)

    for _ in range(3):
        some(300)
        proxy.stop()
        some(300)
        eventually(lambda: bool(ours.status().last_error))
        assert ours.status().lag_s >= 0
        proxy.is_away = False
    eventually(lambda: ours.status().written_rows == sent)
    assert ours.status().last_error == ""
    assert ours.close()

    connection = psycopg2.connect(database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT request_id FROM predictions ORDER BY xmin::text::bigint, request_id")
        assert [name for (name,) in cursor.fetchall()] == [f"{number:05d}" for number in range(sent)]
    connection.close()
    assert ours.status().lost_rows == 0
