"""Which columns the model leans on: permutation importance (Breiman 2001) of the whole graph, by contract column."""

from __future__ import annotations

import numpy as np

from churn.domain import metrics
from components.evaluate.case import Case
from components.evaluate.evaluation import Importance

_ROWS, _SHUFFLES, _SEED = 2000, 3, 7
_WORK = 150_000


def importances(case: Case) -> tuple[Importance, ...]:
    """The rise in log-loss on (at most 2,000) hold-out rows when a column is shuffled; the largest first.

    A column is shuffled in front of the graph, so everything derived from it moves along. A wide table is judged on
    fewer rows, so that the work stays the same."""
    limit = min(_ROWS, max(200, _WORK // (_SHUFFLES * len(case.contract.raw))))
    rows = np.nonzero(case.holdout)[0][:limit]
    columns, y = case.columns[rows], case.y[rows]
    before = metrics.log_loss(y, case.p[rows])
    generator = np.random.default_rng(_SEED)
    found = []
    for position, name in enumerate(case.contract.raw):
        rises = []
        for _ in range(_SHUFFLES):
            shuffled = columns.copy()
            shuffled[:, position] = generator.permutation(shuffled[:, position])
            p = np.asarray(case.bundle.model.run(shuffled)[0], np.float64).reshape(-1)
            rises.append(metrics.log_loss(y, p) - before)
        found.append(Importance(column=name, mean=float(np.mean(rises)), std=float(np.std(rises, ddof=1))))
    return tuple(sorted(found, key=lambda one: -one.mean))
