"""A home in which a customer lies wherever one can: made by the steps, the predictor's log and the demo themselves."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from churn.domain.contract import Contract
from churn.domain.synthetic.snapshot import snapshot
from churn.stores import database, objects
from churn.stores.digests import sha256_of_file
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.pseudonyms import Pseudonyms, entity_key
from churn.stores.prediction_log.reading import Query, read
from churn.stores.prediction_log.records import LogOptions
from churn.stores.settings import Settings
from components.ingest.step import Ingested, ingest
from components.transform.step import Transformed, transform
from components.validate.step import Table, examine
from feature_repo.materialisation import materialise
from feature_repo.names import EVENT_TIMESTAMP
from feature_repo.online import OnlineFeatures
from tests.training import LOGISTIC, telco
from tests.unit.stores.prediction_log.samples import LAYOUT, record

CANARY = "7590-CANARY"
OTHER = "0001-STAYS"
WHEN = datetime(2026, 6, 1, tzinfo=UTC)
DAY_S = 86_400


@dataclass
class Home:
    """A home, and its log."""

    settings: Settings

    @classmethod
    def at(cls, folder: Path, stores: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Home:
        """An empty one, which the environment speaks of from now on."""
        for name in [name for name in os.environ if name.startswith(("CHURN_", "AWS_"))]:
            monkeypatch.delenv(name)
        for name, value in ({"CHURN_HOME": str(folder / "home")} | stores).items():
            monkeypatch.setenv(name, value)
        return cls(Settings.load().prepare())

    @property
    def spool(self) -> Path:
        return self.settings.home / "spool"

    def pseudonym(self, customer: str = CANARY) -> bytes:
        return Pseudonyms.load(self.settings.home / "keys/log").pseudonym(customer)

    def log(self, **options: Any) -> PredictionLog:
        """A predictor's log, which ships at once."""
        if "sqlite" not in self.settings.database:
            database.migrate(self.settings.database)
        usual = {"ship_s": 0.01, "adopt_s": 0.1}
        made = PredictionLog(LogOptions(self.settings.database, self.spool, **(usual | options)))
        made.add_layout(LAYOUT)
        return made

    def predicted(self, *days_ago: float, customers: tuple[str, ...] = (CANARY, OTHER), **changes: Any) -> None:
        """Logs a request for these customers, so many days ago, for each time."""
        log = self.log()
        for days in days_ago:
            named = [self.pseudonym(one) for one in customers]
            log.append(record(len(named), at=time.time() - days * DAY_S, customers=named, **changes))
        assert log.close()

    def logged(self) -> list[dict[str, Any]]:
        """All that is in the log."""
        return [row for batch in read(self.settings.database, Query()) for row in batch.to_pylist()]

    def leave_in_spool(self, rows: int, customers: list[bytes | None], request: str = "") -> None:
        """What a process leaves behind that was killed before it could reach its database."""

        def log() -> None:
            options = LogOptions("sqlite:////nonexistent/churn.db", self.spool, durability="durable")
            ours = PredictionLog(options)
            ours.add_layout(LAYOUT)
            ours.append(record(rows, customers=customers, request_id=request))
            os.kill(os.getpid(), signal.SIGKILL)

        assert ended(log) == -signal.SIGKILL


def ended(work: Callable[[], object]) -> int:
    """How a process of its own ends (below 0: by which signal) that does this; forked, so that it imports nothing."""
    return joined(begun(work))


def begun(work: Callable[[], object]) -> int:
    """The same, and not waited for; its number."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not go on as if it were pytest
        traceback.print_exc()
        os._exit(1)


def joined(child: int) -> int:
    """How it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(owner: type, name: str, work: Callable[[], object], call: int = 1) -> None:
    """Does this in a process that is killed when it is about to call a method for the so manyeth time."""
    whole, calls = getattr(owner, name), itertools.count(1)

    def kill(*given: Any) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*given)

    def die() -> None:
        setattr(owner, name, kill)
        work()

    assert ended(die) == -signal.SIGKILL


