"""Where tuning remembers its trials: Optuna in SQLite on one machine, or beside the other tables in PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from churn.stores import database, files
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings

if TYPE_CHECKING:
    import optuna

_SCHEMA = "tuning"  # Optuna keeps a table of its own migrations, under the name that ours have


@contextmanager
def open_study(settings: Settings, name: str, direction: Literal["minimize", "maximize"]) -> Iterator[optuna.Study]:
    """The study of this name, old or new, for this process alone; another that wants it waits.

    Trials of a process that died are marked as failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _alone(settings, name):
        with _alone(settings, "storage"):
            storage = _storage(settings)
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
            for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _storage(settings: Settings) -> optuna.storages.RDBStorage:
    from optuna.storages import RDBStorage

    if _is_local(settings):
        return RDBStorage(f"sqlite:///{settings.home / 'tuning.db'}")
    from sqlalchemy import text

    engine = database.engine(settings.database)
    with engine.begin() as connection:
        connection.execute(text(f"create schema if not exists {_SCHEMA}"))
    engine.dispose()
    return RDBStorage(settings.database, {"connect_args": {"options": f"-csearch_path={_SCHEMA}"}})


@contextmanager
def _alone(settings: Settings, name: str) -> Iterator[None]:
    """Held by one process at a time, and let go when it dies."""
    key = hashlib.sha256(f"{_SCHEMA}/{name}".encode())
    if _is_local(settings):
        with files.locked(Path(settings.home, "locks", f"{_SCHEMA}-{key.hexdigest()[:16]}")):
            yield
        return
    from sqlalchemy import func, select

    engine = database.engine(settings.database)
    try:
        with engine.connect() as connection:
            connection.execute(select(func.pg_advisory_lock(int.from_bytes(key.digest()[:8], "big", signed=True))))
            yield
    finally:
        engine.dispose()


def _is_local(settings: Settings) -> bool:
    return sqlite_file(settings.database) is not None
