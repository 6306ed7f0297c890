"""Explanations of models as training writes them, against the libraries that grew them."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import msgspec
import numpy as np
import pytest
import xgboost
from lightgbm import LGBMClassifier
from sklearn.ensemble import GradientBoostingClassifier
from xgboost import XGBClassifier

from churn.domain import bundle
from churn.domain.bundle import Bundle
from churn.domain.contract import Candidate, Step
from churn.domain.explanation import Explainer
from churn.domain.explanation.additive import Walked
from churn.domain.explanation.tables import Tables
from components.train import bundling, estimators, trees
from components.train.data import TrainingSet
from components.train.linear import linear
from tests import training
from tests.training import FOREST, GRADIENT_BOOSTING, LIGHTGBM, LOGISTIC, VOTE, XGBOOST, fitted

KINDS = {
    "xgboost": "trees",
    "lightgbm": "trees",
    "gradient-boosting": "trees",
    "logistic": "linear",
    "forest": "sampled",
    "vote": "sampled",
}
EACH = [XGBOOST, LIGHTGBM, GRADIENT_BOOSTING, LOGISTIC, FOREST, VOTE]


@pytest.fixture(scope="module", params=EACH, ids=lambda one: one.name)
def opened(request, data: TrainingSet, tmp_path_factory) -> Bundle:
    with estimators.steady():
        return write(data, request.param, tmp_path_factory.mktemp(request.param.name))


def write(data: TrainingSet, one: Candidate, folder: Path) -> Bundle:
    return bundle.load(folder, bundling.write(folder, fitted(data, one), data))


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def rows_of(data: TrainingSet, count: int) -> np.ndarray:
    """Customers with and without nulls."""
    return np.concatenate([data.columns[:count], training.blanked(data).columns[:count]])


def test_contributions_and_base_add_up_to_the_logit(opened: Bundle, data: TrainingSet) -> None:
    explainer = Explainer.of(opened)
    assert explainer.kind == KINDS[opened.manifest.candidate]
    rows = rows_of(data, 300 if explainer.exact else 4)
    found = explainer.explain(rows)
    assert found.exact == explainer.exact == (explainer.kind != "sampled")
    assert found.values.shape == rows.shape
    assert np.abs(found.values.sum(axis=1) + found.base - logit(opened.predict(rows))).max() <= 1e-4


def test_a_row_is_explained_alike_alone_and_among_others(opened: Bundle, data: TrainingSet) -> None:
    explainer = Explainer.of(opened)
    rows = rows_of(data, 20 if explainer.exact else 2)
    together = explainer.explain(rows).values
    alone = np.concatenate([explainer.explain(rows[i : i + 1]).values for i in range(len(rows))])
    assert np.abs(together - alone).max() <= 1e-9
    again = Explainer.of(bundle.load(opened.folder)).explain(rows).values
    assert np.array_equal(again, together)


def test_no_rows_have_no_contributions(opened: Bundle, data: TrainingSet) -> None:
    found = Explainer.of(opened).explain(np.zeros((0, len(data.contract.raw))))
    assert found.values.shape == (0, len(data.contract.raw))


@pytest.mark.parametrize("one", [XGBOOST, LIGHTGBM], ids=lambda one: one.name)
def test_boosters_are_explained_as_by_their_own_library(one: Candidate, data: TrainingSet, tmp_path: Path) -> None:
    opened = write(data, one, tmp_path)
    rows = rows_of(data, 200)
    design = opened.design.run(rows)[0]
    if one is XGBOOST:
        booster = xgboost.Booster(model_file=tmp_path / "booster.ubj")
        theirs = booster.predict(xgboost.DMatrix(design), pred_contribs=True)
    else:
        theirs = lightgbm.Booster(model_file=tmp_path / "booster.txt").predict(design, pred_contrib=True)
    found = Explainer.of(opened).explain(rows)
    assert found.base == pytest.approx(theirs[0, -1], abs=1e-5)
    for place, name in enumerate(data.contract.raw):
        parts = [i for i, origin in enumerate(opened.manifest.origins) if data.contract.told_as(origin) == name]
        assert np.abs(found.values[:, place] - theirs[:, parts].sum(axis=1)).max() <= 1e-5, name


def planted(rows: int = 2000, nulls: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A design matrix (n, 6) with nulls, and outcomes that depend on it."""
    random = np.random.default_rng(5)
    design = random.normal(size=(rows, 6)).astype(np.float32)
    design[:, 4:] = design[:, 4:] > 0
    y = (design[:, 0] + design[:, 1] * design[:, 4] + random.normal(size=rows) > 0).astype(int)
    design[random.random(design.shape) < nulls] = np.nan
    return design, y


def by_xgboost(model: XGBClassifier, design: np.ndarray) -> np.ndarray:
    rounds = (0, model.best_iteration + 1) if model.early_stopping_rounds else (0, 0)
    return model.get_booster().predict(xgboost.DMatrix(design), pred_contribs=True, iteration_range=rounds)


def by_lightgbm(model: LGBMClassifier, design: np.ndarray) -> np.ndarray:
    return model.booster_.predict(design, pred_contrib=True)


