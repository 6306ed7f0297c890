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

from churn.domain.synthetic import law
from churn.domain.synthetic.customers import INTERNET, PAYMENT, Codes, Customers, Floats, base_share, draw
from churn.domain.synthetic.tenure import LONGEST

STAYS, CHURNS, EXITS, CHANGES = range(4)
"""What becomes of a customer; `CHANGES + contract` changes to that contract and stays."""

_SAMPLE = 4096
_CONTRACTS = range(3)


@dataclass(frozen=True)
class Turnover:
    """Monthly rates by contract now and tenure next month, (3, 73), of all who would arrive there if nobody left."""

    stay: Floats
    """The largest chance to stay unchanged; who churns more stays less."""
    change: Floats
    """(3 from, 3 to, 73): who changes contract."""
    entry: Floats
    """Share of the newcomers in each cell; sums to 1."""


@cache
def turnover() -> Turnover:
    """The rates under which the base law is stationary."""
    share = base_share()
    hazard = _hazards()
    arriving = _aged(share)
    left = _aged(share * (1 - hazard.mean(axis=2)))
    surplus, lack = np.maximum(left - share, 0), np.maximum(share - left, 0)
    changing = np.minimum(surplus.sum(axis=0), lack.sum(axis=0))
    change = (surplus * _ratio(changing, surplus.sum(axis=0)))[:, None] * _ratio(lack, lack.sum(axis=0))
    entry = lack * (1 - _ratio(changing, lack.sum(axis=0)))
    unchanged = _ratio(np.minimum(left, share), arriving)
    before = np.maximum(np.arange(LONGEST + 1) - 1, 0)
    return Turnover(_ceiling(1 - hazard[:, before], unchanged), _ratio(change, arriving[:, None]), entry / entry.sum())


def fates(rng: np.random.Generator, customers: Customers, usual: Floats, actual: Floats) -> Codes:
    """What becomes of each customer before the next snapshot, (n,). `usual` and `actual` are chances to churn: without
    drift, to which the unlabelled flows are matched, and as the world is."""
    rates = turnover()
    contract, tenure = customers.codes["Contract"], aged(customers.tenure)
    safe = 1 - usual
    dice = rng.random(len(customers)) * safe
    fate = np.full(len(customers), STAYS, np.uint8)
    fate[dice < safe - rates.stay[contract, tenure]] = EXITS
    threshold = np.zeros(len(customers))
    for to in _CONTRACTS:
        above = dice >= threshold
        threshold += rates.change[contract, to, tenure] * _likeness(customers, to)
        fate[above & (dice < threshold)] = CHANGES + to
    fate[rng.random(len(customers)) < actual] = CHURNS
    return fate


def aged(tenure: Codes) -> Codes:
    """A month later."""
    return np.minimum(tenure + 1, LONGEST).astype(np.uint8)


def _likeness(customers: Customers, contract: int) -> Floats:
    """How much more common customers like these are under `contract` than under their own: those change to it."""
    own = customers.codes["Contract"]
    internet, payment = customers.codes["InternetService"], customers.codes["PaymentMethod"]
    return (INTERNET[contract] / INTERNET)[own, internet] * (PAYMENT[contract] / PAYMENT)[own, payment]


def _hazards() -> Floats:
    """The chance to churn in a month of a sample of customers in each cell, (3, 73, sample)."""
    rng = np.random.default_rng(0)
    serial, tenure = np.arange(_SAMPLE), np.zeros(_SAMPLE, np.uint8)
    profiles = [law.profile(draw(rng, serial, np.full(_SAMPLE, c, np.uint8), tenure)) for c in _CONTRACTS]
    return law.sigmoid(law.CONSTANT["monthly"] + law.TENURE_EFFECT[:, None] + np.array(profiles)[:, None])


def _aged(mass: Floats) -> Floats:
    """Mass by cell a month later, nobody having entered."""
    later = np.zeros_like(mass)
    later[:, 1:] = mass[:, :-1]
    later[:, LONGEST] += mass[:, LONGEST]
    return later


def _ceiling(safe: Floats, mean: Floats) -> Floats:
    """The ceilings c with mean(min(safe, c)) = `mean` in each cell, by bisection; 1 where nobody need leave."""
    low, high = np.zeros_like(mean), np.ones_like(mean)
    for _ in range(30):
        middle = (low + high) / 2
        enough = np.minimum(safe, middle[..., None]).mean(axis=2) >= mean
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, 0 where there is nothing."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
