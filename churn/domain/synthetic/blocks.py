"""Customers are generated in blocks with dice of their own: memory is bounded and no block knows of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from churn.domain.errors import UserError
from churn.domain.synthetic.customers import Serials

SIZE = 131_072
"""Customers in a full block; part of what a seed means."""


@dataclass(frozen=True)
class Plot:
    """A block before anybody lives there."""

    index: int
    blocks: int
    size: int
    rng: np.random.Generator

    def serials(self, start: int, count: int) -> Serials:
        """Numbers `start` to `start + count` of this block's own, unique among all blocks, (count,)."""
        return np.arange(start, start + count) * self.blocks + self.index


def plots(customers: int, seed: int) -> Iterator[Plot]:
    """The blocks that hold `customers`. Raises UserError when there would be nobody, or no seed."""
    require(customers > 0, f"{customers} customers cannot be generated", "--customers", "ask for 1 or more")
    require(seed >= 0, f"the seed {seed} is negative", "--seed", "take 0 or more")
    blocks = -(-customers // SIZE)
    for index in range(blocks):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        yield Plot(index, blocks, min(SIZE, customers - index * SIZE), rng)


def require(met: bool, problem: str, where: str, remedy: str) -> None:  # noqa: FBT001 - the condition itself
    """Raises UserError unless `met`."""
    if not met:
        raise UserError(problem, where=where, remedy=remedy)
