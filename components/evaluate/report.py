"""The evaluation as one HTML page that a manager can read: no scripts, nothing fetched from elsewhere."""

from __future__ import annotations

from churn.domain.metrics import SMALLER_IS_BETTER
from components.evaluate.evaluation import Check, Evaluation, Slice
from components.evaluate.figures import figures
from components.evaluate.words import number, spread
from components.pages import template

_QUESTIONS = {
    "calibration": "Do predicted probabilities come true?",
    "leakage": "Does no feature alone give the answer away?",
    "latency": "Is one prediction fast enough?",
    "determinism": "Do the same customers always get the same answer?",
    "parity": "Does the served graph say what was trained?",
    "null_parity": "Also where values are missing?",
    "recency": "Is its data as recent as the champion's?",
    "superior": "Is it better than the model that serves?",
    "non-inferior": "Is it no worse than the model that serves?",
}
METRICS = {
    "roc_auc": "Ranking (ROC AUC)",
    "pr_auc": "Ranking of leavers (average precision)",
    "log_loss": "Log-loss",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
    "lift_10": "Lift of the riskiest tenth",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "accuracy": "Accuracy",
    "expected_profit": "Expected profit a customer",
    "threshold": "Threshold",
}
_COMPARED = ("roc_auc", "log_loss", "brier", "ece", "expected_profit")
_MARKED = 3


def render(found: Evaluation) -> str:
    """The whole page, from the evaluation alone."""
    page = template(__file__, "report.html.j2", number=number, percent=percent, plain=plain, count=count, money=money)
    return page.render(
        found=found,
        holdout=found.metrics["holdout"],
        cv=found.metrics["cv"],
        figures=figures(found),
        question=question,
        spread=spread,
        metrics=METRICS,
        compared=_COMPARED,
        weakest=weakest(found.slices),
        furthest=furthest(found.slices),
    )


def question(check: Check) -> str:
    """What a check asks, in plain words."""
    if check.check in _QUESTIONS:
        return _QUESTIONS[check.check]
    _, metric, end = check.check.split(".")
    wanted = "high enough" if end == "min" else "low enough" if metric in SMALLER_IS_BETTER else "plausible"
    return f"{METRICS[metric]}: {wanted}?"


def weakest(slices: tuple[Slice, ...]) -> list[Slice]:
    """The three slices whose customers are ranked worst."""
    ranked = [one for one in slices if one.roc_auc is not None]
    return sorted(ranked, key=lambda one: one.roc_auc or 0.0)[:_MARKED]


def furthest(slices: tuple[Slice, ...]) -> list[Slice]:
    """The three slices whose predicted share of leavers lies furthest from the observed one, in standard errors."""
    return sorted(slices, key=_surprise, reverse=True)[:_MARKED]


def percent(share: float, digits: int = 1) -> str:
    """.2537 as 25.4 %."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(value: float) -> str:
    """12,345."""
    return f"{value:,.0f}"


def money(value: float) -> str:
    """10, 12.50 or 8,099: cents where there are any."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:,.2f}"


def plain(name: str) -> str:
    """A feature's name as words."""
    return name.replace("_", " ")


def _surprise(one: Slice) -> float:
    variance = max(one.predicted * (1 - one.predicted), 1e-9) / one.rows
    return float(abs(one.rate - one.predicted) / variance**0.5)
