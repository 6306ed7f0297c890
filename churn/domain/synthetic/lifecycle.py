"""What happens to customers between two snapshots, so that the base stays what it is while nobody stays the same.

Left alone, a base would lose those who churn most and age. Three flows restore it: exits without a label (moved away,
never paid, six years over), changes of contract, and newcomers, a few of whom take over an account with its months.
Each cell of contract and tenure must next month hold what it holds in the stationary law; `turnover` solves this
balance once. Within a cell the unlabelled flows take those whom churn spares, so that everyone leaves a cell at the
same rate and its mixture of customers stays as it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from churn.domain.synthetic import law
from churn.domain.synthetic.customers import (
    INTERNET,
    Codes,
    Customers,
    Floats,
    base_share,
    billed,
    draw_habits,
    draw_lines,
)
from churn.domain.synthetic.tenure import LONGEST

STAYS, CHURNS, EXITS, CHANGES = range(4)
"""What becomes of a customer; `CHANGES + contract` changes to that contract and stays."""

_SAMPLE = 4096
_CONTRACTS = range(3)


@dataclass(frozen=True)
class Turnover:
    """Monthly chances by contract now and tenure next month, (3, 73)."""

    stay: Floats
    """The largest chance to stay unchanged: who churns or changes contract more often than this leaves has less."""
    change: Floats
    """(3 from, 3 to, 73): the mean chance to change contract."""
    entry: Floats
    """Share of the newcomers in each cell; sums to 1."""
    internet: Floats
    """(3, 3): what internet newcomers have given the contract, so that each kind loses as many as it gains."""


@cache
def turnover() -> Turnover:
    """The chances under which the base law is stationary."""
    samples = [_sample(contract) for contract in _CONTRACTS]
    safe = 1 - np.array([_hazard(customers) for customers in samples])
    share = base_share()
    arriving, left = _aged(share), _aged(share * safe.mean(axis=2))
    change, entry = _balance(arriving, left, share)
    safe = safe[:, np.maximum(np.arange(LONGEST + 1) - 1, 0)]  # by tenure next month, as everything here
    free = safe - np.array([change[c].T @ _likeness(samples[c]) for c in _CONTRACTS])
    stay = _ceiling(free, _ratio(np.minimum(left, share), arriving))
    gone = arriving[..., None] * (1 - safe + np.maximum(free - stay[..., None], 0))
    return Turnover(stay, change, entry / entry.sum(), _internet_of_newcomers(samples, gone, entry))


def _balance(arriving: Floats, left: Floats, share: Floats) -> tuple[Floats, Floats]:
    """The chances to change contract, (3 from, 3 to, 73), and the newcomers of each cell, (3, 73): cells that hold too
    many feed those of the same tenure that hold too few, and newcomers fill what is lacking then."""
    surplus, lack = np.maximum(left - share, 0), np.maximum(share - left, 0)
    changing = np.minimum(surplus.sum(axis=0), lack.sum(axis=0))
    leaving = surplus * _ratio(changing, surplus.sum(axis=0))
    change = _ratio(leaving, arriving)[:, None] * _ratio(lack, lack.sum(axis=0))
    return change, lack * (1 - _ratio(changing, lack.sum(axis=0)))


def _internet_of_newcomers(samples: list[Customers], gone: Floats, entry: Floats) -> Floats:
    """The law of internet given the contract, tilted to the mixture of those who are gone (3, 73, sample)."""
    of_kind = [[customers.codes["InternetService"] == kind for kind in range(3)] for customers in samples]
    lost = np.array([[gone[c][:, of_kind[c][kind]].mean(axis=1).sum() for kind in range(3)] for c in _CONTRACTS])
    wanted = (INTERNET * lost).sum(axis=0)
    tilted = INTERNET * wanted / (entry.sum(axis=1) @ INTERNET)
    law_of_newcomers: Floats = tilted / tilted.sum(axis=1, keepdims=True)
    return law_of_newcomers


def fates(rng: np.random.Generator, customers: Customers, usual: Floats, actual: Floats) -> Codes:
    """What becomes of each customer before the next snapshot, (n,). `usual` and `actual` are chances to churn: without
    drift, which the other flows make up for, and as the world is."""
    rates, contract, tenure = turnover(), customers.codes["Contract"], aged(customers.tenure)
    safe = 1 - usual
    cell = np.ravel_multi_index((contract, customers.codes["InternetService"], tenure), (3, 3, LONGEST + 1))
    dice = _even_dice(rng, cell) * safe
    changed = (rates.change[contract, :, tenure].T * _likeness(customers)).cumsum(axis=0)
    fate = np.where(dice < np.maximum(changed[-1], safe - rates.stay[contract, tenure]), EXITS, STAYS).astype(np.uint8)
    for to in reversed(_CONTRACTS):
        fate[dice < changed[to]] = CHANGES + to
    fate[rng.random(len(customers)) < actual] = CHURNS
    return fate


def _even_dice(rng: np.random.Generator, cell: npt.NDArray[np.intp]) -> Floats:
    """Numbers in [0, 1) that fall evenly within each cell, (n,): cells keep their size although people in them vary."""
    golden = (rng.random() + np.arange(len(cell)) * 0.6180339887498949) % 1
    dice = np.empty(len(cell))
    dice[np.argsort(cell.astype(np.int16), kind="stable")] = golden
    return dice


def aged(tenure: Codes) -> Codes:
    """A month later."""
    return np.minimum(tenure + 1, LONGEST).astype(np.uint8)


def _likeness(customers: Customers) -> Floats:
    """How much more common their internet is under each contract than under their own, (3, n): those change to it."""
    own = customers.codes["Contract"]
    internet = customers.codes["InternetService"]
    ratio: Floats = INTERNET[:, internet] / INTERNET[own, internet]
    return ratio


def _sample(contract: int) -> Customers:
    """Customers of one contract; their tenure does not matter."""
    rng, nothing = np.random.default_rng(contract), np.zeros(_SAMPLE, np.uint8)
    codes = draw_habits(rng, _SAMPLE) | draw_lines(rng, nothing + np.uint8(contract))
    return billed(rng, np.arange(_SAMPLE), nothing, codes)


def _hazard(customers: Customers) -> Floats:
    """The chance of each to churn in a month, had they each tenure, (73, n)."""
    return law.sigmoid(law.CONSTANT["monthly"] + law.TENURE_EFFECT[:, None] + law.profile(customers))


def _aged(mass: Floats) -> Floats:
    """Mass by cell a month later, nobody having entered."""
    later = np.zeros_like(mass)
    later[:, 1:] = mass[:, :-1]
    later[:, LONGEST] += mass[:, LONGEST]
    return later


def _ceiling(free: Floats, mean: Floats) -> Floats:
    """The ceilings c with mean(min(free, c)) = `mean` in each cell, by bisection; 1 where nobody need leave."""
    low, high = np.zeros_like(mean), np.ones_like(mean)
    for _ in range(30):
        middle = (low + high) / 2
        enough = np.minimum(free, middle[..., None]).mean(axis=2) >= mean
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
