"""A batch as on a cluster: every step on a disk of its own, and one of them killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.stores.database import migrate
from churn.stores.settings import Settings
from local import runner
from local.runner import StepEvent
from pipelines.batch import batch
from tests.bundles import publish, shop
from tests.servers import postgres_server, s3_kind, s3_server

ROWS = 600


def write(path: Path) -> Path:
    columns = {
        "Kunde": [f"c{row}" for row in range(ROWS)], "Plan": ["basic", "plus"] * (ROWS // 2),
        "region": ["north"] * ROWS, "visits": [1 + row % 50 for row in range(ROWS)],
        "Spend in EUR": [float(row % 400) for row in range(ROWS)], "discount": [5.0] * ROWS, "rating": [4.0] * ROWS,
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    return path


def kill_once(step: str) -> None:
    """Kills a step's process as soon as it is there: the one that writes the step's log."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "fd/1").readlink().match(f"logs/{step}.log"):
                    os.kill(int(process.name), signal.SIGKILL)
                    return
        time.sleep(0.002)


@pytest.mark.parametrize("s3", [s3_kind()])
def test_steps_share_nothing_but_the_stores_and_a_shard_that_is_killed_is_scored_again_alone(
    s3: str, tmp_path: Path
) -> None:
    data, events = write(tmp_path / "customers.parquet"), list[StepEvent]()

    def on_step(event: StepEvent) -> None:
        if event.step.endswith("iteration-1/score") and event.step not in {one.step for one in events}:
            threading.Thread(target=kill_once, args=(event.step,)).start()
        events.append(event)

    with s3_server() as objects, postgres_server() as database:
        bucket = objects.make_bucket("churn")
        shared = {
            **objects.environment,
            "CHURN_OBJECTS": f"{bucket}/objects",
            "CHURN_TRAFFIC": f"{bucket}/traffic",
            "CHURN_DATABASE": database,
        }
        migrate(database)
        settings = Settings.load({**shared, "CHURN_HOME": str(tmp_path / "home")}).prepare()
        publish(settings, shop(), estimator="xgboost")

        def environment(step: str) -> dict[str, str]:
            return {**shared, "CHURN_HOME": str(tmp_path / "homes" / step)}

        done = runner.run(
            batch, {"data": str(data), "model": "shop", "shards": 3, "as_of": "2026-01-31"},
            name="batch", root=tmp_path / "runs", on_step=on_step, environment=environment,
        )  # fmt: skip
        with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*), min(as_of)::text, max(version) FROM scores WHERE model = 'shop'")
            assert cursor.fetchone() == (ROWS, "2026-01-31", 1)
    ends = [(event.step.rpartition("iteration-")[2], event.kind) for event in events if event.step.endswith("/score")]
    assert ends.count(("1/score", "failed")) == 1
    assert sorted(step for step, kind in ends if kind == "finished") == ["0/score", "1/score", "2/score"]
    assert sorted(step for step, kind in ends if kind == "started") == ["0/score", "1/score", "1/score", "2/score"]
    closed = done.step("close-batch").outputs
    assert closed["scores"].uri == f"{bucket}/objects/scores/shop/date=2026-01-31/version=1/"
    assert json.loads(Path(closed["summary"].path).read_text())["summary"]["scored"] == ROWS
