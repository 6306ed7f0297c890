"""What an explanation holds, and what gives one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """`values` (n, k): what each contract column of each row adds to the log-odds, which start from `base`.

    Not `exact` means sampled: they add up all the same, but each is somewhat uncertain."""

    values: Matrix
    base: float
    exact: bool


class Method(Protocol):
    """A way to explain one model. Threads may share one."""

    def explain(self, columns: Matrix) -> Contributions:
        """Contributions for columns (n, k)."""
        ...
