"""Reading the SQLite store directly: it may not be there yet, may be written to, and may be replaced."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from churn.domain.contract import Contract
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings
from feature_repo import names
from feature_repo.direct.breaker import Breaker
from feature_repo.direct.errors import BadValueError, StoreAwayError
from feature_repo.direct.reader import Reader, Stored, open_reader
from feature_repo.frozen import freeze
from feature_repo.materialisation import materialise
from feature_repo.registration import apply
from tests.integration.feature_repo.samples import DAY, NOW, Customer, contract, customer, write_source

MADE = contract()
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def awkward(tmp_path: Path) -> Settings:
    """A home whose path has to be quoted in a URI."""
    return Settings.load({"CHURN_HOME": str(tmp_path / "a home? 100% #1")})


def file_of(settings: Settings) -> Path:
    found = sqlite_file(settings.online_store)
    assert found is not None
    return found


def opened(settings: Settings, made: Contract = MADE, deadline: float = 5) -> Reader:
    return open_reader(settings, made, freeze(made), deadline, Breaker(first=0.01, longest=0.01))


def write(settings: Settings, customers: list[Customer], made: Contract = MADE) -> None:
    apply(settings, made, write_source(made, settings.home / f"run{len(list(settings.home.glob('run*')))}", customers))
    materialise(settings, made, NOW)


def kept(settings: Settings, tmp_path: Path, **values: Any) -> bytes:
    """A store of one customer as a file that nobody has open; `settings` are not touched."""
    made = Settings.load({"CHURN_HOME": str(tmp_path / f"made{len(list(tmp_path.glob('made*')))}")})
    write(made, [customer("a", NOW, **values)])
    with closing(sqlite3.connect(file_of(made))) as connection:
        connection.execute("VACUUM INTO ?", [str(made.home / "kept.db")])
    file_of(settings).parent.mkdir(parents=True, exist_ok=True)
    return (made.home / "kept.db").read_bytes()


def place(settings: Settings, content: bytes) -> None:
    """Puts a file in the place of the store's."""
    beside = file_of(settings).with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(file_of(settings))


def tenures(stored: Stored) -> list[float]:
    return [float(value) for value in stored.columns[:, 0]]


def execute(settings: Settings, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(file_of(settings))) as connection, connection:
        connection.execute(statement.format(table=f'"{names.project(MADE)}_{names.raw_view(MADE)}"'), values)


def test_few_and_many_customers_come_as_columns(awkward: Settings, run: Run) -> None:
    write(awkward, [customer(f"c{n}", NOW, tenure=n) for n in range(1100)])
    reader = opened(awkward)
    assert tenures(run(reader.read(["c7", "c3", "c7"]))) == [7, 3, 7]
    ids = [f"c{n}" for n in range(1100)]
    assert tenures(run(reader.read([*ids, "c7"]))) == [*map(float, range(1100)), 7]
    assert np.isnan(run(reader.read([*ids, "nobody"])).seen[-1])
    reader.close()


def test_a_file_that_is_not_there_yet_is_away_until_it_is(settings: Settings, run: Run) -> None:
    reader = opened(settings)
    for _ in range(3):
        with pytest.raises(StoreAwayError):
            run(reader.read(["a"]))
    assert not file_of(settings).exists()  # and is not made by who only reads
    file_of(settings).parent.mkdir(parents=True)
    sqlite3.connect(file_of(settings)).close()
    with pytest.raises(StoreAwayError):
        run(reader.read(["a"]))
    write(settings, [customer("a", NOW, tenure=1)])
    assert tenures(run(reader.read(["a"]))) == [1]
    reader.close()


def test_a_file_that_was_replaced_is_read_anew(settings: Settings, run: Run, tmp_path: Path) -> None:
    reader = opened(settings)
    for tenure in (1, 2):
        place(settings, kept(settings, tmp_path, tenure=tenure))
        assert tenures(run(reader.read(["a"]))) == [tenure]
    file_of(settings).unlink()
    with pytest.raises(StoreAwayError):
        run(reader.read(["a"]))
    reader.close()


def test_a_file_that_is_none_of_sqlite_is_away(settings: Settings, run: Run, tmp_path: Path) -> None:
    whole = kept(settings, tmp_path, tenure=1)
    reader = opened(settings)
    for content in (b"not a database" * 100, whole[:5000], whole[:100] + bytes(len(whole) - 100)):
        place(settings, content)
        with pytest.raises(StoreAwayError):
            run(reader.read(["a"]))
    place(settings, whole)
    assert tenures(run(reader.read(["a"]))) == [1]
    reader.close()


def test_customers_are_whole_while_they_are_written(settings: Settings, run: Run, tmp_path: Path) -> None:
    """Of 2,000 customers each has either yesterday's values or today's, and nobody waits."""
    ids = [f"c{n}" for n in range(2000)]
    write(settings, [customer(id_, NOW - DAY, tenure=1, rn=1) for id_ in ids])
    apply(settings, MADE, write_source(MADE, tmp_path / "today", [customer(id_, NOW, tenure=2, rn=2) for id_ in ids]))
    writer = threading.Thread(target=materialise, args=(settings, MADE, NOW))
    writer.start()
    reader = opened(settings)
    mixed = 0
    while writer.is_alive():
        found = [run(reader.read(ids[::13])), run(reader.read(ids[5::500]))]
        for stored in found:
            assert (stored.columns[:, 0] == stored.columns[:, 3]).all()
            assert ((stored.columns[:, 0] == 2) == (stored.seen == NOW.timestamp())).all()
        run(asyncio.sleep(0.005))
        mixed += len(set(tenures(found[0]))) == 2
    writer.join()
    assert mixed > 0
    assert set(tenures(run(reader.read(ids)))) == {2}
    reader.close()


def test_nobody_waits_in_the_event_loop_for_a_file_that_is_locked(settings: Settings, run: Run, tmp_path: Path) -> None:
    """As a file is that somebody has made without the write-ahead log."""
    place(settings, kept(settings, tmp_path, tenure=1))
    reader, impatient = opened(settings), opened(settings, deadline=0.05)

    async def read() -> None:
        with closing(sqlite3.connect(file_of(settings), isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            waiting = asyncio.ensure_future(reader.read(["a"]))
            with pytest.raises(StoreAwayError):
                await impatient.read(["a"])
            assert not waiting.done()
            writer.execute("COMMIT")
            assert tenures(await waiting) == [1]
        assert tenures(await impatient.read(["a"])) == [1]

    run(read())
    for one in (reader, impatient):
        one.close()


def test_one_customer_that_somebody_else_has_written_spoils_no_other(settings: Settings, run: Run) -> None:
    write(settings, [customer(id_, NOW, tenure=n) for n, id_ in enumerate("abcde")])
    reader = opened(settings)
    for id_, change in (("b", "value = x'1200'"), ("c", "value = 'text'"), ("d", "event_ts = 'yesterday'")):
        where = "value_text IN (?) AND feature_name = 'tenure'"
        execute(settings, f"UPDATE {{table}} SET {change} WHERE {where}", str("abcde".index(id_)))
    with pytest.raises(BadValueError) as refused:
        run(reader.read(list("abcde")))
    assert str(refused.value) == "column tenure: holds no integer (materialise it again)"
    assert refused.value.rows[:2] == (1, 2)
    np.testing.assert_array_equal(refused.value.stored.columns[[0, 4], 0], [0, 4])
    reader.close()
