"""A simulated year as it is asked for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.domain.synthetic import drift, scenarios
from churn.stores.settings import Settings
from local.simulation.loop import EXECUTORS, ExecutorName

CUSTOMERS = 5_000
CANDIDATES = "logistic-regression,xgboost"
FEWEST_CUSTOMERS = 1_000


@dataclass(frozen=True)
class Request:
    """Checked before anything starts. `scenario` is a specification as in `churn data generate --drift`."""

    scenario: str = scenarios.QUIET
    months: int = 12
    seed: int = 1
    customers: int = CUSTOMERS
    out: Path = Path()
    candidates: str = CANDIDATES
    executor: ExecutorName = "kfp"

    @classmethod
    def parse(  # noqa: PLR0913 - the command's options
        cls, scenario: str, *, months: int, seed: int, customers: int, out: str = "", executor: str = "kfp"
    ) -> Request:
        """Reads what was typed. Raises UserError for what cannot be."""
        begins = _latest(scenario)
        _require(months >= 1, f"{months} months are no year", "--months", "give 1 or more")
        _require(
            begins <= months,
            f"a change begins in month {begins}, after the last",
            "--scenario",
            f"begin it with {scenario.partition('@')[0]}@{months} or before, or let it last longer",
        )
        _require(seed >= 0, f"the seed {seed} is negative", "--seed", "take 0 or more")
        few = f"of {customers:,} customers too few leave in a month to learn from"
        _require(customers >= FEWEST_CUSTOMERS, few, "--customers", f"take {FEWEST_CUSTOMERS:,} or more")
        chosen = next((name for name in EXECUTORS if name == executor), None)
        if chosen is None:
            raise UserError(f"there is no executor '{executor}'", "--executor", nearest(executor, list(EXECUTORS)))
        place = Path(out).expanduser().absolute() if out else _place(scenario, seed)
        _require(not place.exists(), "is there already", str(place), "name another --out, or remove it")
        return cls(scenario, months, seed, customers, place, executor=chosen)


def _latest(scenario: str) -> int:
    """The month in which the last change begins; 0 without any."""
    try:
        return drift.parse(scenario).latest
    except UserError as error:
        raise UserError(error.problem, "--scenario", error.remedy) from None


def _place(scenario: str, seed: int) -> Path:
    name = "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in scenario)
    time = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
    return Settings.load().home / "simulations" / f"{name}-{seed}-{time}"


def _require(met: bool, problem: str, where: str, remedy: str) -> None:  # noqa: FBT001 - the condition itself
    if not met:
        raise UserError(problem, where=where, remedy=remedy)