@pytest.mark.parametrize("kind", [Tables, Walked])
@pytest.mark.parametrize(
    ("model", "library"),
    [
        (XGBClassifier(n_estimators=20, max_depth=1), by_xgboost),
        (XGBClassifier(n_estimators=20, max_depth=5, min_child_weight=0), by_xgboost),
        (XGBClassifier(n_estimators=10, max_depth=8), by_xgboost),
        (XGBClassifier(n_estimators=5, max_leaves=9, grow_policy="lossguide", max_depth=0), by_xgboost),
        (XGBClassifier(n_estimators=3, num_parallel_tree=2, subsample=0.5), by_xgboost),
        (XGBClassifier(n_estimators=3, gamma=1e9), by_xgboost),
        (XGBClassifier(n_estimators=60, learning_rate=0.9, early_stopping_rounds=3), by_xgboost),
        (LGBMClassifier(n_estimators=20, num_leaves=7, verbosity=-1), by_lightgbm),
        (LGBMClassifier(n_estimators=5, num_leaves=9, verbosity=-1, use_missing=False), by_lightgbm),
    ],
    ids=["stumps", "light", "deep", "unbalanced", "several", "constant", "stopped", "leafwise", "nulls-as-zero"],
)
def test_trees_of_every_shape_are_explained_as_by_their_library(model, library, kind) -> None:
    design, y = planted()
    early = (
        {"eval_set": [(design[::3], y[::3])], "verbose": False} if getattr(model, "early_stopping_rounds", 0) else {}
    )
    model.fit(design, y, **early)
    theirs = library(model, design)
    found = trees.of(model, design)
    assert found is not None
    explained = kind(found, np.arange(6), 6)
    assert explained.base == pytest.approx(theirs[0, -1], abs=1e-5)
    assert np.abs(explained.explain(design) - theirs[:, :-1]).max() <= 1e-5


def test_early_stopping_leaves_rounds_that_do_not_count(data: TrainingSet, tmp_path: Path) -> None:
    design, y = planted()
    model = XGBClassifier(n_estimators=60, learning_rate=0.9, early_stopping_rounds=3)
    model.fit(design[::2], y[::2], eval_set=[(design[1::2], y[1::2])], verbose=False)
    kept = trees.trimmed(model.get_booster())
    assert kept.num_boosted_rounds() == model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert np.array_equal(kept.inplace_predict(design), model.predict_proba(design)[:, 1])


def test_gradient_boosting_starts_from_its_prior() -> None:
    design, y = planted(nulls=0)
    model = GradientBoostingClassifier(n_estimators=30, max_depth=3).fit(design, y)
    found = trees.of(model, design)
    assert found is not None
    explained = Tables(found, np.arange(6), 6)
    margin = model.decision_function(design)
    assert np.abs(explained.explain(design).sum(axis=1) + explained.base - margin).max() <= 1e-5


@pytest.mark.parametrize(
    "model",
    [
        XGBClassifier(n_estimators=5, booster="dart", rate_drop=0.5),
        XGBClassifier(n_estimators=5, objective="binary:hinge"),
        XGBClassifier(n_estimators=5, booster="gblinear"),
        LGBMClassifier(n_estimators=5, boosting_type="rf", subsample=0.5, subsample_freq=1, verbosity=-1),
        GradientBoostingClassifier(n_estimators=5, loss="exponential"),
    ],
    ids=["dart", "hinge", "linear", "mean", "exponential"],
)
def test_a_model_that_is_not_the_sum_of_its_trees_is_left_to_sampling(model) -> None:
    design, y = planted(nulls=0)
    assert trees.of(model.fit(design, y), design) is None


def test_trees_too_deep_for_tables_are_explained_leaf_by_leaf(data: TrainingSet, tmp_path: Path) -> None:
    deep = msgspec.structs.replace(LIGHTGBM, params={"n_estimators": 5, "num_leaves": 40, "min_child_samples": 5})
    opened = write(data, deep, tmp_path)
    rows = rows_of(data, 20)
    found = Explainer.of(opened).explain(rows)
    with pytest.raises(ValueError, match="a leaf lies behind more than 8 tests"):
        Tables(trees.of_lightgbm(lightgbm.Booster(model_file=tmp_path / "booster.txt")), opened.told_as, 19)
    assert np.abs(found.values.sum(axis=1) + found.base - logit(opened.predict(rows))).max() <= 1e-4


def test_a_bent_column_in_front_of_a_linear_model_is_no_linear_model(data: TrainingSet) -> None:
    bins = Step(estimator="sklearn.preprocessing.KBinsDiscretizer", params={"n_bins": 3, "encode": "onehot-dense"})
    for step, straight in ((bins, False), (Step(estimator="sklearn.preprocessing.RobustScaler"), True)):
        model = fitted(data, msgspec.structs.replace(LOGISTIC, steps=(step,)))
        assert (linear(model, data.features[data.development]) is not None) == straight


def test_a_linear_contribution_is_weight_times_distance_from_the_mean(data: TrainingSet, tmp_path: Path) -> None:
    opened = write(data, LOGISTIC, tmp_path)
    known = opened.manifest.linear
    assert known is not None
    mean = opened.design.run(data.columns[data.development])[0].mean(axis=0)
    assert np.allclose(mean, known.mean, atol=1e-4)
    found = Explainer.of(opened).explain(data.columns[data.development])
    assert np.abs(found.values.mean(axis=0)).max() <= 1e-4
