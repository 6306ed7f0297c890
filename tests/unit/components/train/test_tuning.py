from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from churn.domain.contract import Candidate
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.train import selection, studies, tuning
from components.train.estimators import Balance
from components.train.selection import Folds
from components.train.tuning import Tuning
from tests import training
from tests.training import LOGISTIC, XGBOOST

TUNED = msgspec.structs.replace(
    LOGISTIC, params={"C": 1e-4, "max_iter": 200}, tune={"C": {"log": [1e-5, 10.0]}, "max_iter": [50, 300]}
)


@pytest.fixture(scope="module")
def folds() -> Folds:
    data = training.generated(600)
    return Folds(data.contract, data.rows, Balance())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path)})


def tune(settings: Settings, folds: Folds, one: Candidate = TUNED, **kwargs: object) -> tuple[dict, list[str]]:
    """The tuned parameters, and what was said."""
    said: list[str] = []
    (found,) = tuning.tuned(settings, folds, [one], Tuning(**kwargs), said.append)
    return found.params, said


def trials(settings: Settings, folds: Folds, one: Candidate = TUNED, **kwargs: object) -> list:
    search = tuning._Search(folds, one, Tuning(**kwargs))
    with studies.open_study(settings, search.study, search.direction) as study:
        return study.get_trials()


class InterruptedSearchError(Exception):
    pass


