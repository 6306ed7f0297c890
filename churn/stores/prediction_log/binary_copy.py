"""Records as PostgreSQL's binary COPY, made by NumPy: what a row costs hardly depends on how many come together.

The format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; each value as the type's `send`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from churn.stores.prediction_log.records import ID_BYTES, Logged
from churn.stores.prediction_log.sinks import moment, text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH_S = 946684800  # PostgreSQL counts from 2000
_FLOAT8 = 701  # the type's number, in arrays
_NOBODY = bytes(ID_BYTES)
_NULL = -1

_CACHED = 1000

_Key = tuple[int, int, bool, bytes, bytes, bytes]
_Named = tuple[Logged, bytes]


def copy_data(records: list[Logged]) -> Iterator[bytes]:
    """The data of COPY part by part, with its columns in the order of `schema.COLUMNS`.

    Customers are null in a record without any; one who is not known among others is 16 zero bytes.
    Rows whose texts have the same lengths are alike in size, and become structured arrays; of no more rows than the
    processor's caches hold, which makes thousands of rows four times as fast.
    Raises OverflowError or ValueError for a number that does not fit its column."""
    alike: defaultdict[_Key, list[_Named]] = defaultdict(list)
    for record in records:
        request = text(record.request_id).encode()
        width = len(record.features) // (8 * record.rows)
        fixed = (text(record.model).encode(), text(record.variant).encode(), text(record.layout).encode())
        alike[(len(request), width, record.customers is not None, *fixed)].append((record, request))
    yield _SIGNATURE
    for key, group in alike.items():
        for some in _bundles(group):
            yield _rows(key, some).tobytes()
    yield _TRAILER


def _bundles(group: list[_Named]) -> Iterator[list[_Named]]:
    """Some records at a time, of `_CACHED` rows together, or one that has more."""
    some: list[_Named] = []
    rows = 0
    for one in group:
        if some and rows + one[0].rows > _CACHED:
            yield some
            some, rows = [], 0
        some.append(one)
        rows += one[0].rows
    yield some


def _rows(key: _Key, group: list[_Named]) -> npt.NDArray[np.void]:
    import numpy as np

    length, width, named, model, variant, layout = key
    records = [record for record, _ in group]
    counts = np.array([record.rows for record in records])
    total = int(counts.sum())
    rows = np.zeros(total, _row_type(key))
    _fill_heads(rows)
    rows["record"] = np.frombuffer(b"".join(record.record for record in records), f"V{ID_BYTES}").repeat(counts)
    rows["row"] = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.array([moment(record.at) - _EPOCH_S for record in records])
    rows["predicted_at"] = np.rint(at * 1e6).astype(np.int64).repeat(counts)
    if length:
        rows["request_id"] = np.frombuffer(b"".join(request for _, request in group), f"V{length}").repeat(counts)
    for name, value in (("model", model), ("variant", variant), ("layout", layout)):
        if value:
            rows[name] = np.void(value)
    rows["version"] = np.array([record.version for record in records], np.int32).repeat(counts)
    rows["shadow"] = np.array([record.shadow for record in records]).repeat(counts)
    rows["latency_ms"] = np.array([record.latency_ms for record in records], np.float32).repeat(counts)
    threshold = np.array([record.threshold for record in records]).repeat(counts)
    probability = np.frombuffer(b"".join(record.probabilities for record in records), "<f8")
    rows["threshold"], rows["probability"], rows["decision"] = threshold, probability, probability >= threshold
    if named:
        rows["customer"] = np.frombuffer(b"".join(map(_customers, records)), f"V{ID_BYTES}")
    else:
        rows["customer.size"] = _NULL
    rows["risk"] = np.frombuffer(b"".join(record.risks for record in records), np.uint8)
    if width:
        features = np.frombuffer(b"".join(record.features for record in records), "<f8").reshape(total, width)
        rows["features"]["value"] = features
    return rows


def _customers(record: Logged) -> bytes:
    return b"".join([customer or _NOBODY for customer in record.customers or ()])


def _row_type(key: _Key) -> np.dtype[np.void]:
    import numpy as np

    length, width, named, model, variant, layout = key
    values: list[tuple[str, str]] = [
        ("record", f"V{ID_BYTES}"),
        ("row", ">i4"),
        ("predicted_at", ">i8"),
        ("request_id", f"V{length}"),
        ("model", f"V{len(model)}"),
        ("version", ">i4"),
        ("variant", f"V{len(variant)}"),
        ("shadow", ">i1"),
        ("customer", f"V{ID_BYTES if named else 0}"),
        ("probability", ">f8"),
        ("decision", ">i1"),
        ("threshold", ">f8"),
        ("risk", ">i2"),
        ("latency_ms", ">f4"),
        ("layout", f"V{len(layout)}"),
    ]
    fields: list[tuple[object, ...]] = [("fields", ">i2")]
    for name, kind in values:
        fields += [(f"{name}.size", ">i4"), (name, kind)]
    fields += [("features.size", ">i4"), ("features.dimensions", ">i4"), ("features.nulls", ">i4")]
    fields.append(("features.type", ">i4"))
    if width:  # an array without elements has no dimension
        fields += [("features.length", ">i4"), ("features.first", ">i4")]
        fields.append(("features", [("size", ">i4"), ("value", ">f8")], (width,)))
    return np.dtype(fields)


def _fill_heads(rows: npt.NDArray[np.void]) -> None:
    """Counts and lengths, the same in each row."""
    kinds = rows.dtype.fields
    assert kinds is not None
    named = [name for name in kinds if f"{name}.size" in kinds and name != "features"]
    rows["fields"] = len(named) + 1
    for name in named:
        rows[f"{name}.size"] = kinds[name][0].itemsize
    rows["features.type"] = _FLOAT8
    rows["features.size"] = 12
    if "features" in kinds:
        rows["features.size"] = 20 + kinds["features"][0].itemsize
        rows["features.dimensions"], rows["features.first"] = 1, 1
        rows["features.length"] = kinds["features"][0].shape[0]
        rows["features"]["size"] = 8
