"""A fitted model's trees in one form, where its log-odds are their sum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.domain.explanation.additive import Walked
from churn.domain.explanation.trees import Trees

Node = tuple[int, float, bool, int, int, float, float]
"""Feature, threshold, whether null goes left, left, right, value, cover; children count from the tree's root."""

_CLOSE = 1e-5
"""How far the trees' sum may be from the model, in probability."""


def of_xgboost(booster: Any) -> Trees | None:
    """The trees of an xgboost.Booster of a logistic objective; None for one that weighs them, or has none."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        return None
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    trees = learner["gradient_booster"]["model"]["trees"]
    return _joined([[_leaf(np.log(base) - np.log1p(-base))], *map(_xgboost_nodes, trees)])


def _xgboost_nodes(tree: Mapping[str, Any]) -> list[Node]:
    names = ("split_indices", "split_conditions", "default_left", "left_children", "right_children", "sum_hessian")
    return [
        (feature, threshold, bool(null_left), left, right, threshold if left < 0 else 0.0, cover)
        for feature, threshold, null_left, left, right, cover in zip(*(tree[name] for name in names), strict=True)
    ]


def of_lightgbm(booster: Any) -> Trees:
    """The trees of a lightgbm.Booster of a logistic objective."""
    return _joined(list(_lightgbm_nodes(tree["tree_structure"])) for tree in booster.dump_model()["tree_info"])


def _lightgbm_nodes(root: Mapping[str, Any]) -> Iterator[Node]:
    """In the order in which they are met, level by level."""
    level, known = [root], 1
    while level:
        below = []
        for node in level:
            if "leaf_value" in node:
                yield _leaf(node["leaf_value"], node.get("leaf_count", 1))
                continue
            null_left = node["default_left"] if node["missing_type"] != "None" else node["threshold"] >= 0
            below += [node["left_child"], node["right_child"]]
            threshold = float(_next_above(node["threshold"]))
            yield node["split_feature"], threshold, null_left, known, known + 1, 0.0, node["internal_count"]
            known += 2
        level = below


def _next_above(threshold: float) -> np.float32:
    """The least float32 that is above a threshold: below it lies what `<= threshold` passes."""
    nearest = np.float32(threshold)
    return nearest if nearest > threshold else np.nextafter(nearest, np.float32(np.inf))


def of_gradient_boosting(model: Any) -> Trees:
    """The trees of a scikit-learn GradientBoostingClassifier for two classes."""
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0, 0]  # noqa: SLF001
    grown = [list(_sklearn_nodes(one.tree_, model.learning_rate)) for one in model.estimators_[:, 0]]
    return _joined([[_leaf(float(start))], *grown])


def _sklearn_nodes(tree: Any, rate: float) -> Iterator[Node]:
    for node in range(tree.node_count):
        left, cover = int(tree.children_left[node]), float(tree.weighted_n_node_samples[node])
        if left < 0:
            yield _leaf(rate * float(tree.value[node, 0, 0]), cover)
        else:
            threshold = float(_next_above(tree.threshold[node]))
            yield int(tree.feature[node]), threshold, False, left, int(tree.children_right[node]), 0.0, cover


def of(model: Any, design: npt.NDArray[np.float32]) -> Trees | None:
    """The trees of a fitted estimator whose log-odds are their sum, as its own answers to the rows `design` (n, m) say;
    None for any other."""
    if len(model.classes_) != 2:
        return None
    trees = _grown(model)
    if trees is None:
        return None
    found = Walked(trees, np.zeros(design.shape[1], np.int64), 1)
    p = 1 / (1 + np.exp(-(found.base + found.explain(design)[:, 0])))
    return trees if np.abs(p - model.predict_proba(design)[:, 1]).max() <= _CLOSE else None


def _grown(model: Any) -> Trees | None:
    match type(model).__module__.partition(".")[0], type(model).__name__:
        case "xgboost", _:
            return of_xgboost(trimmed(model.get_booster()))
        case "lightgbm", _:
            return of_lightgbm(model.booster_)
        case "sklearn", "GradientBoostingClassifier":
            return of_gradient_boosting(model)
    return None


def trimmed(booster: Any) -> Any:
    """An xgboost.Booster without the rounds that early stopping has found to be of no use."""
    best = booster.attr("best_iteration")
    return booster if best is None else booster[: int(best) + 1]


def _leaf(value: float, cover: float = 1.0) -> Node:
    return -1, 0.0, False, -1, -1, value, cover


def _joined(trees: Iterable[list[Node]]) -> Trees:
    nodes: list[Node] = []
    for tree in trees:
        first = len(nodes)
        for feature, threshold, null_left, left, right, value, cover in tree:
            children = (left + first, right + first) if left >= 0 else (-1, -1)
            nodes.append((feature, threshold, null_left, *children, value, cover))
    kinds = (np.int64, np.float32, np.bool_, np.int64, np.int64, np.float64, np.float64)
    return Trees(*(np.array(column, kind) for column, kind in zip(zip(*nodes, strict=True), kinds, strict=True)))
