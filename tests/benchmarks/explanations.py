# ruff: noqa: T201 - it is run by hand, to be read
"""What contributions and batches cost: `python -m tests.benchmarks.explanations`.

One model of 200 trees of depth 5 on 30 columns, as in the serving benchmark, medians of the thread's CPU time.
The number of sampled orders is judged against a hundred times as many."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import xgboost

from churn.domain import bundle as bundles
from churn.domain import scoring
from churn.domain.bundle import Bundle
from churn.domain.explanation import Explainer
from churn.domain.explanation.additive import Walked
from churn.domain.explanation.sampled import Sampled
from churn.domain.explanation.tables import Tables
from churn.domain.explanation.trees import FILE, Trees
from churn.domain.scoring import Scorer
from components.train import bundling, estimators, fitting, selection
from components.train.data import TrainingSet
from components.train.estimators import Balance
from components.train.selection import Folds
from tests import training
from tests.benchmarks.serving import model

SIZES = (1, 10, 20, 40, 60, 100, 1000)
ENOUGH_S = 0.4


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = bundles.load(model.train(Path(folder)).folder)
        rows = _rows(opened, 20_000)
        print("us for so many rows: ", *(f"{size:>10}" for size in SIZES))
        for name, call in chain(_scoring(opened), _contributions(opened)):
            print(f"{name:<22}", *(f"{_microseconds(call, rows, size):>10.0f}" for size in SIZES), flush=True)
    if len(sys.argv) < 2:
        _others()


def _scoring(opened: Bundle) -> Iterator[tuple[str, Callable[[np.ndarray], object]]]:
    """The probability: by the graph, the same in pieces of 32 rows, and by the booster."""
    yield "graph", opened.predict
    yield "graph, 32 at a time", lambda rows: [opened.predict(rows[at : at + 32]) for at in range(0, len(rows), 32)]
    scorer = Scorer.of(opened)
    scorer.warm()
    scoring.MANY, kept = 0, scoring.MANY
    yield "booster on design", scorer.probability
    scoring.MANY = kept
    yield f"both, from {kept} rows", scorer.probability
    yield "design alone", opened.design.run


def _contributions(opened: Bundle) -> Iterator[tuple[str, Callable[[np.ndarray], object]]]:
    started = time.perf_counter()
    trees = Trees.read(opened.folder / FILE)
    tables = Tables(trees, opened.told_as, len(opened.contract.raw))
    print(f"tables of {tables.nbytes / 1e6:.1f} MB, made in {time.perf_counter() - started:.2f} s")
    explainer = Explainer.of(opened)
    explainer.warm()
    yield "explained by tables", explainer.explain
    walked = Walked(trees, opened.told_as, len(opened.contract.raw))
    yield "explained by leaves", lambda rows: walked.explain(opened.design.run(rows)[0])
    booster = xgboost.Booster({"nthread": 1}, model_file=opened.folder / "booster.ubj")

    def library(rows: np.ndarray) -> np.ndarray:
        design = xgboost.DMatrix(opened.design.run(rows)[0], nthread=1)
        return booster.predict(design, pred_contribs=True, validate_features=False)

    yield "explained by XGBoost", library
    rows = _rows(opened, 1000)
    told = np.zeros((len(opened.told_as), len(opened.contract.raw)))
    told[np.arange(len(told)), opened.told_as] = 1
    ours, theirs = explainer.explain(rows), library(rows)
    p = opened.predict(rows)
    print(f"from XGBoost's own by {np.abs(ours.values - theirs[:, :-1] @ told).max():.1e} at most")
    print(f"from the logit by {np.abs(ours.values.sum(1) + ours.base - np.log(p) + np.log1p(-p)).max():.1e} at most")


def _others() -> None:
    """Other kinds of model on generated telco customers: the cost of a row, and the error of sampling."""
    data = training.generated()
    with estimators.steady(), tempfile.TemporaryDirectory() as home:
        for candidate in (training.LOGISTIC, training.LIGHTGBM, training.FOREST):
            folder = Path(home, candidate.name)
            bundling.write(folder, _fitted(data, candidate), data)
            opened = bundles.load(folder)
            explainer, rows = Explainer.of(opened), data.columns[data.holdout][:100]
            explainer.warm()
            costs = ", ".join(f"{_microseconds(explainer.explain, rows, n):.0f} us for {n}" for n in (1, 100))
            print(f"{candidate.name}: {explainer.kind}, {costs}")
        _sampling(opened, rows[:40])


def _sampling(opened: Bundle, rows: np.ndarray) -> None:
    truth = Sampled(opened, 800).explain(rows).values
    spread = np.abs(truth).max(axis=1).mean()
    for orders in (8, 16, 32, 64, 128, 256):
        sampled = Sampled(opened, orders)
        found = sampled.explain(rows).values
        error, same = np.abs(found - truth).mean(), (found.argmax(1) == truth.argmax(1)).mean()
        cost = _microseconds(sampled.explain, rows, 1) / 1000
        print(
            f"sampled, {orders:>3} background rows: {cost:.1f} ms a row, error {error:.3f} in the mean "
            f"(the strongest reason weighs {spread:.2f}), the same strongest reason for {same:.0%}"
        )


def _fitted(data: TrainingSet, candidate: model.Candidate) -> fitting.Model:
    folds = Folds(data.contract, data.rows, Balance())
    judged = selection.judge(data.contract, data.rows, candidate, selection.out_of_fold(folds, candidate))
    return fitting.fit(data.contract, data.rows, judged, [judged], Balance())


def _rows(opened: Bundle, count: int) -> np.ndarray:
    table = model.customers(count, seed=5)
    columns = opened.contract.columns.items()
    return np.array(
        [
            [column.categories.index(row[name]) if column.categories else float(row[name]) for name, column in columns]
            for row in table
        ]
    )


def _microseconds(call: Callable[[np.ndarray], object], rows: np.ndarray, size: int) -> float:
    """Of `size` rows; other ones each time, for a processor learns a few by heart."""
    call(rows[:size])
    taken: list[float] = []
    while len(taken) < 5 or sum(taken) < ENOUGH_S:
        at = len(taken) * size % (len(rows) - size + 1)
        started = time.thread_time()
        call(rows[at : at + size])
        taken.append(time.thread_time() - started)
    return float(np.median(taken)) * 1e6


if __name__ == "__main__":
    main()
