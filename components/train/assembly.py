"""One graph from contract columns to probability: derivation, preparation, estimator (or several, blended)."""

from __future__ import annotations

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
from churn.domain.preparation import Preparation
from components.train.conversion import convert
from components.train.ensembles import EDGE, Blend


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
