"""As on a cluster: every step has a disk of its own, and they meet in artifacts, S3 and PostgreSQL alone."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg2
import pytest

from local import runner
from pipelines.training import training
from tests.e2e.conftest import customers
from tests.servers import postgres_server, s3_kind, s3_server


def _database(url: str, name: str) -> str:
    """The URL of a new database on the same server."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return url.replace("@/churn?", f"@/{name}?")


@pytest.mark.parametrize("s3", [s3_kind()])
def test_the_pipeline_runs_with_nothing_shared_but_the_stores(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = customers(tmp_path / "customers.csv", 1000)
    homes: dict[str, Path] = {}
    with s3_server() as objects, postgres_server() as database:
        bucket = objects.make_bucket("churn")
        shared = {
            **objects.environment,
            "CHURN_OBJECTS": f"{bucket}/objects",
            "CHURN_TRAFFIC": f"{bucket}/traffic",
            "CHURN_MLFLOW_ARTIFACTS": f"{bucket}/mlflow",
            "CHURN_MLFLOW_URI": _database(database, "mlflows"),
            "CHURN_FEAST_REGISTRY": _database(database, "registrys"),
            "CHURN_ONLINE_STORE": _database(database, "onlines"),
            "CHURN_DATABASE": _database(database, "churns"),
        }

        def environment(step: str) -> dict[str, str]:
            homes[step] = tmp_path / "homes" / step
            return {**shared, "CHURN_HOME": str(homes[step])}

        done = runner.run(
            training, {"data": str(data), "candidates": "logistic-regression"},
            name="isolated", root=tmp_path / "runs", environment=environment,
        )  # fmt: skip
    assert done.status == "SUCCEEDED"
    assert list(homes) == ["ingest", "validate", "transform", "train", "evaluate", "materialise", "promote"]
    promoted = json.loads(Path(done.step("promote").outputs["report"].path).read_text())
    assert promoted["bundle"].startswith(bucket)
    assert done.step("ingest").outputs["snapshot"].uri.startswith(bucket)
    for home in homes.values():
        assert not list(home.glob("objects")), "a step kept to itself what others need"
