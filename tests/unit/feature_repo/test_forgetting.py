from __future__ import annotations

import struct

import pytest

from churn.stores.privacy.customer import Customer
from feature_repo.direct.keys import Keys
from feature_repo.forgetting.keys import described, keys_like, parsed
from feature_repo.frozen import freeze
from tests.integration.feature_repo.samples import contract


@pytest.mark.parametrize(("kind", "known", "wanted"), [("string", "ann", "bób"), ("integer", 7, "-70")])
def test_a_key_is_made_from_another_of_its_view(kind: str, known: str | int, wanted: str) -> None:
    keys = Keys(freeze(contract(key=kind)), suffix=b"project")
    [sample] = keys.encode([known])
    like = parsed(sample)
    assert like is not None
    assert sample[like.end :] == b"project"
    made = keys_like(like, Customer(wanted, None))
    assert [key + b"project" for key in made] == keys.encode([wanted])


def test_who_has_no_such_id_has_no_key() -> None:
    [sample] = Keys(freeze(contract(key="integer"))).encode([7])
    like = parsed(sample)
    assert like is not None
    assert keys_like(like, Customer("ann", None)) == []


@pytest.mark.parametrize("other", [b"", b"user:7", struct.pack("<III", 2, 2, 3) + b"one", bytes(100), b"\xff" * 40])
def test_what_is_no_key_of_an_entity_is_passed_by(other: bytes) -> None:
    assert parsed(other) is None


def test_values_come_back_as_they_went_in() -> None:
    from feature_repo.quiet import Value

    given = {"a": Value(int64_val=-3), "b": Value(double_val=2.5), "c": Value(string_val="größer" * 40), "d": Value()}
    raw = ((name, value.SerializeToString()) for name, value in given.items())
    found = described(raw, 0.0)
    assert {name: found[name] for name in given} == {"a": -3, "b": 2.5, "c": "größer" * 40, "d": None}
    assert str(found["event_timestamp"]) == "1970-01-01 00:00:00+00:00"
