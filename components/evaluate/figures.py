"""The report's charts, from the evaluation alone."""

from __future__ import annotations

import math

from components.evaluate.charts import Axis, Chart, Dot, Line, reach
from components.evaluate.evaluation import Calibration, Evaluation, Points
from components.evaluate.words import number


def figures(found: Evaluation) -> list[Chart]:
    """Profit, calibration, ROC and precision-recall."""
    return [_profit(found), _calibration(found), _roc(found), _precision_recall(found)]


def _profit(found: Evaluation) -> Chart:
    worth, points = found.worth, found.curves.profit
    share = worth.contacted / 1000
    label = f"threshold {number(found.metrics['holdout']['threshold'])}"
    return Chart(
        title="Profit by how many are contacted",
        summary=f"Contacting the riskiest {100 * share:.0f} % brings {number(worth.model)} for 1,000 customers, "
        f"contacting everyone {number(worth.everyone)}, contacting nobody nothing.",
        x=Axis("customers contacted, riskiest first", 0, 1, percent=True),
        y=Axis("profit for 1,000 customers", *reach((*points.y, worth.model))),
        lines=[
            Line("reference", ((0, 0), (1, worth.everyone)), "contacting at random"),
            Line("main", _points(points), "by the model"),
        ],
        dots=[Dot("main", share, worth.model, label=label)],
    )


def _calibration(found: Evaluation) -> Chart:
    folds, holdout = found.curves.calibration_cv, found.curves.calibration
    top = min(1.0, 1.1 * max(*folds.predicted, *folds.observed, *holdout.predicted, *holdout.observed))
    return Chart(
        title="Do predicted probabilities come true?",
        summary="Predicted against observed share of leavers in groups of equal size; on the diagonal both are equal. "
        f"The mean distance is {number(found.metrics['cv']['ece'])} out of fold.",
        x=Axis("predicted share of leavers", 0, top, percent=True),
        y=Axis("observed share of leavers", 0, top, percent=True),
        lines=[
            Line("reference", ((0, 0), (top, top)), "exact"),
            Line("main", list(zip(folds.predicted, folds.observed, strict=True)), "out of fold"),
            Line("other", (), "hold-out"),
        ],
        dots=[*_groups("other", holdout), *_groups("main", folds)],
    )


def _groups(style: str, found: Calibration) -> list[Dot]:
    """Each group with two standard errors of its observed share."""
    dots = []
    for x, y, rows in zip(found.predicted, found.observed, found.rows, strict=True):
        error = 2 * math.sqrt(y * (1 - y) / rows)
        dots.append(Dot(style, x, y, max(0.0, y - error), min(1.0, y + error)))
    return dots


def _roc(found: Evaluation) -> Chart:
    confusion = found.confusion
    stayed = confusion.false_positives + confusion.true_negatives
    left = confusion.true_positives + confusion.false_negatives
    auc = number(found.metrics["holdout"]["roc_auc"])
    return Chart(
        title="Leavers found against stayers disturbed",
        summary=f"ROC curve on the hold-out; the area under it is {auc}, .5 would be chance.",
        x=Axis("stayers contacted", 0, 1, percent=True),
        y=Axis("leavers contacted", 0, 1, percent=True),
        lines=[
            Line("reference", ((0, 0), (1, 1)), "chance"),
            Line("main", _points(found.curves.roc), f"the model, AUC {auc}"),
        ],
        dots=[Dot("main", confusion.false_positives / stayed, confusion.true_positives / left)],
    )


def _precision_recall(found: Evaluation) -> Chart:
    measured, rate = found.metrics["holdout"], found.worth.leavers / 1000
    area = number(measured["pr_auc"])
    return Chart(
        title="How many of the contacted would have left",
        summary=f"Precision by recall on the hold-out; average precision {area}, {number(rate)} would be chance.",
        x=Axis("leavers contacted", 0, 1, percent=True),
        y=Axis("leavers among the contacted", 0, 1, percent=True),
        lines=[
            Line("reference", ((0, rate), (1, rate)), "chance"),
            Line("main", _points(found.curves.precision_recall), f"the model, average {area}"),
        ],
        dots=[Dot("main", measured["recall"], measured["precision"])] if measured["precision"] else [],
    )


def _points(curve: Points) -> list[tuple[float, float]]:
    return list(zip(curve.x, curve.y, strict=True))
