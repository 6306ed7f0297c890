"""Reading Redis directly while it dies, hangs, refuses, or is not Redis at all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import uvloop

from churn.stores.settings import Settings
from feature_repo.direct.breaker import Breaker
from feature_repo.direct.errors import BadIdError, BadValueError, StoreAwayError
from feature_repo.direct.reader import Reader, Stored, open_reader
from feature_repo.direct.redis_link import Address
from feature_repo.frozen import freeze
from tests.certificates import Authority
from tests.integration.feature_repo.lives import RedisProcess, between, pretender, put
from tests.integration.feature_repo.samples import contract

MADE, INTEGER = contract(), contract(key="integer")
NOW = int(time.time())
SECRETS = ("hunter2", "anna-karenina")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path)
    process.start()
    yield process
    process.kill()


def opened(url: str, made: Any = MADE, deadline: float = 5, breaker: Breaker | None = None) -> Reader:
    settings = Settings.load({"CHURN_ONLINE_STORE": url})
    return open_reader(settings, made, freeze(made), deadline, breaker)


def impatient(url: str) -> Reader:
    return opened(url, deadline=0.1, breaker=Breaker(failures=3, first=0.1, longest=0.2))


def fill(url: str, count: int = 3, made: Any = MADE) -> None:
    """Customers 0 to `count`; the tenure is the id."""
    with redis.Redis.from_url(url) as client:
        for n in range(count):
            put(client, freeze(made), n, NOW, {"tenure": n, "amount_y_": n / 7, "plan": "it's all"})


def tenures(stored: Stored) -> list[float]:
    return [float(value) for value in stored.columns[:, 0]]


async def fails(reader: Reader, times: int = 1) -> StoreAwayError:
    for _ in range(times):
        with pytest.raises(StoreAwayError) as away:
            await reader.read(["1"])
    return away.value


async def recovers(reader: Reader) -> Stored:
    """Asks until there is an answer."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await reader.read(["1"])
            except StoreAwayError as away:
                await asyncio.sleep(min(away.retry_after, 0.05))


def test_customers_come_as_columns(server: RedisProcess, run: Run) -> None:
    fill(server.url)
    reader = opened(server.url)
    stored = run(reader.read(["2", "nobody", 0, "2"]))
    nan = np.nan
    expected = [[2, nan, 2 / 7, nan, 2], [nan] * 5, [0, nan, 0, nan, 2], [2, nan, 2 / 7, nan, 2]]
    np.testing.assert_array_equal(stored.columns, expected)
    np.testing.assert_array_equal(stored.seen, [NOW, nan, NOW, NOW])
    assert (stored.columns.dtype, stored.seen.dtype) == (np.float64, np.float64)
    assert run(reader.read([])).columns.shape == (0, 5)
    reader.close()


def test_integer_keys_are_read_from_numbers_and_from_text(server: RedisProcess, run: Run) -> None:
    with redis.Redis.from_url(server.url) as client:
        put(client, freeze(INTEGER), -(2**60), NOW, {"tenure": 4})
    reader = opened(server.url, INTEGER)
    assert tenures(run(reader.read([-(2**60), str(-(2**60))]))) == [4, 4]
    with pytest.raises(BadIdError) as refused:
        run(reader.read(["x", -(2**60), 5, ""]))
    assert refused.value.rows == (0, 3)
    np.testing.assert_array_equal(refused.value.stored.columns[:, 0], [np.nan, 4, np.nan, np.nan])
    reader.close()


def test_a_hundred_customers_are_one_round_trip(server: RedisProcess, run: Run) -> None:
    """Nothing comes back before all has gone out; who is named twice is asked for once."""
    fill(server.url, 100)

    async def ask() -> Stored:
        async with between(server.port, held_until=100) as url:
            reader = opened(url)
            stored = await reader.read([str(n) for n in range(100)] * 2)
            reader.close()
            return stored

    assert tenures(run(ask())) == [float(n) for n in range(100)] * 2
    with redis.Redis.from_url(server.url) as client:
        assert client.info("commandstats")["cmdstat_hmget"]["calls"] == 100  # type: ignore[index]


