from __future__ import annotations

import pytest

from churn.domain.errors import UserError
from components.train.estimators import Balance
from components.train.options import Options, options
from components.train.tuning import Tuning


def test_what_nobody_asks_for_is_the_default() -> None:
    assert options() == Options()


def test_parameters_become_options() -> None:
    found = options(" xgboost, stack ,", 50, "grid", "smote", "balanced")
    assert found == Options(
        candidates=("xgboost", "stack"),
        tuning=Tuning(trials=50, sampler="grid"),
        balance=Balance(resample="smote", class_weight="balanced"),
    )


def test_options_turn_back_into_the_parameters_they_came_from() -> None:
    parameters = {
        "candidates": "a,b",
        "tune_trials": 3,
        "tune_sampler": "random",
        "resample": "smote",
        "class_weight": "none",
    }
    assert options(**parameters).parameters == parameters


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"tune_trials": -1}, ("tune_trials", "-1")),
        ({"tune_sampler": "tpo"}, ("tune_sampler", "'tpo'", "did you mean 'tpe'?")),
        ({"resample": "smore"}, ("resample", "did you mean 'smote'?")),
        ({"class_weight": "equal"}, ("class_weight", "balanced, none")),
    ],
)
def test_a_value_that_is_none_is_refused_with_the_nearest(parameters: dict, says: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as refused:
        options(**parameters)
    for word in says:
        assert word in str(refused.value)
