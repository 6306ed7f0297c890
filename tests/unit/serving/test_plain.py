"""The quick way and the strict one give the same columns, or the quick one leaves it to the other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from churn.domain.contract import Cleaning, Column, Contract, Key
from serving.asked import WIDTHS, Asked, Tensor
from serving.checking import check
from serving.fields import CUSTOMER_ID, id_names
from serving.plain import Plain
from serving.v1 import Instances
from serving.v2 import Tensors
from tests import bundles
from tests.tensors import tensors

SHOP = bundles.shop()
LONG = "l" * 128
"""A category whose length takes the byte that stands for the first category where texts are read all at once."""

TEXTS = ("a", "b", "NA", "0", "true", "Ünï", "a b", " a", "\x1fa", LONG, "")
HUGE = (2**53, 2**53 + 1, -(2**53), 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**308, 10**400)
SMALL = (0, 1, -1, 2, 127, 128, -128, 255, 256, 300, 65_535, 2**31, 2**53 - 1)
FRACTIONS = (
    0.0,
    -0.0,
    0.5,
    1.0,
    5.0,
    1e-320,
    9007199254740991.0,
    9007199254740993.0,
    1e38,
    1e39,
    1.7976931348623157e308,
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    float("nan"),
    float("inf"),
    float("-inf"),
    [1],
    [],
    {"a": 1},
    "1",
    " 1 ",
    "nan",
    "Infinity",
)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    if draw(st.booleans()):
        categories = tuple(draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True)))
        spelling = draw(st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(categories), max_size=2))
        constant = draw(st.sampled_from([None, categories[0]]))
        cleaning = Cleaning(spelling=spelling, constant=constant)
        return Column("category", categories=categories, nullable=draw(st.booleans()), cleaning=cleaning)
    low, high = sorted([float(draw(st.sampled_from(SMALL))), float(draw(st.sampled_from((*SMALL, 2**60))))])
    span = draw(st.sampled_from([None, (low, high), (None, high), (low, None)]))
    cleaning = Cleaning(constant=draw(st.sampled_from([None, 0])))
    kind: Literal["integer", "number"] = draw(st.sampled_from(["integer", "number"]))
    return Column(kind, range=span, nullable=draw(st.booleans()), cleaning=cleaning)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """The shop's, or one of a few columns of any kind, with any kind of key."""
    if draw(st.booleans()):
        return SHOP
    named = {f"c{place}": draw(columns()) for place in range(draw(st.integers(1, 3)))}
    if draw(st.integers(0, 9)) == 0:
        named[CUSTOMER_ID] = draw(columns())
    key = draw(st.sampled_from([None, Key("id"), Key("id", type="integer"), SHOP.key]))
    if key and key.column in named:
        key = None
    return replace(SHOP, key=key, columns=named, derived={})


def fine(column: Column) -> st.SearchStrategy[Any]:
    """Values that the column may well take, at the borders of what it takes."""
    if column.categories:
        return st.sampled_from([*column.categories, *column.cleaning.spelling])
    low, high = column.range or (None, None)
    low, high = -1e6 if low is None else low, 1e6 if high is None else high
    borders = [low, high, max(low, min(high, 0)), max(low, min(high, -0.0))]
    if column.type == "integer":
        borders += [int(one) for one in borders]
    found: list[Any] = [*borders, *([] if column.type == "integer" else [low / 2 + high / 2])]
    return st.sampled_from(found)


def anything(column: Column | None) -> st.SearchStrategy[Any]:
    around = [] if column is None else [one for one in column.range or () if one is not None]
    near = [near for one in around for near in (np.nextafter(one, -np.inf).item(), np.nextafter(one, np.inf).item())]
    return st.one_of(
        st.sampled_from([*ODD, *HUGE, *SMALL, *FRACTIONS, *TEXTS, *near, *around]),
        st.text(max_size=4),
        st.integers(),
        st.floats(),
    )


def ids(of: Contract) -> st.SearchStrategy[Any]:
    plain: list[Any] = [5, 0, -7, *HUGE] if of.key and of.key.type == "integer" else ["ann", "7", "x y", "NA", "nan"]
    odd = ["", " ann", "ann ", "ann\u00a0", "-", "\0", "Ünï", "007", 5, True, None, 1.5]
    return st.one_of(st.sampled_from(plain), st.sampled_from(plain), st.sampled_from(odd))


