"""Tables that lie on real servers, and snapshots that are put there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from minio import Minio

from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.settings import Settings
from components.ingest.step import ingest
from tests.integration.ingest.conftest import ROWS
from tests.servers import S3Server

NAMES = ["Customer No", "plan", "visits", "gone"]


@pytest.fixture
def client(s3: S3Server) -> Minio:
    """S3 as the user sees it."""
    host = s3.endpoint.removeprefix("http://")
    return Minio(host, s3.access_key, s3.secret_key, secure=False, region="us-east-1")


@pytest.fixture
def remote(s3: S3Server, bucket: str, tmp_path: Path) -> Settings:
    """Settings of a step whose objects lie in a bucket."""
    return Settings.load({"CHURN_HOME": str(tmp_path / "home"), "CHURN_OBJECTS": f"{bucket}/churn", **s3.environment})


@pytest.fixture
def customers(postgres: str) -> Iterator[str]:
    """The address of a database with a schema `crm` and a table `Customers` of typed rows, in no useful order."""
    connection = psycopg2.connect(postgres)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA crm")
        cursor.execute('CREATE TABLE crm."Customers" ("Customer No" text, plan text, visits integer, gone text)')
        cursor.executemany('INSERT INTO crm."Customers" VALUES (%s, %s, %s, %s)', ROWS)
    yield postgres
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '10s'")  # a reader that was not closed is a fault, not a reason to wait
        cursor.execute("DROP SCHEMA crm CASCADE")
    connection.close()


def test_a_csv_and_a_parquet_object_are_ingested_into_a_bucket(
    remote: Settings, bucket: str, client: Minio, contract: Path, table: Path
) -> None:
    name = bucket.removeprefix("s3://")
    typed = table.with_suffix(".parquet")
    pq.write_table(pa.table(dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))), typed)
    for path in (table, typed, contract):
        client.fput_object(name, f"in/{path.name}", str(path))

    text = ingest(remote, f"{bucket}/in/{table.name}", f"{bucket}/in/{contract.name}")
    done = ingest(remote, f"{bucket}/in/{typed.name}", f"{bucket}/in/{contract.name}")

    assert done.address == f"{bucket}/churn/snapshots/{done.digest}.parquet"
    assert done.source == f"{bucket}/in/customers.parquet"
    assert pq.read_table(objects.fetch(remote, done.address)).to_pydict()["visits"] == [row[2] for row in ROWS]
    assert pq.read_table(objects.fetch(remote, text.address)).to_pydict()["visits"] == [str(row[2]) for row in ROWS]


def test_the_same_object_again_is_not_uploaded_again(
    remote: Settings, bucket: str, client: Minio, contract: Path, table: Path
) -> None:
    first = ingest(remote, str(table), str(contract))
    key = first.address.removeprefix(f"{bucket}/")
    written = client.stat_object(bucket.removeprefix("s3://"), key).last_modified
    time.sleep(1.1)  # S3 tells times in seconds
    second = ingest(remote, str(table), str(contract))

    assert second.address == first.address
    assert client.stat_object(bucket.removeprefix("s3://"), key).last_modified == written


def test_an_object_or_a_bucket_that_is_not_there_is_named(remote: Settings, bucket: str, contract: Path) -> None:
    with pytest.raises(UserError, match=f"{bucket}/absent.csv: there is no such object"):
        ingest(remote, f"{bucket}/absent.csv", str(contract))
    with pytest.raises(UserError, match="the bucket 'no-such-bucket' does not exist"):
        ingest(remote, "s3://no-such-bucket/t.csv", str(contract))


def test_a_faulty_object_is_named_by_its_address(
    remote: Settings, bucket: str, client: Minio, contract: Path, table: Path
) -> None:
    table.write_text(table.read_text() + "c99,plus\n")
    client.fput_object(bucket.removeprefix("s3://"), "t.csv", str(table))

    with pytest.raises(UserError, match=rf"{bucket}/t.csv, line 42: 2 values"):
        ingest(remote, f"{bucket}/t.csv", str(contract))


def test_a_table_of_a_database_is_ingested_with_its_types_in_a_fixed_order(
    settings: Settings, customers: str, contract: Path
) -> None:
    done = ingest(settings, f"{customers}#crm.Customers", str(contract))
    connection = psycopg2.connect(customers)
    with connection, connection.cursor() as cursor:  # moves rows about, and leaves their values as they are
        cursor.execute('UPDATE crm."Customers" SET visits = visits WHERE visits % 3 = 0')
    connection.close()
    again = ingest(settings, f"{customers}#crm.Customers", str(contract))

    rows = pq.read_table(done.address)
    assert rows.schema.types == [pa.string(), pa.string(), pa.int64(), pa.string()]
    assert sorted(zip(*rows.to_pydict().values(), strict=True)) == sorted(ROWS)
    assert again.digest == done.digest
    assert "sesame" not in done.source


def test_a_query_is_ingested(settings: Settings, customers: str, contract: Path) -> None:
    query = "SELECT *, visits > 5 AS often FROM crm.\"Customers\" WHERE gone = 'yes' ORDER BY visits DESC;"
    done = ingest(settings, f"{customers}#{query}", str(contract))

    assert pq.read_table(done.address)["visits"].to_pylist() == list(range(39, -1, -3))


def test_the_configured_database_needs_no_password_in_the_address(
    customers: str, contract: Path, tmp_path: Path
) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "home"), "CHURN_DATABASE": customers})
    done = ingest(settings, "database://#crm.Customers", str(contract))

    assert (done.rows, done.source) == (40, "database://#crm.Customers")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("crm.Absent", "does not exist"),
        ("DELETE FROM crm.Customers", "failed"),
        ('SELECT * FROM crm."Customers" WHERE false', "no rows"),
        ('SELECT plan, visits, gone FROM crm."Customers"', "'Customer No' is missing"),
        ('SELECT *, 1 AS plan FROM crm."Customers"', "twice"),
    ],
)
def test_a_query_that_gives_no_such_table_is_refused_without_the_password(
    query: str, words: str, settings: Settings, customers: str, contract: Path
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        ingest(settings, f"{customers}#{query}", str(contract))
    assert "sesame" not in str(caught.value)
