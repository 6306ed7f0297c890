from __future__ import annotations

import datetime as dt

import pytest
from msgspec.structs import replace

from churn.domain.errors import UserError
from churn.stores.traffic import (
    LAST_REVISION,
    Traffic,
    Variant,
    challenged,
    checked_model,
    dated,
    decode,
    encode,
    promoted,
    returned,
    withdrawn,
)
from churn.stores.traffic_store import successor

FIRST = Variant(1, "a" * 64, "objects/bundles/a")
SECOND = Variant(2, "b" * 64, "objects/bundles/b")
THIRD = Variant(3, "c" * 64, "objects/bundles/c")
THEN, NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


def test_the_first_promotion_makes_a_document_without_predecessor() -> None:
    assert promoted(None, "telco", FIRST) == Traffic("telco", FIRST)


def test_a_promotion_keeps_the_predecessor_and_ends_the_challenge() -> None:
    current = Traffic("telco", FIRST, challenger=SECOND, share=0.2, revision=4)

    assert promoted(current, "telco", THIRD) == Traffic("telco", THIRD, previous=FIRST, revision=4)


def test_promoting_the_champion_again_changes_nothing() -> None:
    current = Traffic("telco", SECOND, previous=FIRST, revision=4)

    assert promoted(current, "telco", SECOND) is current


def test_a_challenger_takes_the_place_of_another_and_leaves_without_a_trace() -> None:
    current = Traffic("telco", SECOND, previous=FIRST, revision=4)

    after = challenged(challenged(current, FIRST, 0.1), THIRD, 0.2, "shadow")
    assert after == replace(current, challenger=THIRD, share=0.2, mode="shadow")
    assert withdrawn(after) == current


@pytest.mark.parametrize(("variant", "share"), [(THIRD, 0.0), (THIRD, 1.1), (FIRST, 0.5)])
def test_nobodys_challenger_and_the_champion_as_its_own_are_refused(variant: Variant, share: float) -> None:
    with pytest.raises(UserError, match=r"no share|champion already"):
        challenged(Traffic("telco", FIRST), variant, share)


def test_the_predecessor_returns_once_and_the_challenger_leaves() -> None:
    current = Traffic("telco", SECOND, challenger=THIRD, share=0.2, previous=FIRST, revision=4)

    after = returned(current)
    assert after == Traffic("telco", FIRST, revision=4)
    with pytest.raises(UserError, match="no predecessor"):
        returned(after)


def test_times_change_with_what_they_are_of() -> None:
    first = dated(Traffic("telco", FIRST), None, THEN)
    assert (first.champion_since, first.lineup_since) == (THEN, THEN)

    split = dated(challenged(first, SECOND, 0.1), first, NOW)
    assert (split.champion_since, split.lineup_since) == (THEN, NOW)

    grown = dated(challenged(split, SECOND, 0.2), split, NOW + dt.timedelta(days=1))
    assert (grown.champion_since, grown.lineup_since) == (THEN, NOW + dt.timedelta(days=1))

    promotion = dated(promoted(split, "telco", SECOND), split, NOW)
    assert (promotion.champion_since, promotion.lineup_since) == (NOW, NOW)

    again = dated(replace(first, revision=7), first, NOW)
    assert (again.champion_since, again.lineup_since) == (THEN, THEN), "nothing about who answers has changed"


@pytest.mark.parametrize(
    "document",
    [
        Traffic("telco", FIRST),
        Traffic("telco", SECOND, challenger=THIRD, share=0.25, mode="shadow", previous=FIRST, revision=9),
        Traffic("telco", FIRST, champion_since=THEN, lineup_since=NOW),
    ],
    ids=["champion alone", "with challenger", "with times"],
)
def test_a_document_survives_its_yaml(document: Traffic) -> None:
    assert decode(encode(document), "file", "telco") == document


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("share: 1.5", "share"),
        ("share: 0.5", "challenger"),
        ("mode: canary", "mode"),
        ("champoin: {}", "champoin"),
        ("revision: -1", "revision"),
        (f"revision: {2**63}", "revision"),
        ("revision: 123456789012345678901234", "revision"),
        (f"challenger: {{version: {2**31}, digest: {'b' * 64}, bundle: x}}", "version"),
        ("challenger: {version: 2, digest: " + "a" * 64 + ", bundle: x}", "same bundle"),
        ("challenger: {version: 0, digest: " + "b" * 64 + ", bundle: x}", "version"),
        ("challenger: {version: 2, digest: ../../etc, bundle: x}", "digest"),
        ("model: other", "twice"),
        ("- a", "line"),
    ],
)
def test_a_document_edited_wrongly_is_refused_with_file_and_field(wrong: str, says: str) -> None:
    good = f"model: telco\nchampion: {{version: 1, digest: {'a' * 64}, bundle: x}}\n"
    assert decode(good.encode(), "file", "telco").champion.version == 1

    with pytest.raises(UserError, match=r"traffic/telco\.yaml") as caught:
        decode(f"{good}{wrong}\n".encode(), "traffic/telco.yaml", "telco")

    assert says in str(caught.value)


def test_the_document_of_another_model_is_refused() -> None:
    with pytest.raises(UserError, match="'telco', not of 'bank'"):
        decode(encode(Traffic("telco", FIRST)), "file", "bank")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UserError, match="file"):
        decode(b"\xff\xfe", "file", "telco")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "a'b", "x" * 101])
def test_a_name_that_cannot_be_a_files_everywhere_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot name a model"):
        checked_model(name)


def test_after_the_last_revision_nothing_is_written_that_could_not_be_read() -> None:
    last = Traffic("telco", FIRST, revision=LAST_REVISION)
    assert decode(encode(last), "file", "telco") == last
    with pytest.raises(UserError, match="no revision comes after"):
        successor(last, promoted(last, "telco", SECOND), LAST_REVISION)
