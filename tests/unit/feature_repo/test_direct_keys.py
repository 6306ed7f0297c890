from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import contract as contracts
from churn.domain.errors import UserError
from feature_repo.direct.errors import BadIdError
from feature_repo.direct.keys import Keys
from feature_repo.frozen import KEY_VERSION, freeze

CONTRACT = """
name: mini
key: {{column: {name}, type: {key}}}
target: {{column: left, positive: 1}}
columns: {{count: {{type: integer}}}}
"""
TEXT = contracts.parse(CONTRACT.format(name="kundennummer", key="string"))
INTEGER = contracts.parse(CONTRACT.format(name="id", key="integer"))


def feasts(made: contracts.Contract, value: int | str) -> bytes:
    from feast.infra.key_encoding_utils import serialize_entity_key

    from feature_repo.values import entity_key, key_value

    return serialize_entity_key(entity_key(made, key_value(made, value)), KEY_VERSION)


@given(st.text() | st.integers())
def test_text_keys_are_spelt_as_feast_spells_them(value: str | int) -> None:
    keys = Keys(freeze(TEXT), suffix=b"mini")
    assert keys.encode([value]) == [feasts(TEXT, value) + b"mini"]
    assert keys.decode(keys.encode([value])[0]) == str(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integer_keys_are_spelt_as_feast_spells_them(value: int) -> None:
    keys = Keys(freeze(INTEGER))
    assert keys.encode([value, str(value)]) == [feasts(INTEGER, value)] * 2
    assert keys.decode(keys.encode([value])[0]) == value


@pytest.mark.parametrize("bad", ["abc", "1.0", "", "٣", " 1", str(2**63), 2**63, -(2**63) - 1])
def test_what_is_no_integer_is_refused_by_its_rows(bad: str | int) -> None:
    with pytest.raises(BadIdError, match=r"id: is no integer of 64 bits") as refused:
        Keys(freeze(INTEGER)).encode([1, bad, 2, bad])
    assert refused.value.rows == (1, 3)


def test_half_a_character_is_no_id() -> None:
    with pytest.raises(BadIdError, match="is no text") as refused:
        Keys(freeze(TEXT)).encode(["a", "\ud800"])
    assert refused.value.rows == (1,)


def test_another_encoding_of_keys_is_not_guessed_at() -> None:
    with pytest.raises(UserError, match="entity keys of version 4, this version reads 3"):
        Keys(msgspec.structs.replace(freeze(TEXT), key_version=4))