@dataclass
class Household(Home):
    """A home after a run of the pipeline, and where that has left what."""

    contract: Contract
    table: Path
    run: Path
    ingested: Ingested
    transformed: Transformed

    @classmethod
    def of(cls, home: Home, folder: Path, count: int = 400) -> Household:
        """After ingest, validation, transformation and materialisation of so many customers."""
        settings = home.settings
        contract = msgspec.structs.replace(telco().named("canary"), candidates=(LOGISTIC,))
        (folder / "mine.yaml").write_text(contract.to_yaml())
        table = folder / "mine.csv"
        pv.write_csv(_customers(count), table)
        run = settings.home / "runs/training-1/artifacts/training"
        ingested = ingest(settings, str(table), str(folder / "mine.yaml"), as_of=WHEN.isoformat())
        made = cls(settings, contract, table, run, ingested, _steps(settings, contract, ingested, run))
        materialise(settings, contract, WHEN, made.transformed.features)
        return made

    def know_customers(self) -> None:
        """Fills the table of customers in the database."""
        database.migrate(self.settings.database)
        statement = 'INSERT INTO customers ("customerID", snapshot_date, tenure) VALUES (:id, :day, 3)'
        from sqlalchemy import text

        with database.reached(self.settings.database) as engine, engine.begin() as connection:
            for customer in (CANARY, OTHER):
                for day in ("2026-01-01 00:00:00+00:00", "2026-02-01 00:00:00+00:00"):
                    connection.execute(text(statement), {"id": customer, "day": day})

    def demonstrate(self) -> Path:
        """The demo's table."""
        file = self.settings.home / "demo/customers.csv"
        file.parent.mkdir()
        shutil.copyfile(self.table, file)
        return file

    def retrain_on_the_log(self) -> str:
        """What retraining leaves of rows that stand under the log's pseudonyms; the address of their features."""
        run = self.settings.home / "runs/retraining-1/artifacts/retraining"
        for name in ("assemble", "transform", "train"):
            (run / name).mkdir(parents=True)
        table = pq.read_table(self.run / "validate/valid")
        keys = [entity_key(self.pseudonym(one), integer=False) for one in table["customer_id"].to_pylist()]
        table = table.set_column(0, "customer_id", pa.array(keys))
        pq.write_table(table, run / "assemble/valid")
        pq.write_table(table.slice(0, 0), run / "assemble/quarantine")
        sources = [one if one == EVENT_TIMESTAMP else self.contract.source_of(one) for one in table.column_names]
        pq.write_table(table.rename_columns(sources), run / "assemble/snapshot")
        digest = sha256_of_file(run / "assemble/snapshot")
        objects.open_store(self.settings).put_file(run / "assemble/snapshot", f"snapshots/{digest}.parquet")
        (run / "assemble/snapshot").unlink()
        valid, entities = run / "assemble/valid", run / "transform/entities"
        done = transform(self.settings, self.contract, valid, entities, self.ingested.as_of, logged=True)
        shutil.copyfile(run / "transform/entities", run / "train/scored")
        return done.features

    def online(self, customer: str = CANARY) -> Any:
        [answer] = OnlineFeatures(self.settings, self.contract).read([customer], now=WHEN)
        return answer

    def parquet(self) -> Iterator[tuple[str, pa.Table]]:
        """Every table there is: in the object store, on whatever it lies, and below the home."""
        store = objects.open_store(self.settings)
        for address in store.list():
            if address.endswith(".parquet"):
                yield address, pq.read_table(store.fetch(address))
        for path in self.settings.home.rglob("*"):
            if path.is_file() and path.read_bytes()[:4] == b"PAR1":
                yield str(path), pq.read_table(path)

    def mentions(self, customer: str = CANARY) -> list[str]:
        """What says the id anywhere in a value or, not compressed, anywhere at all."""
        said = [where for where, table in self.parquet() if customer in str(table.to_pydict().values())]
        below = [path for path in self.settings.home.rglob("*") if path.is_file()]
        return said + [str(path) for path in below if customer.encode() in path.read_bytes()]


def _customers(count: int) -> pa.Table:
    """Generated customers; one has the canary's id, and one more row of theirs is spoiled."""
    made = snapshot(count, seed=3)
    ids = made["customerID"].to_pylist()
    ids[5], ids[6], ids[7] = CANARY, CANARY, OTHER
    tenure = made["tenure"].cast(pa.string()).to_pylist()
    tenure[6] = "soon"
    made = made.set_column(made.column_names.index("customerID"), "customerID", pa.array(ids))
    return made.set_column(made.column_names.index("tenure"), "tenure", pa.array(tenure))


def _steps(settings: Settings, contract: Contract, ingested: Ingested, run: Path) -> Transformed:
    """What the steps behind ingest leave in the run's folder."""
    for name in ("ingest", "validate", "transform", "train"):
        (run / name).mkdir(parents=True)
    (run / "ingest/contract_file").write_text(contract.to_yaml())
    snapshot_of = {"artifacts": [{"uri": ingested.address, "metadata": {"source": ingested.source}}]}
    (run / "ingest/executor_output.json").write_bytes(msgspec.json.encode({"artifacts": {"snapshot": snapshot_of}}))
    table = Table(objects.fetch(settings, ingested.address), ingested.source, ingested.as_of)
    seen = examine(contract, table, run / "validate/valid", run / "validate/quarantine")
    assert seen.quarantined == 1
    done = transform(settings, contract, run / "validate/valid", run / "transform/entities", ingested.as_of)
    scored = pq.read_table(run / "transform/entities")
    scored = scored.append_column("prediction", pa.array([0.5] * len(scored)))
    pq.write_table(scored, run / "train/scored")
    return done
