"""Features that know too much: recorded after the customer left, by their name or by what they tell alone."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import leakage, parsing
from churn.domain.contract import MISSING, Gate
from churn.domain.drafting.columns import Feature
from churn.domain.drafting.names import snake

_TELLING = re.compile(r"(^|_)(churn|cancel|terminat|attrit|deactivat|disconnect|leaving|exit)")
_FEWEST = 10


def suspicion(feature: Feature, sample: pa.Table, y: npt.NDArray[np.float64]) -> str:
    """Why a feature may not be known in time; empty when nothing speaks against it. `y` (n,): 1, 0 or NaN."""
    if _TELLING.search(snake(feature.source)):
        return "suspected leak: by its name it is recorded when a customer leaves"
    known = ~np.isnan(y)
    if min(np.sum(y[known]), np.sum(1 - y[known])) < _FEWEST:
        return ""
    values = _values(feature, sample)[known]
    auc = leakage.feature_auc(values, y[known], categorical=feature.type == "category")
    if auc > Gate().leak_auc:
        return f"suspected leak: alone it tells who left (AUC {auc:.3f}); was it recorded afterwards?"
    return ""


def _values(feature: Feature, sample: pa.Table) -> npt.NDArray[np.float64]:
    """Numbers, or the codes of the categories; NaN for null."""
    given = parsing.present(parsing.values_of(sample, feature.source), MISSING)
    if feature.type != "category":
        return np.asarray(parsing.numbers(given).to_numpy(zero_copy_only=False), np.float64)
    texts = parsing.spelled(parsing.text(given), feature.spelling)
    codes = pc.index_in(texts, pa.array(feature.categories, pa.string())).cast(pa.float64())
    return np.asarray(codes.to_numpy(zero_copy_only=False), np.float64)