@st.composite
def tables(draw: st.DrawFn) -> tuple[Contract, list[dict[str, Any]]]:
    """Customers with the same fields, most of which are as they should be."""
    of = draw(contracts())
    size = draw(st.integers(1, 4))
    odd = draw(st.sampled_from([0] * 10 + [1] * 6 + [2, 8]))
    names = [name for name in of.columns if draw(st.integers(0, 19))]
    rows = [{name: draw(fine(of.columns[name])) for name in names} for _ in range(size)]
    for _ in range(odd):
        name = draw(st.sampled_from([*of.columns, "unknown"]))
        draw(st.sampled_from(rows))[name] = draw(anything(of.columns.get(name)))
    for alias in id_names(of) if draw(st.booleans()) else ():
        if draw(st.booleans()):
            for row in rows:
                row[alias] = draw(ids(of))
    return of, rows


def identical(of: Contract, asked: Asked, *, map_unknown: bool = False) -> bool:
    """Whether the quick way takes the request; if it does, then only as the strict one."""
    quick = asked.plain(Plain(of))
    if quick is None:
        return False
    strict = check(of, asked, map_unknown=map_unknown)
    assert strict.failures == []
    assert [(type(one), one) for one in strict.ids] == [
        (type(one), one) for one in ([UNSET] * asked.count if quick.keys is None else quick.keys)
    ]
    assert quick.matrix.shape == strict.columns.shape
    assert quick.matrix.dtype == np.float64
    assert bits(quick.matrix) == bits(strict.columns)
    if quick.keys is None:
        assert list(quick.absent) == []
    else:
        assert [list(np.nonzero(~row)[0]) for row in strict.given] == [list(quick.absent)] * asked.count
    return True


WAY = {True: "the quick way", False: "left to the strict check"}


def bits(matrix: np.ndarray) -> list[list[str]]:
    """Numbers by their digits and their sign, also that of zero."""
    return [[float(value).hex() for value in row] for row in matrix.tolist()]


@settings(max_examples=700, deadline=None, derandomize=True)
@given(tables(), st.booleans())
def test_customers_as_objects_are_accepted_only_as_the_strict_check_accepts_them(
    table: tuple[Contract, list[dict[str, Any]]], map_unknown: bool
) -> None:
    of, rows = table
    event(WAY[identical(of, Instances(rows), map_unknown=map_unknown)])


def datatypes(values: Sequence[Any]) -> list[str]:
    """Those that hold the values of a column at a glance; the usual ones more often."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in known):
        return ["BYTES"] * 16
    if all(type(value) is int for value in known):
        return ["INT64", "FP64"] * 8 + [name for name in WIDTHS if name != "BOOL"]
    return ["FP64"] * 8 + ["FP32", "FP16"]


def raw(datatype: str, values: Sequence[Any]) -> bytes | None:
    """The values as bytes, where that datatype has them."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values if isinstance(value, str)]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts) if len(texts) == len(values) else None
    try:
        with np.errstate(over="ignore"):
            return np.array(values, WIDTHS[datatype]).tobytes()
    except (ValueError, TypeError, OverflowError):
        return None


@st.composite
def column_tensors(draw: st.DrawFn) -> tuple[Contract, list[Tensor]]:
    """The same as tensors, some of them damaged."""
    of, rows = draw(tables())
    found = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        datatype = draw(st.sampled_from([*datatypes(values) * 20, *WIDTHS, "BYTES", "FP8", ""]))
        content = raw(datatype, values) if datatype in {*WIDTHS, "BYTES"} and draw(st.booleans()) else None
        shape = [len(rows)] if draw(st.booleans()) else [len(rows), 1]
        found.append(Tensor(name, datatype, shape, None if content is not None else values, content))
    if found and draw(st.integers(0, 3)) == 0:
        _damage(draw, found)
    return of, found


