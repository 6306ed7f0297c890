from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from churn.domain.contract import Candidate
from components.train import estimators, importances, plots
from components.train.data import TrainingSet
from components.train.fitting import Model
from tests import training
from tests.training import FOREST, LIGHTGBM, LOGISTIC, XGBOOST
from tests.unit.components.train.test_bundling import VOTE, fitted

NAMES = {"roc", "precision_recall", "calibration", "confusion", "profit", "importances"}
NETWORK = Candidate(
    name="network",
    estimator="sklearn.neural_network.MLPClassifier",
    steps=LOGISTIC.steps,
    params={"hidden_layer_sizes": [4], "max_iter": 60},
)


@pytest.fixture(scope="module", params=[XGBOOST, LIGHTGBM, LOGISTIC, FOREST, NETWORK, VOTE], ids=lambda one: one.name)
def model(request, data: TrainingSet) -> Model:
    with estimators.steady():
        return fitted(data, request.param)


def test_every_picture_is_drawn_and_none_is_empty(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    plots.draw(tmp_path, model, data)
    assert {path.stem for path in tmp_path.glob("*.png")} == NAMES
    for path in tmp_path.iterdir():
        picture = imread(path)
        assert min(picture.shape[:2]) > 600
        inked = (picture[..., :3] < 0.9).any(axis=2)
        assert inked.mean() > 0.005
        assert not inked[[0, -1]].any(), "the figure is cut off at an edge"


def test_importances_cover_every_column_and_put_what_decides_first(model: Model, data: TrainingSet) -> None:
    found = importances.importances(model, data)
    assert set(found.columns) == set(data.contract.raw)
    assert list(found.values) == sorted(found.values, reverse=True)
    assert set(found.columns[:3]) & {"contract", "tenure", "internet_service"}
    assert found.columns.index("gender") > 5
    assert found.measure


def test_gains_are_shares_of_a_whole(data: TrainingSet) -> None:
    for one in (XGBOOST, LIGHTGBM, FOREST):
        assert importances.importances(fitted(data, one), data).values.sum() == pytest.approx(100)


def test_a_linear_models_importance_is_the_spread_of_a_columns_terms(data: TrainingSet) -> None:
    """All terms of a column together: with the columns' spreads and no others, the log-odds' own can be told."""
    model = fitted(data, LOGISTIC)
    features = data.features[data.development]
    p = model.predict(features)
    gender = np.array([feature == "gender" for feature in model.preparation.origins])
    design = model.parts[0].pipeline[:-1].transform(model.parts[0].preparation.transform(features))
    part = design[:, gender] @ model.parts[0].pipeline["model"].coef_[0][gender]
    found = importances.importances(model, data)
    assert found.values[found.columns.index("gender")] == pytest.approx(part.std(), rel=1e-4)
    assert np.log(p / (1 - p)).std() > found.values[0] / 3


def test_drawing_leaves_pyplot_and_its_state_alone() -> None:
    script = """
import sys, tempfile
from pathlib import Path
from components.train import estimators, plots
from tests import training
from tests.unit.components.train.test_bundling import fitted
with estimators.steady(), tempfile.TemporaryDirectory() as folder:
    plots.draw(Path(folder), fitted(training.generated(400), training.XGBOOST), training.generated(400))
assert "matplotlib" in sys.modules
print("matplotlib.pyplot" in sys.modules)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=training.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
