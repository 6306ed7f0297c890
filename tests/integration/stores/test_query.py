from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime

import psycopg2
import pyarrow as pa
import pytest

from churn.domain.errors import UserError
from churn.stores.query import stream_query
from tests.servers import free_port


def _table(url: str, query: str, **options: int) -> pa.Table:
    return pa.Table.from_batches(list(stream_query(url, query, **options)))


def _columns(url: str, query: str) -> dict[str, tuple[pa.DataType, list[object]]]:
    table = _table(url, query)
    return {name: (table.schema.field(name).type, table[name].to_pylist()) for name in table.column_names}


def test_types_come_as_arrows_and_nulls_stay_nulls(postgres: str) -> None:
    query = """
        SELECT 1::smallint AS small, 2 AS int, 9007199254740993 AS big, true AS flag, 1.5::real AS real,
               0.1::float8 AS float, 'x' AS text, 'y'::varchar AS varchar, '29.85'::numeric(8, 2) AS money,
               5::numeric(3, 0) AS whole, 1e15::numeric AS any, DATE '2026-01-31' AS day,
               TIMESTAMP '2026-01-31 12:00' AS moment, TIMESTAMPTZ '2026-01-31 12:00+02' AS instant,
               'a'::"char" AS letter
        UNION ALL
        SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL::numeric(3, 0), NULL, NULL, NULL, NULL, NULL
    """

    assert _columns(postgres, query) == {
        "small": (pa.int64(), [1, None]),
        "int": (pa.int64(), [2, None]),
        "big": (pa.int64(), [9007199254740993, None]),
        "flag": (pa.bool_(), [True, None]),
        "real": (pa.float64(), [1.5, None]),
        "float": (pa.float64(), [0.1, None]),
        "text": (pa.string(), ["x", None]),
        "varchar": (pa.string(), ["y", None]),
        "money": (pa.float64(), [29.85, None]),
        "whole": (pa.int64(), [5, None]),
        "any": (pa.float64(), [1e15, None]),
        "day": (pa.date32(), [date(2026, 1, 31), None]),
        "moment": (pa.timestamp("us"), [datetime.fromisoformat("2026-01-31T12:00"), None]),
        "instant": (pa.timestamp("us", tz="UTC"), [datetime(2026, 1, 31, 10, tzinfo=UTC), None]),
        "letter": (pa.string(), ["a", None]),
    }


def test_rows_come_in_order_and_in_batches(postgres: str) -> None:
    batches = list(stream_query(postgres, "SELECT * FROM generate_series(1, 25) AS n", batch_rows=10))

    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(1, 26))


def test_a_result_without_rows_still_has_its_schema(postgres: str) -> None:
    table = _table(postgres, "SELECT 1 AS a, 'x'::text AS b WHERE false")

    assert (table.num_rows, table.schema) == (0, pa.schema({"a": pa.int64(), "b": pa.string()}))


def test_a_percent_sign_a_colon_and_a_last_semicolon_are_plain_sql(postgres: str) -> None:
    assert _columns(postgres, "SELECT 'a:b' LIKE '%:b' AS found, '%s' AS mark ; \n") == {
        "found": (pa.bool_(), [True]),
        "mark": (pa.string(), ["%s"]),
    }


MEMORY = """
import sys
from tests.memory import peak_kb
from churn.stores.query import stream_query
before = None
query = f"SELECT n, repeat('x', 200) AS wide FROM generate_series(1, {sys.argv[2]}) AS n"
for batch in stream_query(sys.argv[1], query):
    if before is None:
        before = peak_kb()
print(peak_kb() - before)
"""


def test_memory_does_not_grow_with_the_result(postgres: str) -> None:
    """400,000 rows of 200 characters are 80 MB; beyond the first batch they may take no third of it."""
    command = [sys.executable, "-c", MEMORY, postgres, "400000"]
    grown_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert grown_kib < 24_000


@pytest.fixture
def table(database_url: str) -> Iterator[str]:
    """The URL of a database with a table `kept` of one row."""
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 1 AS n")
    yield database_url
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM kept",
        "WITH gone AS (DELETE FROM kept RETURNING n) SELECT * FROM gone",
        "SELECT 1; DELETE FROM kept",
        "SELECT 1; COMMIT; DELETE FROM kept",
    ],
)
def test_a_query_that_would_write_is_refused(table: str, query: str) -> None:
    with pytest.raises(UserError, match="give one SELECT"):
        _table(table, query)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT * FROM nowhere", '"nowhere" does not exist'),
        ("SELEC 1", "syntax error"),
        ("", "empty query"),
        ("SELECT 1 / (n - 3) FROM generate_series(1, 5) AS n", "division by zero"),
    ],
)
def test_sql_that_fails_is_told_in_the_servers_words(postgres: str, query: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        _table(postgres, query, batch_rows=1)

    assert "sesame" not in str(caught.value)


def test_a_query_that_takes_too_long_is_ended(postgres: str) -> None:
    with pytest.raises(UserError, match=r"longer than 0\.2 s.*CHURN_STATEMENT_TIMEOUT"):
        list(stream_query(postgres, "SELECT pg_sleep(60)", timeout_s=0.2))


def test_a_column_named_twice_is_refused(postgres: str) -> None:
    with pytest.raises(UserError, match="column 'n': stands twice"):
        _table(postgres, "SELECT 1 AS n, 2 AS n")


@pytest.mark.parametrize("value", ["'{}'::json", "ARRAY[1, 2]", "'\\x00'::bytea"])
def test_a_type_no_table_of_customers_can_hold_is_refused(postgres: str, value: str) -> None:
    with pytest.raises(UserError, match=r"column 'odd': .*cast it to text"):
        _table(postgres, f"SELECT {value} AS odd")


def test_a_whole_number_no_float_holds_is_refused(postgres: str) -> None:
    with pytest.raises(UserError, match=r"column 'id': 9007199254740993 is beyond 2\^53"):
        _table(postgres, "SELECT 9007199254740993::numeric AS id")


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    url = f"postgresql://churn:hunter2@127.0.0.1:{free_port()}/churn"

    with pytest.raises(UserError, match=r"churn:\*\*\*@127.*Connection refused") as caught:
        _table(url, "SELECT 1")

    assert "hunter2" not in str(caught.value)


def test_a_wrong_password_is_told_without_it(postgres: str) -> None:
    with pytest.raises(UserError, match="password authentication failed") as caught:
        _table(postgres.replace("sesame", "hunter2"), "SELECT 1")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://churn@h/x?password=hunter2&nonsense=1",
        "postgresql://churn:hunter2/x@h/db",
        "postgresql://churn:hunter%32@127.0.0.1:1/db",
        "postgresql://churn:p@hunter2@127.0.0.1:1/db",
    ],
)
def test_an_address_that_cannot_be_read_is_told_without_the_password(url: str) -> None:
    with pytest.raises(UserError, match=r"\*\*\*") as caught:
        _table(url, "SELECT 1")

    assert "hunter2" not in str(caught.value)


def test_another_databases_address_is_refused() -> None:
    with pytest.raises(UserError, match="no address of a known kind"):
        _table("mysql://churn@h/x", "SELECT 1")
