"""Who leaves: the logit of churn, fitted on the IBM sample."""

from __future__ import annotations

from typing import Literal

import numpy as np

from churn.domain.synthetic.columns import CATEGORIES
from churn.domain.synthetic.customers import Customers, Floats
from churn.domain.synthetic.tenure import LONGEST

Law = Literal["snapshot", "monthly"]

CONSTANT: dict[Law, float] = {"snapshot": 0.327, "monthly": -3.10}
"""One snapshot has 25.7 % leavers, as the sample; a base that lives on from month to month loses 2 % a month."""

EFFECTS: dict[str, tuple[float, ...]] = {
    "gender": (0, -0.022),
    "SeniorCitizen": (0, 0.221),
    "Partner": (0, 0.030),
    "Dependents": (0, -0.131),
    "PhoneService": (0.545, 0),
    "MultipleLines": (0, 0.368, 0),
    "InternetService": (0, 0.937, -0.816),
    "OnlineSecurity": (0, -0.319, 0),
    "OnlineBackup": (0, -0.126, 0),
    "DeviceProtection": (0, 0.024, 0),
    "TechSupport": (0, -0.281, 0),
    "StreamingTV": (0, 0.305, 0),
    "StreamingMovies": (0, 0.317, 0),
    "Contract": (0, -0.709, -1.714),
    "PaperlessBilling": (0, 0.352),
    "PaymentMethod": (0.342, -0.042, 0.084, 0),
}
"""What each category adds to the logit, in the order of `CATEGORIES`."""

_MONTHS = np.arange(LONGEST + 1)
TENURE_EFFECT = -0.758 * np.log1p(_MONTHS) + 0.0021 * _MONTHS
"""What each tenure from 0 to 72 adds to the logit."""


def logit(customers: Customers, law: Law) -> Floats:
    """The logit of leaving within 30 days, (n,)."""
    return CONSTANT[law] + TENURE_EFFECT[customers.tenure] + profile(customers)


def profile(customers: Customers) -> Floats:
    """The part of the logit that tenure does not decide, (n,)."""
    total = np.zeros(len(customers))
    for column in CATEGORIES:
        total += np.array(EFFECTS[column])[customers.shown(column)]
    return total


def sigmoid(logits: Floats) -> Floats:
    """From logit to probability."""
    return 1 / (1 + np.exp(-logits))
