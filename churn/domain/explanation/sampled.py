"""Any model explained by asking it: Shapley values from sampled orders (Strumbelj & Kononenko 2014).

Columns of a background row are replaced by those of the row to explain, one after another in a random order, and each
column is worth what its replacement changes in the log-odds. An order is used forwards and backwards (antithetic:
Mitchell et al. 2022), with one background row for both. Background rows are the same for every row, and orders follow
from the row's own content: the same row has the same explanation wherever it stands. Whatever the sample, values and
base add up to the logit."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from churn.domain import encoding
from churn.domain.bundle import Bundle
from churn.domain.explanation.contributions import Contributions, Matrix

BACKGROUND = 128
"""Of a random forest on Telco's columns, the mean error is then 2 % of what the strongest reason weighs, at 9 ms a row
(tests/benchmarks/explanations.py)."""
EDGE = 1e-6
"""Probabilities are kept this far from 0 and 1, whose log-odds are infinite."""
_AT_ONCE = 20_000


class Sampled:
    """A bundle's model, asked on mixtures of a row and `background` rows of the reference."""

    def __init__(self, bundle: Bundle, background: int = BACKGROUND) -> None:
        import pyarrow.parquet as pq

        self._bundle = bundle
        reference = pq.read_table(bundle.folder / "reference.parquet", columns=list(bundle.contract.raw))
        places = np.linspace(0, len(reference) - 1, min(background, len(reference))).astype(np.int64)
        self._background = encoding.encode(bundle.contract, reference.take(places))
        self._start = self._logits(self._background)
        self._base = float(self._start.mean())

    def explain(self, columns: Matrix) -> Contributions:
        """Contributions for columns (n, k)."""
        values = [self._row(row) for row in columns]
        return Contributions(np.array(values).reshape(columns.shape), self._base, exact=False)

    def _row(self, row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        count, width = self._background.shape
        order = _orders(row, count, width)
        place = np.argsort(order, axis=1)
        step = np.arange(1, width)[None, :, None]
        forwards = place[:, None, :] < step
        replaced = np.stack([forwards, ~forwards[:, ::-1]])
        mixed = np.where(replaced, row, self._background[:, None, :]).reshape(-1, width)
        between = self._logits(mixed).reshape(2, count, width - 1)
        return self._averaged(np.stack([order, order[:, ::-1]]), between, self._logits(row[None])[0])

    def _averaged(self, order: npt.NDArray[np.int64], between: Matrix, end: float) -> npt.NDArray[np.float64]:
        """By column (k,): the mean of what each step of each order (2, b, k) changes."""
        shape = (*order.shape[:2], 1)
        start = np.broadcast_to(self._start[:, None], shape)
        steps = np.diff(_carried(np.concatenate([start, between, np.full(shape, end)], axis=2)), axis=2)
        total = np.bincount(order.ravel(), steps.ravel(), order.shape[2])
        return np.asarray(total / (order.shape[0] * order.shape[1]), np.float64)

    def _logits(self, columns: Matrix) -> npt.NDArray[np.float64]:
        """(n,), NaN where a mixture has a derived value that is not finite."""
        found = []
        for row in range(0, len(columns), _AT_ONCE):
            probability, fault = self._bundle.model.run(columns[row : row + _AT_ONCE])
            p = np.clip(probability.astype(np.float64).reshape(-1), EDGE, 1 - EDGE)
            found.append(np.where(fault.reshape(len(p), -1).any(axis=1), np.nan, np.log(p) - np.log1p(-p)))
        return np.concatenate(found) if found else np.zeros(0)


def _orders(row: npt.NDArray[np.float64], count: int, width: int) -> npt.NDArray[np.int64]:
    """Random orders (count, width) of the columns that follow from the row's content."""
    content = np.where(np.isnan(row), np.nan, row + 0.0).tobytes()
    seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    return np.argsort(np.random.default_rng(seed).random((count, width)), axis=1, kind="stable")


def _carried(values: Matrix) -> Matrix:
    """Values along the last axis, a missing one as the one before it: a step onto a mixture that cannot be changes
    nothing, and the next one that can be changes all."""
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, np.arange(values.shape[-1]), 0), axis=-1)
    return np.take_along_axis(values, last, axis=-1)
