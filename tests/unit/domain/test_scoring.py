from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from churn.domain import bundle, scoring
from churn.domain.bundle import Bundle
from churn.domain.errors import UserError
from churn.domain.scoring import Scorer
from tests.bundles import Estimator, shop, training_rows, write_bundle

MANY = 4 * scoring.MANY


@pytest.fixture(scope="module", params=["xgboost", "logistic"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    estimator: Estimator = request.param
    folder = tmp_path_factory.mktemp(estimator) / "shop"
    write_bundle(folder, shop(), estimator=estimator)
    return bundle.load(folder)


@pytest.mark.parametrize("rows", [0, 1, scoring.MANY - 1, scoring.MANY, MANY])
@pytest.mark.parametrize("warm", [True, False])
def test_a_batch_of_any_size_is_scored_as_by_the_graph(opened: Bundle, rows: int, warm: bool) -> None:
    scorer = Scorer.of(opened)
    if warm:
        scorer.warm()
    columns = training_rows(shop(), 3)[0][:rows]
    found = scorer.probability(columns)
    assert found.dtype == np.float64
    assert found.shape == (rows,)
    assert np.abs(found - opened.predict(columns)).max(initial=0) <= 1e-6


def test_large_batches_of_xgboost_go_through_its_own_prediction_once_it_is_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "shop", shop(), estimator="xgboost")
    scorer = Scorer.of(bundle.load(tmp_path / "shop"))
    columns, through_graph = training_rows(shop(), 3)[0], []
    predict = Bundle.predict
    monkeypatch.setattr(Bundle, "predict", lambda of, rows: (through_graph.append(len(rows)), predict(of, rows))[1])
    for _ in range(2):
        scorer.probability(columns[:MANY])
        scorer.probability(columns[:1])
        scorer.warm()
    assert through_graph == [MANY, 1, 1]


@pytest.mark.parametrize("rows", [3, MANY])
def test_a_value_that_is_not_finite_is_refused_in_a_batch_of_any_size(opened: Bundle, rows: int) -> None:
    scorer = Scorer.of(opened)
    scorer.warm()
    columns = training_rows(shop(), 3)[0][:rows]
    columns[2, shop().raw.index("visits")] = 0
    with pytest.raises(UserError, match=r"spend_per_visit.*row 3"):
        scorer.probability(columns)
    with pytest.raises(UserError, match=r"spend_per_visit.*row 3"):
        opened.predict(columns)
