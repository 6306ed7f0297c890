"""One graph from contract columns to probability: derivation, preparation, estimator (or several, blended)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
from sklearn.pipeline import Pipeline
from spox import Var

from churn.domain import derivation
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.preparation import Preparation
from components.train.ensembles import EDGE, Blend

OPSET = {"": 17, "ai.onnx.ml": 3}


@dataclass(frozen=True)
class Part:
    """A fitted estimator of a candidate, and the preparation its design matrix comes from."""

    candidate: str
    preparation: Preparation
    pipeline: Pipeline


def assemble(contract: Contract, parts: Sequence[Part], blend: Blend | None = None) -> onnx.ModelProto:
    """The model graph: `columns` float64 (n, k) to `probability` float32 (n,) and `fault` bool (n,).

    Raises UserError for an estimator that does not convert to ONNX."""
    columns = derivation.input_columns(contract)
    features, faults = derivation.build(contract, columns)
    found = [_probability(part, features) for part in parts]
    probability = _blend(found, blend) if blend else found[0]
    fault = op.greater(op.reduce_sum(op.cast(faults, to=np.int64), _axis(1), keepdims=0), op.const(np.array(0)))
    return spox.build(
        inputs={"columns": columns}, outputs={"probability": op.squeeze(probability, _axis(1)), "fault": fault}
    )


def convert(pipeline: Pipeline, width: int, candidate: str = "") -> onnx.ModelProto:
    """A fitted pipeline as an ONNX model from `design` float32 (n, width) to label and probabilities.

    Raises UserError when there is no conversion for it."""
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


def _probability(part: Part, features: Var) -> Var:
    """float32 (n, 1)."""
    design = part.preparation.build(features)
    outputs = spox.inline(convert(part.pipeline, len(part.preparation.names), part.candidate))(design=design)
    return op.gather(list(outputs.values())[1], op.const(np.array([1])), axis=1)


def _blend(members: Sequence[Var], blend: Blend) -> Var:
    p = op.concat(list(members), axis=1)
    weights = op.const(np.array([blend.weights], np.float32).T)
    if not blend.logistic:
        return op.matmul(p, weights)
    kept = op.clip(p, op.const(np.array(EDGE, np.float32)), op.const(np.array(1 - EDGE, np.float32)))
    odds = op.sub(op.log(kept), op.log(op.sub(op.const(np.array(1, np.float32)), kept)))
    return op.sigmoid(op.add(op.matmul(odds, weights), op.const(np.array(blend.bias, np.float32))))


def _axis(axis: int) -> Var:
    return op.const(np.array([axis]))


def _register_boosters() -> None:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as shapes
    from xgboost import XGBClassifier

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(XGBClassifier, "XGBoostXGBClassifier", shapes, convert_xgboost, options=options)
    try:
        from lightgbm import LGBMClassifier
    except OSError:
        return
    update_registered_converter(LGBMClassifier, "LightGbmLGBMClassifier", shapes, convert_lightgbm, options=options)