def _damage(draw: st.DrawFn, found: list[Tensor]) -> None:
    place = draw(st.integers(0, len(found) - 1))
    one = found[place]
    match draw(st.sampled_from(["shape", "longer", "shorter", "nested", "twice", "bytes"])):
        case "shape":
            one.shape = draw(st.lists(st.sampled_from([-1, 0, 1, 2, 3, 10**12]), max_size=3))
        case "longer" if one.data is not None:
            one.data = [*one.data, one.data[0]]
        case "longer":
            one.raw = (one.raw or b"") * 2
        case "shorter" if one.data is not None:
            one.data = one.data[:-1]
        case "shorter":
            one.raw = (one.raw or b"")[:-1]
        case "nested" if one.data is not None:
            one.data = [[value] for value in one.data]
        case "bytes":
            one.raw, one.data = draw(st.binary(max_size=40)), None
        case _:
            found.append(one)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(column_tensors())
def test_tensors_are_accepted_only_as_the_strict_check_accepts_them(asked: tuple[Contract, list[Tensor]]) -> None:
    of, found = asked
    event(WAY[identical(of, Tensors(found))])


def framed(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


@st.composite
def byte_texts(draw: st.DrawFn) -> tuple[tuple[str, ...], list[bytes]]:
    """Categories, and texts behind their lengths: whole ones, and pieces that could be taken for some."""
    known = tuple(draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True)))
    whole = st.sampled_from([framed(text) for text in known])
    pieces = st.sampled_from(
        [b"\0", b"\0\0\0", b"\x80", b"\x80\0\0\0", b"\1", b"\xff", *(text.encode() for text in TEXTS)]
    )
    parts = draw(st.lists(st.one_of(whole, whole, whole, whole, pieces), min_size=2, max_size=6))
    return known, parts


@settings(max_examples=700, deadline=None, derandomize=True)
@given(byte_texts(), st.sampled_from([0, 0, 0, -1, 1]))
@example((("a", "b"), [b"\x80", b"\x81"]), 0)
@example((("a", "b"), [b"\xff", b"\xff"]), 0)
@example((("a", LONG), [framed("a"), framed("a"), b"\0\0\0" + LONG.encode()]), -1)
def test_bytes_are_read_as_texts_only_where_they_are_texts(
    texts: tuple[tuple[str, ...], list[bytes]], more: int
) -> None:
    known, parts = texts
    of = replace(SHOP, columns={"c0": Column("category", categories=known)}, derived={})
    asked = Tensors([Tensor("c0", "BYTES", [len(parts) + more], None, b"".join(parts))])
    event(WAY[identical(of, asked)])


def as_tensors(rows: Sequence[Mapping[str, Any]], *, binary: bool) -> Tensors:
    found = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        datatype = {str: "BYTES", int: "INT64", float: "FP64"}[type(values[0])]
        content = raw(datatype, values) if binary else None
        found.append(Tensor(name, datatype, [len(rows)], None if binary else values, content))
    return Tensors(found)


PROTOCOLS: dict[str, Callable[[Sequence[Mapping[str, Any]]], Asked]] = {
    "objects": Instances,
    "tensors": lambda rows: as_tensors(rows, binary=False),
    "bytes": lambda rows: as_tensors(rows, binary=True),
}
WAYS: dict[str, Mapping[str, Any]] = {
    "all values": bundles.CUSTOMER,
    "an id": {CUSTOMER_ID: "ann"},
    "an id and a fresh value": {CUSTOMER_ID: "ann", "visits": 3},
    "an id and all values": {CUSTOMER_ID: "ann", **bundles.CUSTOMER},
    "another spelling": {**bundles.CUSTOMER, "plan": "1"},
    "a whole number as a float": {**bundles.CUSTOMER, "visits": 3.0},
}


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_plainly_fine_takes_the_quick_way(protocol: str, way: str, size: int) -> None:
    assert identical(SHOP, PROTOCOLS[protocol]([WAYS[way]] * size))


def test_a_shape_that_promises_too_much_takes_no_memory() -> None:
    asked = Tensors([Tensor("visits", "INT64", [10**12], [3])])
    assert asked.plain(Plain(SHOP)) is None


def test_customers_of_whom_not_the_same_is_given_are_left_to_the_strict_check() -> None:
    rows: list[dict[str, Any]] = [{CUSTOMER_ID: "ann"}, {CUSTOMER_ID: "bob", "visits": 2}]
    assert Instances(rows).plain(Plain(SHOP)) is None


def test_the_tests_own_tensors_take_the_quick_way() -> None:
    found = [Tensor(one["name"], one["datatype"], one["shape"], one["data"]) for one in tensors()]
    assert identical(SHOP, Tensors(found))
