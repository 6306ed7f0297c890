"""A silent MLflow client that meets its database whole. `import mlflow` takes a second: it happens in here."""

from __future__ import annotations

import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import urllib3

from churn.domain.errors import UserError
from churn.stores import database, files
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.retry import PATIENT
from churn.stores.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""What MLflow reads when it is imported, where nothing else is set."""


def connect(settings: Settings) -> MlflowClient:
    """A client of the settings' tracking server and registry. Raises UserError when it does not answer."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    _create_database(settings)
    _require_answer(settings.mlflow_uri)
    try:
        return MlflowClient(settings.mlflow_uri, settings.mlflow_uri)
    except error() as problem:  # another version's schema
        raise UserError(str(problem), where=redacted(settings.mlflow_uri)) from problem


def _require_answer(uri: str) -> None:
    """Asks once before MLflow does, which would try for minutes and then quote the password."""
    if not uri.startswith("http"):
        with database.reached(uri, "CHURN_MLFLOW_URI"):
            return
    try:
        PATIENT.run(lambda: urllib3.request("HEAD", uri, timeout=10, retries=False), _is_silence)
    except urllib3.exceptions.HTTPError as silence:
        problem = f"MLflow does not answer ({type(silence).__name__})"
        raise UserError(problem, where=redacted(uri), remedy="check CHURN_MLFLOW_URI") from silence


def _is_silence(found: Exception) -> bool:
    return isinstance(found, urllib3.exceptions.HTTPError)


def error() -> type[Exception]:
    """The class of MLflow's exceptions."""
    from mlflow.exceptions import MlflowException

    return MlflowException


def _create_database(settings: Settings) -> None:
    """Lets MLflow migrate a new SQLite file under another name: a process killed meanwhile leaves no half a schema."""
    target = sqlite_file(settings.mlflow_uri)
    if target is None or target.exists():
        return
    from mlflow import MlflowClient

    with files.locked(target.with_name(f".{target.name}.lock")), files.staged(target.parent / ".staging") as folder:
        if not target.exists():
            folder.mkdir()
            temporary = folder / f"{uuid.uuid4().hex}.db"
            with _unsynced():
                MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
            files.publish(temporary, target)


@contextmanager
def _unsynced() -> Iterator[None]:
    """Without waiting for the disk after each of the hundred migrations: seconds on a busy one."""
    from sqlalchemy import Engine, event

    def relax(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)
