from __future__ import annotations

import pytest

from churn.domain.errors import UserError
from churn.stores.traffic import Traffic, Variant, checked_model, decode, encode, promoted

FIRST = Variant(1, "a" * 64, "objects/bundles/a")
SECOND = Variant(2, "b" * 64, "objects/bundles/b")
THIRD = Variant(3, "c" * 64, "objects/bundles/c")


def test_the_first_promotion_makes_a_document_without_predecessor() -> None:
    assert promoted(None, "telco", FIRST) == Traffic("telco", FIRST)


def test_a_promotion_keeps_the_predecessor_and_ends_the_challenge() -> None:
    current = Traffic("telco", FIRST, challenger=SECOND, share=0.2, revision=4)

    assert promoted(current, "telco", THIRD) == Traffic("telco", THIRD, previous=FIRST, revision=4)


def test_promoting_the_champion_again_changes_nothing() -> None:
    current = Traffic("telco", SECOND, previous=FIRST, revision=4)

    assert promoted(current, "telco", SECOND) is current


@pytest.mark.parametrize(
    "document",
    [
        Traffic("telco", FIRST),
        Traffic("telco", SECOND, challenger=THIRD, share=0.25, mode="shadow", previous=FIRST, revision=9),
    ],
    ids=["champion alone", "with challenger"],
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