def test_thousands_of_customers_leave_their_turn_to_others(server: RedisProcess, run: Run) -> None:
    fill(server.url, 3000)
    reader = opened(server.url)

    async def ask() -> None:
        many = asyncio.ensure_future(reader.read(range(3000)))
        await asyncio.sleep(0)
        answered = 0
        while not many.done():
            assert tenures(await reader.read(["7"])) == [7]
            answered += 1
        assert tenures(await many) == list(map(float, range(3000)))
        assert answered > 3

    run(ask())
    reader.close()


@pytest.mark.parametrize("crumbs", [False, True])
def test_each_caller_gets_their_own(server: RedisProcess, run: Run, crumbs: bool) -> None:
    """Replies come in pieces, at the pleasure of the network; some callers have gone before theirs does."""
    fill(server.url, 200)

    async def ask() -> list[Any]:
        async with between(server.port, crumbs=crumbs) as url:
            reader = opened(url, deadline=20)
            calls = [asyncio.ensure_future(reader.read([str(n), str((n * 7) % 200)])) for n in range(200)]
            await asyncio.sleep(0)
            for call in calls[::10]:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            reader.close()
            return answers

    for n, answer in enumerate(run(ask())):
        if n % 10 == 0:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert tenures(answer) == [n, (n * 7) % 200]


def test_redis_dies_and_comes_back(server: RedisProcess, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    fill(server.url)
    reader = impatient(server.url)

    async def live() -> None:
        assert tenures(await reader.read(["1"])) == [1]
        server.kill()
        away = await fails(reader, 20)
        assert 0 < away.retry_after <= 0.2
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(fill, server.url)
        assert tenures(await recovers(reader)) == [1]

    run(live())
    reader.close()
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "the online store is away",
        "the online store answers again",
    ]


def test_a_restart_between_two_reads_is_not_noticed(server: RedisProcess, run: Run) -> None:
    reader = impatient(server.url)

    async def live() -> None:
        fill(server.url)
        await reader.warm()
        assert tenures(await reader.read(["1"])) == [1]
        server.kill()
        server.start()
        fill(server.url)
        assert tenures(await reader.read(["1"])) == [1]  # the loop has not even heard yet that the connection is gone

    run(live())
    reader.close()


def test_redis_that_closes_idle_connections_costs_no_read(tmp_path: Path, run: Run) -> None:
    server = RedisProcess(tmp_path, "--timeout", "1")
    server.start()
    fill(server.url)
    reader = impatient(server.url)

    async def live() -> None:
        for _ in range(2):
            assert tenures(await reader.read(["1"])) == [1]
            await asyncio.sleep(1.6)

    run(live())
    reader.close()
    server.kill()


def test_redis_killed_again_and_again_under_reads(server: RedisProcess, run: Run) -> None:
    """Every read ends in the right answer or in StoreAwayError."""
    fill(server.url, 50)
    reader = impatient(server.url)
    over = threading.Event()

    def misfortune() -> None:
        for _ in range(6):
            time.sleep(0.1)
            server.kill()
            time.sleep(0.05)
            server.start()
            fill(server.url, 50)
        over.set()

    async def client(number: int) -> list[int]:
        right, away = 0, 0
        while not over.is_set():
            try:
                (tenure,) = tenures(await reader.read([str(number)]))
            except StoreAwayError:
                away += 1
                await asyncio.sleep(0.01)
            else:
                assert tenure == number or np.isnan(tenure)  # not yet filled again
                right += 1
                await asyncio.sleep(0)
        return [right, away]

    async def live() -> list[list[int]]:
        trouble = asyncio.ensure_future(asyncio.to_thread(misfortune))
        counts = await asyncio.gather(*(client(number) for number in range(20)))
        await trouble
        assert tenures(await recovers(reader)) == [1]
        return counts

    counts = np.array(run(live()))
    assert (counts > 0).all()
    reader.close()


def test_redis_that_hangs_is_left_alone_until_it_wakes(server: RedisProcess, run: Run) -> None:
    fill(server.url)
    reader = impatient(server.url)

    async def live() -> None:
        assert tenures(await reader.read(["1"])) == [1]
        server.hang()
        for _ in range(3):
            assert isinstance((await fails(reader)).__cause__, TimeoutError)
        assert (await fails(reader)).__cause__ is None  # the breaker's own: Redis was not asked
        server.wake()
        assert tenures(await recovers(reader)) == [1]

    run(live())
    reader.close()


