"""The evaluation as Kubeflow Pipelines shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.evaluate.evaluation import Evaluation

if TYPE_CHECKING:
    from kfp.dsl import ClassificationMetrics, Metrics

CATEGORIES = ["left", "stayed"]


def log_metrics(artifact: Metrics, found: Evaluation) -> None:
    """Every metric as `cv_<name>` and `holdout_<name>`, and the latency."""
    for rows, measured in found.metrics.items():
        for name, value in measured.items():
            artifact.log_metric(f"{rows}_{name}", value)
    artifact.log_metric("latency_ms", found.latency_ms)


def log_curves(artifact: ClassificationMetrics, found: Evaluation) -> None:
    """ROC curve and confusion matrix of the hold-out; rows are outcomes, columns decisions."""
    roc, confusion = found.curves.roc, found.confusion
    artifact.log_roc_curve(list(roc.x), list(roc.y), list(roc.threshold))
    left = [confusion.true_positives, confusion.false_negatives]
    stayed = [confusion.false_positives, confusion.true_negatives]
    artifact.log_confusion_matrix(CATEGORIES, [left, stayed])
