"""Candidates on folds: who predicts what for whom, how well, and who is chosen."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain import decision, metrics
from churn.domain.contract import Candidate, Contract
from churn.domain.partition import Fold
from churn.domain.preparation import Preparation
from components.train import ensembles, estimators
from components.train.estimators import Balance, Design

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


class Spread(msgspec.Struct, frozen=True):
    """A metric over the folds."""

    mean: float
    std: float


class CandidateResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one candidate did; `note` says why one was left out or could not be chosen."""

    name: str
    chosen: bool = False
    cv: dict[str, Spread] = {}
    note: str = ""


@dataclass(frozen=True)
class Rows:
    """Development rows: features (n, f), outcomes (n,), and the folds over them."""

    features: Matrix
    y: Vector
    folds: Sequence[Fold]

    @cached_property
    def fold(self) -> npt.NDArray[np.int64]:
        """The fold that judges each row; -1 for a row that none does."""
        number = np.full(len(self.y), -1)
        for position, fold in enumerate(self.folds):
            number[fold.test] = position
        return number

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a fold's metric depends on here."""
        found = hashlib.sha256(self.features.tobytes())
        found.update(self.y.tobytes())
        for fold in self.folds:
            found.update(fold.train.tobytes() + b"|" + fold.test.tobytes() + b"|")
        return found.hexdigest()


@dataclass(frozen=True)
class Judged:
    """A candidate's out-of-fold probabilities (n,), NaN where no fold judges a row, and its metrics by fold."""

    candidate: Candidate
    oof: Vector
    cv: dict[str, Spread]
    threshold: float

    def error(self, metric: str, folds: int) -> float:
        """One standard error of the metric's mean over the folds."""
        return float(self.cv[metric].std / np.sqrt(folds))


class Folds:
    """The folds of one training, with each fold's preparation fitted once and shared by all candidates."""

    def __init__(self, contract: Contract, rows: Rows, balance: Balance) -> None:
        self.contract, self.rows, self.balance = contract, rows, balance
        self._designs = {
            (number, impute): self._prepare(fold, impute=impute)
            for number, fold in enumerate(rows.folds)
            for impute in (False, True)
        }

    def _prepare(self, fold: Fold, *, impute: bool) -> tuple[Design, Design]:
        features = self.rows.features
        preparation = Preparation(self.contract, features[fold.train], impute=impute)
        return preparation.transform(features[fold.train]), preparation.transform(features[fold.test])

    def predict(self, candidate: Candidate, number: int) -> Vector:
        """Probabilities for the rows fold `number` judges, from the rows it trains on."""
        train, test = self._designs[number, estimators.imputed(candidate, self.balance)]
        y = self.rows.y[self.rows.folds[number].train]
        return estimators.predict(estimators.fit(candidate, train, y, self.balance), test)

    def in_turn(self, candidate: Candidate) -> Generator[tuple[Fold, Vector]]:
        """Each fold with the probabilities of the rows it judges; they run side by side, and come in order.

        Whoever has seen enough closes the generator: folds that have not begun are then left out."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting = [pool.submit(self.predict, candidate, number) for number in range(len(self.rows.folds))]
            try:
                for fold, future in zip(self.rows.folds, waiting, strict=True):
                    yield fold, future.result()
            finally:
                pool.shutdown(cancel_futures=True)


def out_of_fold(folds: Folds, candidate: Candidate) -> Vector:
    """The candidate's probabilities (n,) for every row that some fold judges; NaN for others."""
    found = np.full(len(folds.rows.y), np.nan)
    for fold, p in folds.in_turn(candidate):
        found[fold.test] = p
    return found


def judge(contract: Contract, rows: Rows, candidate: Candidate, oof: Vector) -> Judged:
    """Metrics of out-of-fold probabilities: the threshold from all of them, mean and deviation over the folds."""
    seen = ~np.isnan(oof)
    threshold = decision.best_threshold(rows.y[seen], oof[seen], contract.costs)
    by_fold = [metrics.measure(rows.y[fold.test], oof[fold.test], threshold, contract.costs) for fold in rows.folds]
    values = {name: np.array([one[name] for one in by_fold]) for name in metrics.NAMES}
    cv = {name: Spread(float(v.mean()), float(v.std(ddof=1))) for name, v in values.items()}
    return Judged(candidate, oof, cv, threshold)


def ensemble(contract: Contract, rows: Rows, candidate: Candidate, judged: Sequence[Judged]) -> Judged:
    """An ensemble judged from its members' out-of-fold probabilities."""
    members = np.column_stack([one.oof for one in members_of(candidate, judged)])
    seen = rows.fold >= 0
    oof = np.full(len(rows.y), np.nan)
    oof[seen] = ensembles.out_of_fold(candidate, rows.y[seen], members[seen], rows.fold[seen])
    return judge(contract, rows, candidate, oof)


def members_of(candidate: Candidate, judged: Sequence[Judged]) -> list[Judged]:
    """The judged members of an ensemble, in its own order."""
    by_name = {one.candidate.name: one for one in judged}
    return [by_name[name] for name in candidate.members]


def choose(contract: Contract, judged: Sequence[Judged], folds: int) -> Judged:
    """The first, in the order of preference, whose mean lies within one standard error of the best's (Breiman 1984)."""
    metric = contract.training.metric
    sign = 1 if metric in metrics.SMALLER_IS_BETTER else -1
    best = min(judged, key=lambda one: sign * one.cv[metric].mean)
    bound = sign * best.cv[metric].mean + best.error(metric, folds)
    return next(one for one in judged if sign * one.cv[metric].mean <= bound)


def results(judged: Sequence[Judged], chosen: Judged, notes: Mapping[str, str]) -> list[CandidateResult]:
    """What became of every candidate, those that could not be tried last; `notes` by candidate."""
    tried = [
        CandidateResult(
            name=one.candidate.name, chosen=one is chosen, cv=one.cv, note=notes.get(one.candidate.name, "")
        )
        for one in judged
    ]
    names = {one.name for one in tried}
    return tried + [CandidateResult(name=name, note=note) for name, note in notes.items() if name not in names]