@pytest.mark.parametrize("turns", [1, 2])
def test_that_the_loop_stood_still_is_not_held_against_redis(server: RedisProcess, run: Run, turns: int) -> None:
    """Before the question has gone out, or before the reply was looked at."""
    fill(server.url)
    reader = opened(server.url, deadline=0.1)

    async def live() -> None:
        await reader.warm()
        waiting = asyncio.ensure_future(reader.read(["1"]))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - as a large batch does that is answered in the loop
        assert tenures(await waiting) == [1]

    run(live())
    reader.close()


def test_a_connection_that_hangs_is_replaced_although_others_still_wait_on_it(server: RedisProcess, run: Run) -> None:
    fill(server.url)
    reader = opened(server.url, deadline=0.5)

    async def live() -> None:
        await reader.read(["1"])
        server.hang()
        first = asyncio.ensure_future(reader.read(["1"]))
        await asyncio.sleep(0.3)
        second = asyncio.ensure_future(reader.read(["2"]))  # has 0.3 s left when the first gives up
        with pytest.raises(StoreAwayError):
            await first
        third = asyncio.ensure_future(reader.read(["0"]))
        await asyncio.sleep(0.05)
        server.wake()
        assert [tenures(await second), tenures(await third)] == [[2], [0]]

    run(live())
    reader.close()


