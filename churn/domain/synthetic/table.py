"""From arrays to the table of the IBM sample: names, spelling, order."""

from __future__ import annotations

import string
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.domain.synthetic.columns import CATEGORIES, KEY, ORDER, TARGET, TIMESTAMP
from churn.domain.synthetic.customers import Customers, Dollars, Floats, Mask, Serials

UTC = pa.timestamp("us", tz="UTC")

_DIGITS, _LETTERS = 10**4, 26**5
_STRIDE = 6_180_339_887
"""Prime to the number of ids, so that ids repeat only after all of them."""


def features(customers: Customers, seed: int) -> pa.RecordBatch:
    """The columns of the sample without its target. A customer who was never billed (tenure 0) has no total."""
    columns = {name: _category(customers, name) for name in CATEGORIES} | {
        KEY: ids(customers.serial, seed),
        "SeniorCitizen": pa.array(customers.codes["SeniorCitizen"].astype(np.int64)),
        "tenure": pa.array(customers.tenure.astype(np.int64)),
        "MonthlyCharges": pa.array(_cents(customers.monthly)),
        "TotalCharges": pa.array(_cents(customers.total), mask=customers.tenure == 0),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in ORDER], names=list(ORDER))


def dated(batch: pa.RecordBatch, day: date) -> pa.RecordBatch:
    """With the snapshot's date behind the key."""
    return batch.add_column(1, TIMESTAMP, pa.repeat(pa.scalar(day).cast(UTC), batch.num_rows))


def labelled(batch: pa.RecordBatch, churned: Mask, unknown: Mask) -> pa.RecordBatch:
    """With the target: Yes, No, or null where it will never be known."""
    codes = pa.array(churned.astype(np.int8), mask=unknown)
    return batch.append_column(TARGET, pa.DictionaryArray.from_arrays(codes, ["No", "Yes"]).dictionary_decode())


def ids(serials: Serials, seed: int) -> pa.Array:
    """Ids as in the sample, 7590-VHVEG: one for each serial, different sets for different seeds."""
    offset = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) % (_DIGITS * _LETTERS)
    number = (serials.astype(np.uint64) * np.uint64(_STRIDE) + np.uint64(offset)) % np.uint64(_DIGITS * _LETTERS)
    digits, letters = np.divmod(number, np.uint64(_LETTERS))
    text = np.full((len(serials), 10), ord("-"), np.uint8)
    _spell(text[:, :4], digits, string.digits)
    _spell(text[:, 5:], letters, string.ascii_uppercase)
    bounds = np.arange(0, text.size + 1, text.shape[1], dtype=np.int32)
    return pa.StringArray.from_buffers(len(serials), pa.py_buffer(bounds), pa.py_buffer(text))


def _spell(out: npt.NDArray[np.uint8], number: npt.NDArray[np.uint64], alphabet: str) -> None:
    """Writes numbers (n,) into `out` (n, places) in the base of the alphabet."""
    signs = np.frombuffer(alphabet.encode(), np.uint8)
    for place in reversed(range(out.shape[1])):
        number, sign = np.divmod(number, np.uint64(len(signs)))
        out[:, place] = signs[sign]


def _category(customers: Customers, column: str) -> pa.Array:
    codes = pa.array(customers.shown(column).astype(np.int8))
    return pa.DictionaryArray.from_arrays(codes, list(CATEGORIES[column])).dictionary_decode()


def _cents(amounts: Dollars) -> Floats:
    rounded: Floats = amounts.astype(np.float64).round(2)
    return rounded
