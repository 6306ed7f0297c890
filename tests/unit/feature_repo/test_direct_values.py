from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import contract as contracts
from churn.domain.errors import UserError
from churn.domain.parsing import EXACT
from feature_repo.direct.errors import BadValueError
from feature_repo.direct.values import Raw, Timestamps, Values
from feature_repo.frozen import freeze
from feature_repo.quiet import Value

LABELS = ("basic", "", "extra großes", "a\0b", "x" * 127, "y" * 128, "z" * 40_000)
MADE = contracts.parse(
    """
name: mini
target: {column: left, positive: 1}
columns:
  count: {type: integer, nullable: true}
  charge: {type: number, nullable: true}
  plan: {type: category, categories: [placeholder], nullable: true}
"""
)
MADE = msgspec.structs.replace(
    MADE, columns=MADE.columns | {"plan": msgspec.structs.replace(MADE.columns["plan"], categories=LABELS)}
)
VALUES = Values(MADE, freeze(MADE))


def row(count: Raw = None, charge: Raw = None, plan: Raw = None) -> list[float]:
    return VALUES.row([count, charge, plan, b"more that a store holds"])


def feasts(**value: Any) -> bytes:
    return bytes(Value(**value).SerializeToString())


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(st.integers(-EXACT, EXACT))
def test_integers_are_exact(value: int) -> None:
    assert row(count=feasts(int64_val=value))[0] == value
    assert row(count=feasts(int64_val=value))[0] == value  # remembered


@given(st.floats())
def test_numbers_keep_their_bits(value: float) -> None:
    assert bits(row(charge=feasts(double_val=value))[1]) == bits(value)


@pytest.mark.parametrize("code", range(len(LABELS)))
def test_categories_become_their_codes(code: int) -> None:
    assert row(plan=feasts(string_val=LABELS[code]))[2] == code


@pytest.mark.parametrize("nothing", [None, feasts(), feasts(null_val=0)])
def test_nothing_is_not_a_number(nothing: Raw) -> None:
    assert all(math.isnan(value) for value in row(nothing, nothing, nothing))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"count": feasts(double_val=1.0)}, "column count: holds no integer"),
        ({"count": feasts(string_val="1")}, "column count: holds no integer"),
        ({"count": feasts(int32_val=1)}, "column count: holds no integer"),
        ({"count": feasts(int64_val=1) + b"\x01"}, "column count: holds no integer"),
        ({"count": feasts(int64_val=-1)[:-1]}, "column count: holds no integer"),
        ({"count": "text"}, "column count: holds no integer"),
        ({"count": feasts(int64_val=EXACT + 1)}, f"column count: holds an integer beyond {EXACT}"),
        ({"count": feasts(int64_val=-(2**63))}, f"column count: holds an integer beyond {EXACT}"),
        ({"charge": feasts(int64_val=1)}, "column charge: holds no number"),
        ({"charge": feasts(float_val=1.0)}, "column charge: holds no number"),
        ({"charge": feasts(double_val=1.0)[:-1]}, "column charge: holds no number"),
        ({"charge": 7}, "column charge: holds no number"),
        ({"plan": feasts(int64_val=1)}, "column plan: holds no category"),
        ({"plan": feasts(bytes_val=b"basic")}, "column plan: holds no category"),
        ({"plan": 7}, "column plan: holds no category"),
        ({"plan": feasts(string_val="gold")}, "column plan: unknown category 'gold'"),
        ({"plan": b"\x12\xff"}, "column plan: "),
    ],
)
def test_what_a_column_cannot_hold_is_refused_by_its_name(values: dict[str, bytes], told: str) -> None:
    with pytest.raises(BadValueError, match=told) as refused:
        row(**values)
    assert refused.value.rows == (0,)


def test_a_layout_of_other_columns_is_refused() -> None:
    online = freeze(MADE)
    with pytest.raises(UserError, match="other columns than the contract"):
        Values(MADE, msgspec.structs.replace(online, columns=online.columns[:-1]))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - hypothesis wants them naive
def test_timestamps_are_exact_to_the_microsecond(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    message = Timestamp()
    message.FromDatetime(moment)
    seen = Timestamps()[message.SerializeToString()]
    assert datetime.fromtimestamp(seen, UTC) == moment


def test_no_timestamp_and_that_of_1970_are_nobodys() -> None:
    assert math.isnan(Timestamps()[None])
    assert math.isnan(Timestamps()[Timestamp().SerializeToString()])


@pytest.mark.parametrize("raw", [b"\x08", b"\x08\xff", b"\x1a\x01", b"text", b"\x08" + b"\xff" * 11])
def test_what_is_no_timestamp_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no timestamp"):
        Timestamps()[raw]
