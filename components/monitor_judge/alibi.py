"""The tests as alibi-detect does them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def p_values(reference: Matrix, window: Matrix, coded: Sequence[bool]) -> npt.NDArray[np.float64]:
    """TabularDrift's p-values (k,): Kolmogorov-Smirnov for numbers, chi-squared for codes.

    The false discoveries are held down by the caller, over all tests at once and not over those of one call."""
    logging.getLogger("alibi_detect").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no category, and of libraries it does without
        from alibi_detect.cd import TabularDrift

        categories = {place: None for place, is_coded in enumerate(coded) if is_coded}
        detector = TabularDrift(reference, p_val=0.05, categories_per_feature=categories or None, correction="fdr")
        found = detector.predict(window, drift_type="feature", return_p_val=True, return_distance=False)
    return np.asarray(found["data"]["p_val"], np.float64)
