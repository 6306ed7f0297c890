from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from churn.domain.errors import UserError
from churn.stores.errors import ConflictError
from churn.stores.s3 import S3
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant, promoted
from churn.stores.traffic_store import TrafficStore, open_traffic
from tests.servers import s3_kind

FIRST = Variant(1, "a" * 64, "objects/bundles/a")
SECOND = Variant(2, "b" * 64, "objects/bundles/b")
THIRD = Variant(3, "c" * 64, "objects/bundles/c")


def timeless(document: Traffic | None) -> Traffic | None:
    return document and msgspec.structs.replace(document, champion_since=None, lineup_since=None)


@pytest.fixture(params=["folder", s3_kind()])
def settings_of_kind(request: pytest.FixtureRequest) -> Settings:
    found: Settings = request.getfixturevalue("settings" if request.param == "folder" else "s3_settings")
    return found


@pytest.fixture
def store(settings_of_kind: Settings) -> TrafficStore:
    return open_traffic(settings_of_kind)


def test_before_the_first_promotion_there_is_no_document(store: TrafficStore) -> None:
    assert store.read("telco") is None


def test_a_written_document_is_read_back_one_revision_on(store: TrafficStore) -> None:
    first = store.write(promoted(None, "telco", FIRST), 0)
    second = store.write(promoted(first, "telco", SECOND), 1)

    assert timeless(first) == Traffic("telco", FIRST, revision=1)
    assert store.read("telco") == second
    assert timeless(second) == Traffic("telco", SECOND, previous=FIRST, revision=2)


def test_the_store_writes_down_since_when_who_serves(store: TrafficStore) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    first = store.write(promoted(None, "telco", FIRST), 0)

    assert first.champion_since is not None
    assert before <= first.champion_since <= dt.datetime.now(dt.UTC)
    assert first.lineup_since == first.champion_since


def test_models_do_not_share_a_document(store: TrafficStore) -> None:
    store.write(promoted(None, "telco", FIRST), 0)
    store.write(promoted(None, "telco-demo", SECOND), 0)

    assert (timeless(store.read("telco")), timeless(store.read("telco-demo"))) == (
        Traffic("telco", FIRST, revision=1),
        Traffic("telco-demo", SECOND, revision=1),
    )


@pytest.mark.parametrize("expected", [0, 2])
def test_a_write_on_another_revision_is_a_conflict_and_changes_nothing(store: TrafficStore, expected: int) -> None:
    current = store.write(promoted(None, "telco", FIRST), 0)

    with pytest.raises(ConflictError, match="another promotion of 'telco' was faster"):
        store.write(promoted(current, "telco", SECOND), expected)

    assert store.read("telco") == current


RACE = """
import json, sys
from churn.domain.errors import UserError
from churn.stores.errors import ConflictError
from churn.stores.settings import Settings
from churn.stores.traffic import Variant, promoted
from churn.stores.traffic_store import open_traffic
store = open_traffic(Settings.load())
variant = Variant(number + 1, f"{number:064x}", "bundle")
print("ready", flush=True)
sys.stdin.readline()
won, lost = [], []
for round in range(20):
    current = store.read("telco")
    try:
        won.append(store.write(promoted(current, "telco", variant), current.revision if current else 0).revision)
    except ConflictError as error:
        assert "was faster" in str(error)
        lost.append(round)
print(json.dumps([won, len(lost)]))
"""


def test_of_promotions_at_once_one_wins_and_the_others_say_so(
    settings_of_kind: Settings, race: Callable[[str, Settings, int], list[str]]
) -> None:
    """Every revision was written by exactly one process: no write was lost, and none overwrote another unseen."""
    results = [json.loads(answer) for answer in race(RACE, settings_of_kind, 4)]

    revisions = sorted(revision for won, _ in results for revision in won)
    last = open_traffic(settings_of_kind).read("telco")
    assert last is not None
    assert revisions == list(range(1, last.revision + 1))
    assert len(revisions) + sum(lost for _, lost in results) == 4 * 20
    assert any(lost for _, lost in results), "nobody met anybody: this test has tested nothing"


def test_a_writer_between_reading_and_writing_is_noticed_on_s3(
    s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = open_traffic(s3_settings), open_traffic(s3_settings)
    first = mine.write(promoted(None, "telco", FIRST), 0)
    write_if = S3.write_if

    def interrupted(client: S3, bucket: str, key: str, content: bytes, etag: str | None) -> None:
        monkeypatch.setattr(S3, "write_if", write_if)
        theirs.write(promoted(first, "telco", SECOND), 1)
        client.write_if(bucket, key, content, etag)

    monkeypatch.setattr(S3, "write_if", interrupted)
    with pytest.raises(ConflictError, match="was faster"):
        mine.write(promoted(first, "telco", THIRD), 1)

    assert timeless(mine.read("telco")) == Traffic("telco", SECOND, previous=FIRST, revision=2)


KILLED = """
import os, signal
from churn.stores import files
from churn.stores.settings import Settings
from churn.stores.traffic import Variant, promoted
from churn.stores.traffic_store import open_traffic
store = open_traffic(Settings.load())
files.publish = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
current = store.read("telco")
store.write(promoted(current, "telco", Variant(2, "b" * 64, "bundle")), 1)
"""


def test_a_writer_killed_in_the_act_leaves_the_old_document_and_no_lock(
    settings: Settings, kill: Callable[[str, Settings], None]
) -> None:
    store = open_traffic(settings)
    first = store.write(promoted(None, "telco", FIRST), 0)
    kill(KILLED, settings)

    assert store.read("telco") == first
    assert store.write(promoted(first, "telco", SECOND), 1).champion == SECOND


def test_a_damaged_document_is_told_with_its_file(settings: Settings) -> None:
    store = open_traffic(settings)
    store.write(promoted(None, "telco", FIRST), 0)
    Path(settings.traffic, "telco.yaml").write_text("champion: [")

    with pytest.raises(UserError, match=r"telco\.yaml"):
        store.read("telco")
    with pytest.raises(UserError, match=r"telco\.yaml"):
        store.write(promoted(None, "telco", SECOND), 0)
