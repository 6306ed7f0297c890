"""What follows from probabilities: decision, risk, recommendation and reasons, as columns of codes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.domain.bundle import Bundle
from churn.domain.contract import Contract, Level
from churn.domain.explanation import Contributions, Explainer, reasons

Matrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

LEVELS: tuple[Level, ...] = get_args(Level)
TOP = 3
"""How many reasons a row gets."""

_AT_ONCE = 4096


class Advice:
    """Advises by a bundle's bounds and its contract's words. Threads may share one.

    The strongest reason is looked for only where a level's advice depends on it, or `told` asks for reasons."""

    def __init__(self, bundle: Bundle, *, told: bool) -> None:
        self._contract, self._manifest = bundle.contract, bundle.manifest
        self.told = told
        advice = [self._contract.advice(level) for level in LEVELS]
        words = dict.fromkeys(word for one in advice for word in (one.default, *one.by_reason.values()))
        self._words = pa.array(list(words), pa.string())
        self._levels = pa.array(LEVELS, pa.string())
        place = {word: number for number, word in enumerate(words)}
        # One column more, for rows that nothing raises.
        self._by_reason = np.array(
            [[place[one.by_reason.get(column, one.default)] for column in (*self._contract.raw, "")] for one in advice],
            np.int32,
        )
        self._depends = np.array([bool(one.by_reason) for one in advice])
        self._explainer = Explainer.of(bundle)

    @property
    def explains(self) -> bool:
        """Whether any row may need an explanation."""
        return self.told or bool(self._depends.any())

    def warm(self) -> None:
        """Loads what explaining needs, where it is needed."""
        if self.explains:
            self._explainer.warm()

    def columns(self, rows: Matrix, probability: Matrix) -> dict[str, pa.Array]:
        """`decision`, `risk`, `recommendation` and, where they are told, `reasons` of rows (n, k)."""
        level = np.searchsorted(self._manifest.risk, probability, side="right").astype(np.int32)
        strongest = np.full(len(rows), len(self._contract.raw))
        found: dict[str, pa.Array] = {
            "decision": pa.array(probability >= self._manifest.threshold),
            "risk": pa.DictionaryArray.from_arrays(level, self._levels),
        }
        told: list[list[str]] = []
        if self.explains:
            asked = np.arange(len(rows)) if self.told else np.nonzero(self._depends[level])[0]
            for start in range(0, len(asked), _AT_ONCE):
                some = asked[start : start + _AT_ONCE]
                given = self._explainer.explain(rows[some])
                strongest[some] = _strongest(given)
                if self.told:
                    told += _texts(self._contract, rows[some], given)
        found["recommendation"] = pa.DictionaryArray.from_arrays(self._by_reason[level, strongest], self._words)
        if self.told:
            found["reasons"] = pa.array(told, pa.list_(pa.string()))
        return found


def _strongest(given: Contributions) -> npt.NDArray[np.int64]:
    """The column that raises the risk most, or one beyond the last where none does."""
    most = given.values.argmax(axis=1)
    return np.asarray(np.where(given.values.max(axis=1) > 0, most, given.values.shape[1]), np.int64)


def _texts(contract: Contract, rows: Matrix, given: Contributions) -> list[list[str]]:
    return [[reason.text for reason in row] for row in reasons(contract, rows, given, TOP)]
