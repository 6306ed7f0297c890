"""What a run may ask of training beyond the contract."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from components.train.estimators import Balance, Resampling, Weighting
from components.train.tuning import Sampler, Tuning


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`candidates` names those to choose from, all when it is empty."""

    candidates: tuple[str, ...] = ()
    tuning: Tuning = Tuning()
    balance: Balance = Balance()

    @property
    def parameters(self) -> dict[str, object]:
        """As a pipeline's parameters; what `options` was given."""
        return {
            "candidates": ",".join(self.candidates),
            "tune_trials": self.tuning.trials,
            "tune_sampler": self.tuning.sampler,
            "resample": self.balance.resample,
            "class_weight": self.balance.class_weight,
        }


def options(
    candidates: str = "",
    tune_trials: int = 0,
    tune_sampler: str = "tpe",
    resample: str = "none",
    class_weight: str = "none",
) -> Options:
    """The options of a pipeline's parameters; `candidates` is a comma-separated list.

    Raises UserError, naming the parameter, for a value that is none of its own."""
    if tune_trials < 0:
        raise UserError(f"there are no {tune_trials} trials", where="parameter tune_trials", remedy="0, or more")
    return Options(
        candidates=tuple(name.strip() for name in candidates.split(",") if name.strip()),
        tuning=Tuning(trials=tune_trials, sampler=_one_of("tune_sampler", tune_sampler, Sampler)),
        balance=Balance(
            resample=_one_of("resample", resample, Resampling),
            class_weight=_one_of("class_weight", class_weight, Weighting),
        ),
    )


def _one_of(parameter: str, value: str, literal: Any) -> Any:
    """`value`, if it is one of a Literal's."""
    known = [str(choice) for choice in get_args(literal)]
    if value not in known:
        raise UserError(
            f"'{value}' is none of its values", where=f"parameter {parameter}", remedy=nearest(value, known)
        )
    return value
