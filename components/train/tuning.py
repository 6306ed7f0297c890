"""Parameters sought on the folds, with Optuna: resumable, and the same search every time."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from churn.domain import metrics
from churn.domain.contract import Candidate
from churn.stores.settings import Settings
from components.train import estimators, ranges, studies
from components.train.selection import Folds

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "random", "grid"]
Params = dict[str, Any]


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """How many parameter sets each candidate with ranges may try, its own among them; 0 tunes nothing."""

    trials: int = 0
    sampler: Sampler = "tpe"


def tuned(
    settings: Settings, folds: Folds, candidates: Sequence[Candidate], tuning: Tuning, say: Callable[[str], None]
) -> list[Candidate]:
    """The candidates with the parameters that did best on the folds, by the contract's metric.

    Every candidate with `tune` ranges gets `tuning.trials`, so that none is preferred for having had more luck. The
    first is its own parameters, never pruned: on the folds, tuning cannot end worse. Finished trials of the same rows,
    ranges and sampler are remembered: a run that was killed goes on where it stopped, one that is repeated tries
    nothing again. A trial that lags behind the median after a fold is given up.
    The best of many trials looks better on the folds than it is; only the hold-out is an honest judge of it.
    Raises UserError for a range that is none."""
    if not tuning.trials:
        return list(candidates)
    return [_tuned(settings, _Search(folds, one, tuning), say) if one.tune else one for one in candidates]


@dataclass(frozen=True)
class _Search:
    """The tuning of one candidate."""

    folds: Folds
    candidate: Candidate
    tuning: Tuning

    @cached_property
    def space(self) -> dict[str, Any]:
        """The distribution (see `ranges`) of each tuned parameter."""
        where = f"candidate {self.candidate.name}, tune"
        return {name: ranges.distribution(spec, f"{where}.{name}") for name, spec in self.candidate.tune.items()}

    @cached_property
    def own(self) -> Params:
        """The candidate's own values, as far as they lie in the ranges."""
        current = estimators.build(self.candidate)["model"].get_params()
        return {name: current[name] for name, space in self.space.items() if ranges.contains(space, current.get(name))}

    @property
    def metric(self) -> str:
        """What is sought to be best."""
        return self.folds.contract.training.metric

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which way is better."""
        return "minimize" if self.metric in metrics.SMALLER_IS_BETTER else "maximize"

    @property
    def study(self) -> str:
        """A name that two searches share only if they would try the same parameters on the same rows."""
        contract, rows = self.folds.contract, self.folds.rows
        content = [rows.digest, contract.digest, self.candidate, self.folds.balance, self.tuning.sampler]
        digest = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]
        return f"{contract.name}/{self.candidate.name}/{digest}"

    @cached_property
    def grid(self) -> list[Params]:
        """Evenly spaced values of each parameter, as many as it takes for all trials, combined, in a mixed order."""
        points = 2
        while points ** len(self.space) < self.tuning.trials:
            points += 1
        names, values = list(self.space), [ranges.spaced(space, points) for space in self.space.values()]
        combined = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
        random.Random(0).shuffle(combined)  # noqa: S311 - an order, not a secret
        return combined

    def ask(self, study: optuna.Study, number: int) -> optuna.trial.Trial | None:
        """Trial `number`: the candidate's own parameters, then what the sampler says; None when a grid is exhausted.

        The sampler is seeded anew each time, so that a search that was interrupted goes on as if it had not been."""
        from optuna.samplers import PartialFixedSampler, RandomSampler, TPESampler

        study.sampler = TPESampler(seed=number) if self.tuning.sampler == "tpe" else RandomSampler(seed=number)
        if number == 0:
            study.sampler = PartialFixedSampler(self.own, study.sampler)
            return study.ask({name: self.space[name] for name in self.own})
        if self.tuning.sampler == "grid":
            if number > len(self.grid):
                return None
            study.sampler = PartialFixedSampler(self.grid[number - 1], study.sampler)
        return study.ask(self.space)

    def evaluate(self, trial: optuna.trial.Trial, *, prunable: bool) -> tuple[float, int]:
        """The mean of the metric over the folds, and how many were looked at: all, unless the trial is given up."""
        contract, y = self.folds.contract, self.folds.rows.y
        candidate = _with(self.candidate, trial.params)
        found: list[float] = []
        with closing(self.folds.in_turn(candidate)) as judged:
            for fold, p in judged:
                found.append(metrics.measure(y[fold.test], p, 0.5, contract.costs)[self.metric])
                trial.report(float(np.mean(found)), len(found))
                if prunable and trial.should_prune():
                    break
        return float(np.mean(found)), len(found)


def _tuned(settings: Settings, search: _Search, say: Callable[[str], None]) -> Candidate:
    from optuna.pruners import MedianPruner
    from optuna.trial import TrialState

    with studies.open_study(settings, search.study, search.direction) as study:
        study.pruner = MedianPruner()
        finished = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))
        if finished:
            say(f"{search.candidate.name}: {finished} trials are remembered")
        for number in range(finished, search.tuning.trials):
            trial = search.ask(study, number)
            if trial is None:
                break
            _run(study, search, trial, number, say)
        return _with(search.candidate, study.best_params)


def _run(
    study: optuna.Study, search: _Search, trial: optuna.trial.Trial, number: int, say: Callable[[str], None]
) -> None:
    from optuna.trial import TrialState

    value, folds = search.evaluate(trial, prunable=number > 0)
    told = f"{search.candidate.name}: trial {number + 1} of {search.tuning.trials}"
    if folds < len(search.folds.rows.folds):
        study.tell(trial, state=TrialState.PRUNED)
        say(f"{told}: given up after {folds} of {len(search.folds.rows.folds)} folds")
    else:
        study.tell(trial, value)
        say(f"{told}: {search.metric} {value:.4f} (best {study.best_value:.4f})")


def _with(candidate: Candidate, params: Params) -> Candidate:
    return msgspec.structs.replace(candidate, params=candidate.params | params)
