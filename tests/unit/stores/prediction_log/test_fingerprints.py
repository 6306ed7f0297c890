from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores.database import migrate
from churn.stores.prediction_log import fingerprints
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.sinks import Away

OURS, THEIRS = b"k" * 32, b"l" * 32


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/churn.db"


def keep(url: str, key: bytes) -> None:
    fingerprints.keep(url, Pseudonyms(key), Path("/keys/log"))


def test_the_log_keeps_to_the_first_key(url: str) -> None:
    for _ in range(2):
        keep(url, OURS)
    with pytest.raises(UserError, match=r"/keys/log: is not the key .*CHURN_LOG_KEY") as caught:
        keep(url, THEIRS)

    assert THEIRS.decode() not in str(caught.value)
    keep(url, OURS)


def test_a_fingerprint_is_nobodys_name_and_not_the_key(url: str) -> None:
    keep(url, OURS)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        [(kept,)] = connection.execute(fingerprints.KNOWN).fetchall()

    assert kept == Pseudonyms(OURS).fingerprint != Pseudonyms(THEIRS).fingerprint
    assert kept not in {Pseudonyms(OURS).pseudonym(""), OURS}


def test_a_file_that_a_predictor_made_is_migrated_with_its_key(url: str) -> None:
    keep(url, OURS)
    migrate(url)
    with pytest.raises(UserError, match="is not the key"):
        keep(url, THEIRS)


def test_a_database_that_is_away_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "churn.db").mkdir()
    with pytest.raises(Away):
        keep(f"sqlite:///{tmp_path}/churn.db", OURS)
