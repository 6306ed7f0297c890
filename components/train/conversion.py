"""Fitted pipelines as ONNX models that take the very same turns at every split."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from sklearn.pipeline import Pipeline

from churn.domain.errors import UserError

OPSET = {"": 17, "ai.onnx.ml": 3}


def convert(pipeline: Pipeline, width: int, candidate: str = "") -> onnx.ModelProto:
    """A fitted pipeline as an ONNX model from `design` float32 (n, width) to label and probabilities.

    Raises UserError, naming the candidate, when there is no conversion for it."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    _register_boosters()
    model = pipeline["model"]
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    try:
        converted: onnx.ModelProto = convert_sklearn(
            pipeline,
            initial_types=[("design", FloatTensorType([None, width]))],
            target_opset=OPSET,
            options={id(model): {"zipmap": False}},
        )
    except Exception as error:  # the converter raises whatever it meets
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        problem = f"{type(model).__name__} does not convert to ONNX: {reason}"
        raise UserError(problem, where=f"candidate {candidate}", remedy="use another class, or leave it out") from error
    return converted


def _register_boosters() -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as shapes
    from xgboost import XGBClassifier

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(XGBClassifier, "XGBoostXGBClassifier", shapes, convert_xgboost, options=options)
    try:
        from lightgbm import LGBMClassifier
    except OSError:  # its system library is missing, so no candidate can be one
        return
    update_registered_converter(LGBMClassifier, "LightGbmLGBMClassifier", shapes, _convert_lightgbm, options=options)


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """LightGBM compares with thresholds in double precision, the graph in single: rounded to the nearest, one that lies
    between two neighbours would send a value equal to the upper one the wrong way."""
    from lightgbm import Booster
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    model = operator.raw_operator
    booster = Booster(model_str=_rounded_down(model.booster_.model_to_string()))
    operator.raw_operator = SimpleNamespace(
        booster_=booster, classes_=model.classes_, boosting_type=model.boosting_type
    )
    try:
        convert_lightgbm(scope, operator, container)
    finally:
        operator.raw_operator = model


def _rounded_down(text: str) -> str:
    """LightGBM's text of a model with every threshold at the largest float32 that is not above it.

    For float32 values, `x <= threshold` is then decided as before."""
    without_sizes = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^threshold=(.+)$", _rounded_down_line, without_sizes, flags=re.MULTILINE)


def _rounded_down_line(match: re.Match[str]) -> str:
    exact = np.array([float(value) for value in match[1].split()])
    rounded = exact.astype(np.float32)
    above = rounded.astype(np.float64) > exact
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return "threshold=" + " ".join(repr(float(value)) for value in rounded)