def interrupt_at(words: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if words in line:
            raise InterruptedSearchError

    return say


def loss(folds: Folds, params: dict) -> float:
    one = msgspec.structs.replace(TUNED, params=params)
    return selection.judge(folds.contract, folds.rows, one, selection.out_of_fold(folds, one)).cv["log_loss"].mean


def test_without_trials_nothing_changes_and_nothing_is_written(settings: Settings, folds: Folds) -> None:
    assert tuning.tuned(settings, folds, [TUNED], Tuning(), print) == [TUNED]
    assert list(settings.home.iterdir()) == []


def test_a_candidate_without_ranges_keeps_its_parameters(settings: Settings, folds: Folds) -> None:
    assert tune(settings, folds, XGBOOST, trials=3) == (XGBOOST.params, [])


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_tuning_finds_better_parameters_on_the_folds(sampler: str, settings: Settings, folds: Folds) -> None:
    params, said = tune(settings, folds, trials=6, sampler=sampler)
    assert loss(folds, params) < loss(folds, TUNED.params) - 0.01
    assert 1e-5 <= params["C"] <= 10
    assert 50 <= params["max_iter"] <= 300
    assert isinstance(params["max_iter"], int)
    assert len(said) == 6
    assert said[0].startswith("logistic: trial 1 of 6: log_loss 0.")


def test_the_first_trial_is_the_candidates_own_parameters(settings: Settings, folds: Folds) -> None:
    tune(settings, folds, trials=2)
    first = trials(settings, folds, trials=2)[0]
    assert first.params == TUNED.params
    assert first.value == pytest.approx(loss(folds, TUNED.params))


def test_one_trial_is_no_tuning(settings: Settings, folds: Folds) -> None:
    assert tune(settings, folds, trials=1)[0] == TUNED.params


def test_parameters_of_their_own_outside_of_the_ranges_are_tried_as_well(settings: Settings, folds: Folds) -> None:
    """The best there is, out of range; all that the ranges hold is bad."""
    one = msgspec.structs.replace(
        TUNED, params={"C": 0.1, "max_iter": 500}, tune={"C": {"log": [1e-9, 1e-8]}, "max_iter": [1, 2]}
    )
    assert tune(settings, folds, one, trials=3)[0] == one.params


def test_a_repeated_search_tries_nothing_again(settings: Settings, folds: Folds) -> None:
    first, _ = tune(settings, folds, trials=4)
    second, said = tune(settings, folds, trials=4)
    assert first == second
    assert said == ["logistic: 4 trials are remembered"]


def test_more_trials_later_are_added_to_those_that_are_remembered(settings: Settings, folds: Folds) -> None:
    tune(settings, folds, trials=3)
    assert len(tune(settings, folds, trials=5)[1]) == 1 + 2
    assert len(trials(settings, folds, trials=5)) == 5


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_search_that_was_interrupted_ends_as_if_it_had_not_been(sampler: str, folds: Folds, tmp_path: Path) -> None:
    whole, broken = (Settings.load({"CHURN_HOME": str(tmp_path / name)}).prepare() for name in ("whole", "broken"))
    best, _ = tune(whole, folds, trials=5, sampler=sampler)
    with pytest.raises(InterruptedSearchError):
        tuning.tuned(broken, folds, [TUNED], Tuning(trials=5, sampler=sampler), interrupt_at("trial 2 of 5"))
    search = tuning._Search(folds, TUNED, Tuning(trials=5, sampler=sampler))
    with studies.open_study(broken, search.study, search.direction) as study:
        search.ask(study, 2)  # begun, and killed
    assert tune(broken, folds, trials=5, sampler=sampler)[0] == best
    done = [one.params for one in trials(broken, folds, trials=5, sampler=sampler) if one.state.name != "FAIL"]
    assert done == [one.params for one in trials(whole, folds, trials=5, sampler=sampler)]


def test_other_rows_other_ranges_and_another_sampler_are_other_searches(folds: Folds) -> None:
    rows = folds.rows
    fewer = Folds(folds.contract, selection.Rows(rows.features, rows.y, rows.folds[1:]), Balance())
    searches = [
        tuning._Search(folds, TUNED, Tuning(trials=3)),
        tuning._Search(fewer, TUNED, Tuning(trials=3)),
        tuning._Search(folds, msgspec.structs.replace(TUNED, tune={"C": [0.1, 1.0]}), Tuning(trials=3)),
        tuning._Search(folds, TUNED, Tuning(trials=3, sampler="random")),
        tuning._Search(Folds(folds.contract, rows, Balance(class_weight="balanced")), TUNED, Tuning(trials=3)),
    ]
    assert len({search.study for search in searches}) == len(searches)
    assert tuning._Search(folds, TUNED, Tuning(trials=9)).study == searches[0].study


def test_a_trial_that_lags_behind_the_median_is_given_up_and_never_the_first(settings: Settings, folds: Folds) -> None:
    one = msgspec.structs.replace(TUNED, params={"C": 1e-9}, tune={"C": {"log": [1e-9, 10.0]}})
    params, said = tune(settings, folds, one, trials=16, sampler="random")
    states = [trial.state.name for trial in trials(settings, folds, one, trials=16, sampler="random")]
    assert states[0] == "COMPLETE"
    assert "PRUNED" in states
    assert any("given up after" in line for line in said)
    assert params["C"] > 1e-3


def test_a_metric_that_rises_is_maximised(settings: Settings, folds: Folds) -> None:
    contract = training.telco(metric="roc_auc")
    rising = Folds(contract, folds.rows, Balance())
    _, said = tune(settings, rising, trials=4)
    values = [trial.value for trial in trials(settings, rising, trials=4) if trial.state.name == "COMPLETE"]
    assert f"(best {max(values):.4f})" in said[-1]
    assert max(values) > min(values)


def test_a_grid_is_spread_over_the_ranges_and_ends_when_it_is_exhausted(settings: Settings, folds: Folds) -> None:
    one = msgspec.structs.replace(TUNED, tune={"max_iter": [100, 102]})
    _, said = tune(settings, folds, one, trials=10, sampler="grid")
    tried = [trial.params["max_iter"] for trial in trials(settings, folds, one, trials=10, sampler="grid")[1:]]
    assert sorted(tried) == [100, 101, 102]
    assert len(said) == 4
    search = tuning._Search(folds, TUNED, Tuning(trials=9, sampler="grid"))
    assert sorted({point["C"] for point in search.grid}) == pytest.approx([1e-5, 1e-2, 10], rel=1e-9)
    assert len(search.grid) == 9


def test_a_choice_is_tuned_as_one(settings: Settings, folds: Folds) -> None:
    one = msgspec.structs.replace(TUNED, params={"C": 1e-4}, tune={"C": {"any": [1e-4, 0.5]}})
    assert tune(settings, folds, one, trials=3, sampler="grid")[0] == {"C": 0.5}


@pytest.mark.parametrize(
    "spec", [[3, 1], [1, 1], [1, 2, 3], "1-2", {"log": [0, 1]}, {"log": [1, 2], "any": [1]}, {"any": []}, [True, 3], {}]
)
def test_a_range_that_is_none_is_refused_by_name(spec: object, settings: Settings, folds: Folds) -> None:
    one = msgspec.structs.replace(TUNED, tune={"C": spec})
    with pytest.raises(UserError, match=r"candidate logistic, tune\.C: .* is no range"):
        tune(settings, folds, one, trials=2)


def test_a_range_of_a_parameter_that_does_not_exist_is_refused(settings: Settings, folds: Folds) -> None:
    one = msgspec.structs.replace(TUNED, tune={"CC": [0.1, 1.0]})
    with pytest.raises(UserError, match="has no parameter 'CC'"):
        tune(settings, folds, one, trials=2)
