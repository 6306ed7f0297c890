"""What the step finds out: the shape of `evaluation.json`, from which the report is drawn. NaN is null there."""

from __future__ import annotations

from typing import Literal

import msgspec

Rule = Literal["superior", "non-inferior"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the evaluation."""


class Check(Result, frozen=True):
    """One question of the gate. `note` is the answer as a clause; `value` and `bound` are null where it needs none."""

    check: str
    value: float | None
    bound: float | None
    passed: bool
    note: str


class Spread(Result, frozen=True):
    """A metric's mean and deviation over the folds."""

    mean: float | None
    std: float | None


class Candidate(Result, frozen=True):
    """How one candidate did in training; `note` says why one was left out."""

    name: str
    chosen: bool = False
    cv: dict[str, Spread] = {}
    note: str = ""


class Comparison(Result, frozen=True):
    """Candidate against champion on the hold-out rows that neither was trained on.

    `mean`, `low` and `high` are of the paired difference in log-loss, below zero where the candidate is better; null
    when the champion cannot score these rows, for the reason in `obstacle`. `same` bundle, `identical` predictions.
    `metrics` are the champion's, at its own threshold; `unknown` counts values it was given as null because its
    contract does not know them."""

    version: int
    digest: str
    candidate: str
    rows: int = 0
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    same: bool = False
    identical: bool = False
    unknown: int = 0
    metrics: dict[str, float | None] = {}
    obstacle: str = ""


class Worth(Result, frozen=True):
    """What the decisions at the threshold are worth on the hold-out, for 1,000 customers, in the costs' currency."""

    model: float
    everyone: float
    contacted: float
    leavers: float
    leavers_contacted: float


class Calibration(Result, frozen=True):
    """Groups of equal size by rising prediction: mean prediction, observed share of leavers, and rows in each."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    rows: tuple[int, ...]


class Points(Result, frozen=True):
    """A curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Roc(Points, frozen=True):
    """False against true positive rate, with the threshold that gives each point, highest first."""

    threshold: tuple[float, ...]


class Curves(Result, frozen=True):
    """Of the hold-out. `profit`: share of customers contacted, riskiest first, against profit for 1,000 of all."""

    roc: Roc
    precision_recall: Points
    profit: Points
    calibration: Calibration
    calibration_cv: Calibration


class Confusion(Result, frozen=True):
    """Decisions at the threshold against outcomes, hold-out rows."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


class Importance(Result, frozen=True):
    """How much the hold-out's log-loss rises when a contract column is shuffled, and its deviation over shuffles."""

    column: str
    mean: float
    std: float


class Slice(Result, frozen=True):
    """Hold-out rows of one category; `category` is null for rows without a value."""

    feature: str
    category: str | None
    rows: int
    rate: float
    predicted: float
    roc_auc: float | None
    log_loss: float
    ece: float


class Data(Result, frozen=True):
    """What the model was made from and judged on. `quarantined` rows never reached it."""

    digest: str
    rows: int
    holdout: int
    rate: float
    first: str
    last: str
    read: int | None = None
    quarantined: int | None = None
    duplicates: int | None = None
    dropped: tuple[str, ...] = ()


class Evaluation(Result, frozen=True):
    """The whole. `metrics` has `cv` (all out-of-fold predictions at once) and `holdout`; `alone` is each feature's own
    AUC, the highest first; `because` says why it was retrained, if it was."""

    model: str
    candidate: str
    estimator: str
    digest: str
    contract: str
    passed: bool
    reason: str
    gate: tuple[Check, ...]
    metrics: dict[str, dict[str, float]]
    comparison: Comparison | None
    candidates: tuple[Candidate, ...]
    worth: Worth
    costs: dict[str, float]
    alone: dict[str, float]
    latency_ms: float
    confusion: Confusion
    curves: Curves
    importance: tuple[Importance, ...]
    slices: tuple[Slice, ...]
    data: Data
    versions: dict[str, str]
    because: str = ""
