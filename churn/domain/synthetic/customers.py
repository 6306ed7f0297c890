"""Customers as arrays, and the law by which new ones are drawn (shares fitted on the IBM sample)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from churn.domain.synthetic.columns import DSL, INTERNET_SERVICES, NO_INTERNET
from churn.domain.synthetic.tenure import LAW as TENURE

Floats = npt.NDArray[np.float64]
Dollars = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
Serials = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CONTRACT = np.array([0.550, 0.209, 0.241])
INTERNET = np.array([[0.316, 0.549, 0.135], [0.387, 0.366, 0.247], [0.371, 0.253, 0.376]])
"""Share of DSL, fiber, none (columns) given the contract (rows)."""

_CHECK = np.array([0.48, 0.24, 0.10])
_OTHER_PAYMENTS = np.array([0.229, 0.219, 0.216]) / 0.664
PAYMENT = np.column_stack([_CHECK, np.outer(1 - _CHECK, _OTHER_PAYMENTS)])
"""Share of the four payment methods (columns) given the contract (rows)."""

HABITS = {
    "gender": 0.505, "SeniorCitizen": 0.162, "Partner": 0.483, "Dependents": 0.300, "PaperlessBilling": 0.592,
    "MultipleLines": 0.467, "OnlineSecurity": 0.366, "OnlineBackup": 0.440, "DeviceProtection": 0.439,
    "TechSupport": 0.370, "StreamingTV": 0.491, "StreamingMovies": 0.495,
}  # fmt: skip
"""Share of code 1; for services among those who can have them."""

NO_PHONE_WITH_DSL = 0.28
SERVICE_PRICE = {
    "MultipleLines": 5.0, "OnlineSecurity": 5.0, "OnlineBackup": 5.0, "DeviceProtection": 5.0, "TechSupport": 5.0,
    "StreamingTV": 10.0, "StreamingMovies": 10.0,
}  # fmt: skip
PRICE_NOISE = 1.02
TOTAL_NOISE = 0.20


@dataclass
class Customers:
    """n customers. `codes` holds a category's place in `CATEGORIES` for each column; a service's code speaks as if its
    owner had the line it needs (see `shown`). `tenure` in months, `monthly` charge and `total` billed so far in USD."""

    serial: Serials
    codes: dict[str, Codes]
    tenure: Codes
    monthly: Dollars
    total: Dollars

    def __len__(self) -> int:
        return len(self.serial)

    def shown(self, column: str) -> Codes:
        """The codes of `column` as a table shows them: a service without its line is code 2, "No ... service"."""
        codes = self.codes[column]
        if column in INTERNET_SERVICES:
            return np.where(self.codes["InternetService"] == NO_INTERNET, np.uint8(2), codes)
        if column == "MultipleLines":
            return np.where(self.codes["PhoneService"] == 0, np.uint8(2), codes)
        return codes

    def view(self) -> Customers:
        """A copy whose arrays may be exchanged, not written to."""
        return replace(self, codes=dict(self.codes))

    def put(self, rows: npt.NDArray[np.intp], others: Customers) -> None:
        """Writes `others` over the customers in `rows`."""
        self.serial[rows], self.tenure[rows] = others.serial, others.tenure
        self.monthly[rows], self.total[rows] = others.monthly, others.total
        for name, codes in self.codes.items():
            codes[rows] = others.codes[name]


def base_share() -> Floats:
    """Share of the base in each cell of contract and tenure, (3, 73)."""
    return CONTRACT[:, None] * TENURE


def draw_base(rng: np.random.Generator, serial: Serials) -> Customers:
    """Customers as the base holds them at any time."""
    contract, tenure = draw_cells(rng, len(serial), base_share())
    return billed(rng, serial, tenure, draw_habits(rng, len(serial)) | draw_lines(rng, contract))


def draw_cells(rng: np.random.Generator, n: int, share: Floats) -> tuple[Codes, Codes]:
    """Contract and tenure of n customers, as near to `share` (3, 73; sums to 1) as n allows, in random order."""
    dice = rng.permutation((np.arange(n) + rng.random()) / n)
    contract, tenure = np.divmod(np.searchsorted(share.ravel().cumsum()[:-1], dice, side="right"), share.shape[1])
    return contract.astype(np.uint8), tenure.astype(np.uint8)


def draw_habits(rng: np.random.Generator, n: int) -> dict[str, Codes]:
    """What does not depend on the contract: the columns of `HABITS`."""
    return {name: _flip(rng, n, share) for name, share in HABITS.items()}


def draw_lines(rng: np.random.Generator, contract: Codes, shares: Floats = INTERNET) -> dict[str, Codes]:
    """The contract, and what depends on it: internet (by `shares` given the contract), phone, payment."""
    internet = _choose(rng, shares, contract)
    phone = 1 - (_flip(rng, len(contract), NO_PHONE_WITH_DSL) & (internet == DSL))
    payment = draw_payment(rng, contract)
    return {"Contract": contract, "InternetService": internet, "PhoneService": phone, "PaymentMethod": payment}


def draw_payment(rng: np.random.Generator, contract: Codes) -> Codes:
    """How owners of these contracts pay."""
    return _choose(rng, PAYMENT, contract)


def billed(rng: np.random.Generator, serial: Serials, tenure: Codes, codes: dict[str, Codes]) -> Customers:
    """Customers who have paid about the list price of what they have since they came."""
    nothing = np.zeros(len(serial), np.float32)
    customers = Customers(serial, codes, tenure, nothing, nothing)
    noise = rng.standard_normal((2, len(serial)), np.float32)
    customers.monthly = list_price(customers) + np.float32(PRICE_NOISE) * noise[0]
    months = tenure + np.float32(TOTAL_NOISE) * np.sqrt(tenure, dtype=np.float32) * noise[1]
    customers.total = np.maximum(months * customers.monthly, 0)
    return customers


@cache
def typical() -> Customers:
    """A fixed sample of the base, to measure shares on."""
    return draw_base(np.random.default_rng(0), np.arange(50_000))


def list_price(customers: Customers) -> Dollars:
    """USD a month before the customer's own deviation: internet and phone, then each service they have."""
    price = np.array([45, 70, 20], np.float32)[customers.codes["InternetService"]]
    price -= np.float32(20) * (customers.codes["PhoneService"] == 0)
    for name, extra in SERVICE_PRICE.items():
        price += np.float32(extra) * (customers.shown(name) == 1)
    return price


def _flip(rng: np.random.Generator, n: int, share: float) -> Codes:
    return (rng.random(n, np.float32) < share).astype(np.uint8)


def _choose(rng: np.random.Generator, shares: Floats, given: Codes) -> Codes:
    """A code for each row, by the row of `shares` that `given` names."""
    dice = rng.random(len(given), np.float32)
    bounds = shares.cumsum(axis=1)[:, :-1].astype(np.float32)
    chosen = np.zeros(len(given), np.uint8)
    for bound in bounds.T:
        chosen += dice >= bound[given]
    return chosen