def test_redis_with_a_user_a_password_and_a_database(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisProcess(tmp_path, "--requirepass", "hunter2")
    server.start()
    at = f"127.0.0.1:{server.port}"
    with redis.Redis(port=server.port, password="hunter2", db=3) as client:
        client.acl_setuser("reader", enabled=True, passwords=["+hunter2/@,"], categories=["+@all"], keys=["*"])
        put(client, freeze(MADE), "1", NOW, {"tenure": 1})

    async def live() -> None:
        for url in (f"redis://:hunter2@{at}/3", f"redis://reader:hunter2%2F%40%2C@{at}/3"):
            reader = opened(url)
            assert tenures(await reader.read(["1"])) == [1]
            reader.close()
        for url in (
            f"redis://{at}/3",
            f"redis://:hunter23@{at}/3",
            f"redis://reader:hunter23@{at}/3",
            f"redis://:hunter2@{at}/99",
        ):
            reader = opened(url)
            await fails(reader, 6)
            reader.close()

    run(live())
    server.kill()
    causes = [message.rpartition(": ")[2] for message in caplog.messages]
    assert causes == ["NOAUTH", "WRONGPASS", "WRONGPASS", "ERR"]
    assert not any(secret in caplog.text for secret in SECRETS)


def test_redis_over_tls(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    certificate, key = authority.issue(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    files = [
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(key),
        "--tls-ca-cert-file",
        str(tmp_path / "ca.crt"),
    ]
    server = RedisProcess(tmp_path, *files, "--tls-auth-clients", "no", tls=True)
    try:
        server.start()
        with redis.Redis(port=server.port, ssl=True, ssl_ca_certs=str(tmp_path / "ca.crt")) as client:
            put(client, freeze(MADE), "1", NOW, {"tenure": 1})
        url = f"rediss://127.0.0.1:{server.port}"
        distrusting = opened(url)
        run(fails(distrusting))
        distrusting.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        reader = opened(url)
        assert tenures(run(reader.read(["1"]))) == [1]
        reader.close()
    finally:
        server.kill()


def never_end(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError):
        client.eval("while true do end", 0)


def test_redis_that_is_busy_with_a_script_is_away(server: RedisProcess, run: Run) -> None:
    fill(server.url)
    reader = opened(server.url)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("lua-time-limit", 20)
        script = threading.Thread(target=never_end, args=(client,))
        script.start()

        async def live() -> None:
            await asyncio.sleep(0.1)
            assert str((await fails(reader)).__cause__) == "BUSY"
            await asyncio.to_thread(client.script_kill)
            assert tenures(await recovers(reader)) == [1]

        run(live())
        script.join()
    reader.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\x00\xff\x00\xff",
        b"+OK\r\n",
        b"$-1\r\n",
        b"*1\r\n$1\r\na\r\n",
        b"*6\r\n" + b"$-1\r\n" * 6 + b"+surplus\r\n" * 3 + b"?",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        b"-ERR unknown command 'HMGET', with args beginning with: 'anna-karenina' 'hunter2'\r\n",
        b"-anna-karenina hunter2\r\n",
    ],
)
def test_what_answers_anything_else_is_away(answer: bytes, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> None:
        async with pretender(answer) as url:
            reader = opened(url.replace("//", "//:hunter2@") if b"HTTP" in answer else url)
            if not answer.endswith(b"?"):
                await fails(reader, 8)
            else:  # what comes unasked ends the connection, not the reader
                assert np.isnan((await reader.read(["anna-karenina"])).seen).all()
                await asyncio.sleep(0.05)
                assert np.isnan((await reader.read(["anna-karenina"])).seen).all()
            reader.close()

    run(ask())
    assert len(caplog.messages) <= 1
    assert not any(secret in caplog.text for secret in SECRETS)


def test_what_hangs_up_is_away(run: Run) -> None:
    async def ask() -> None:
        for last_words in (b"", b"*6\r\n$-1\r\n$-1"):

            def hang_up(writer: asyncio.StreamWriter, last_words: bytes = last_words) -> None:
                writer.write(last_words)
                writer.close()

            async with pretender(hang_up) as url:
                reader = opened(url)
                assert isinstance((await fails(reader)).__cause__, ConnectionError)
                reader.close()

    run(ask())


def test_what_is_pushed_is_no_reply(run: Run) -> None:
    async def ask() -> None:
        async with pretender(b">2\r\n+invalidate\r\n*0\r\n*6\r\n" + b"$-1\r\n" * 6) as url:
            reader = opened(url)
            assert np.isnan((await reader.read(["1", "2"][:1])).seen).all()
            reader.close()

    run(ask())


def test_one_customer_that_somebody_else_has_written_spoils_no_other(server: RedisProcess, run: Run) -> None:
    fill(server.url, 3)
    online = freeze(MADE)
    stamp = f"_ts:{online.view}"
    with redis.Redis.from_url(server.url) as client:
        client.set(put(client, online, "text", NOW, {}), b"")  # a type that HMGET refuses
        put(client, online, "gold", NOW, {"plan": "gold"})
        client.hset(put(client, online, "undated", NOW, {}), stamp, b"yesterday")
        put(client, online, "stale", NOW - 90 * 86_400, {"plan": "gold"})
    reader = opened(server.url)
    with pytest.raises(BadValueError) as refused:
        run(reader.read(["1", "gold", "2", "text", "stale", "gold", "undated"]))
    assert str(refused.value).startswith("column plan: unknown category 'gold' (known: basic, ")
    assert refused.value.rows == (1, 3, 5, 6)
    stored = refused.value.stored
    np.testing.assert_array_equal(stored.columns[:, 0], [1, np.nan, 2] + [np.nan] * 4)
    assert list(stored.stale) == [False] * 4 + [True] + [False] * 2
    for _ in range(10):  # and does not look like a store that is away
        with pytest.raises(BadValueError):
            run(reader.read(["text"]))
    assert tenures(run(reader.read(["1"]))) == [1]
    reader.close()


def test_a_reader_that_was_closed_tells_who_still_waits(server: RedisProcess, run: Run) -> None:
    fill(server.url)
    reader = opened(server.url)

    async def live() -> None:
        await reader.read(["1"])
        server.hang()
        waiting = asyncio.ensure_future(reader.read(["1"]))
        await asyncio.sleep(0.05)
        reader.close()
        with pytest.raises(StoreAwayError):
            await waiting
        await fails(reader)

    run(live())


def test_warming_a_store_that_is_away_is_no_failure(
    run: Run, server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    reader = opened(server.url)
    run(reader.warm())
    assert caplog.messages[0].startswith("the online store does not answer yet: ")
    server.start()
    fill(server.url)
    assert tenures(run(reader.read(["1"]))) == [1]
    reader.close()


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Address.of("redis://:hunter2@localhost/1"))
