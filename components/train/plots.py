"""Pictures of a trained model for its MLflow run, drawn from out-of-fold predictions: no row was judged by a model that
had seen it. Figures are made without pyplot, which would keep them alive and share its state with everybody."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from churn.domain import decision, metrics
from churn.stores.runs import Run
from components.train import importances
from components.train.data import TrainingSet
from components.train.fitting import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

Vector = npt.NDArray[np.float64]

INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
LINE, ACCENT = "#1f5f8b", "#c8553d"
_COLUMNS_SHOWN = 20


@dataclass(frozen=True)
class Case:
    """What is drawn: outcomes `y` and out-of-fold probabilities `p`, (n,), of the rows that a fold judged."""

    model: Model
    data: TrainingSet
    y: Vector
    p: Vector

    @property
    def who(self) -> str:
        """Model and candidate."""
        return f"{self.model.contract.name}, {self.model.chosen.candidate.name}"

    @property
    def told(self) -> str:
        """A subtitle: whose predictions these are."""
        return f"{self.who}: {len(self.y):,} rows, each judged out of fold"


def log(run: Run, model: Model, data: TrainingSet) -> None:
    """Draws every picture and adds it to the run, as `plots/<name>.png`."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), model, data)
        run.log_files(Path(folder), "plots")


def draw(folder: Path, model: Model, data: TrainingSet) -> None:
    """Draws every picture into a folder."""
    oof = model.chosen.oof
    seen = ~np.isnan(oof)
    case = Case(model, data, data.rows.y[seen], oof[seen])
    for name, picture in _PICTURES.items():
        figure = picture(case)
        figure.savefig(folder / f"{name}.png", dpi=144, facecolor="white")


def _roc(case: Case) -> Figure:
    true, chosen = _at_each_score(case)
    figure, axes = _figure("ROC curve", case.told, "stayers contacted (share)", "leavers contacted (share)")
    stayed = len(case.y) - case.y.sum()
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot((chosen - true) / stayed, true / case.y.sum(), color=LINE, linewidth=2)
    _say(axes, f"area {metrics.roc_auc(case.y, case.p):.3f}\nchance 0.500", "bottom")
    return _square(figure, axes)


def _precision_recall(case: Case) -> Figure:
    true, chosen = _at_each_score(case)
    figure, axes = _figure(
        "Precision and recall", case.told, "leavers found (recall)", "leavers among contacted (precision)"
    )
    axes.axhline(case.y.mean(), color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(true[1:] / case.y.sum(), true[1:] / chosen[1:], color=LINE, linewidth=2)
    found = f"average precision {metrics.pr_auc(case.y, case.p):.3f}\nchance {case.y.mean():.3f}"
    _say(axes, found, "top")
    return _square(figure, axes)


def _calibration(case: Case) -> Figure:
    predicted, observed, share = metrics.calibration(case.y, case.p)
    error = 1.96 * np.sqrt(observed * (1 - observed) / (share * len(case.y)))
    figure, axes = _figure(
        "Calibration", case.told, "predicted probability (mean of a tenth)", "observed share of leavers"
    )
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.errorbar(predicted, observed, yerr=error, color=LINE, linewidth=2, elinewidth=1, capsize=3, marker="o")
    found = f"expected calibration error {metrics.ece(case.y, case.p):.3f}\nbars: 95 % of sampling error"
    _say(axes, found, "bottom")
    return _square(figure, axes)


def _confusion(case: Case) -> Figure:
    threshold = case.model.chosen.threshold
    decided, left = case.p >= threshold, case.y == 1
    counts = np.array([[np.sum((decided == d) & (left == o)) for d in (False, True)] for o in (False, True)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    title = f"Decisions at the threshold {threshold:.3f}"
    figure, axes = _figure(title, case.told, "decision", "outcome")
    axes.imshow(shares, cmap=_ramp(), vmin=0, vmax=1)
    for outcome, decision_ in np.ndindex(2, 2):
        who = "leavers" if outcome else "stayers"
        words = f"{counts[outcome, decision_]:,}\n{shares[outcome, decision_]:.0%} of {who}"
        colour = "white" if shares[outcome, decision_] > 0.55 else INK
        axes.text(decision_, outcome, words, ha="center", va="center", color=colour, fontsize=12)
    axes.set_xticks([0, 1], ["leave alone", "contact"])
    axes.set_yticks([0, 1], ["stayed", "left"])
    axes.grid(visible=False)
    return figure


def _profit(case: Case) -> Figure:
    costs, chosen = case.model.contract.costs, case.model.chosen
    thresholds, profit = decision.profit_curve(case.y, case.p, costs)
    at_best = decision.profit(case.y, case.p, chosen.threshold, costs)
    everyone = profit[0]
    figure, axes = _figure("Expected profit", case.told, "threshold (contact from this probability on)", _PROFIT_UNIT)
    axes.axhline(0, color=SOFT, linewidth=1)
    axes.plot(thresholds, profit, color=LINE, linewidth=2)
    axes.plot([chosen.threshold], [at_best], color=ACCENT, marker="o", markersize=8, linestyle="none")
    words = (
        f"best {at_best:.2f} at {chosen.threshold:.3f}\ncontact everyone {everyone:.2f}, nobody 0\n"
        f"contact costs {costs.contact:g}; {costs.success:.0%} stay, worth {costs.value:g}"
    )
    _say(axes, words, "top")
    axes.set_ylim(*_room_above(np.append(profit, 0.0)))
    return figure


def _importances(case: Case) -> Figure:
    found = importances.importances(case.model, case.data)
    told = f"{case.who}, fitted on {len(case.data.development):,} rows"
    columns, values = found.columns[:_COLUMNS_SHOWN], found.values[:_COLUMNS_SHOWN]
    figure, axes = _figure("What the model leans on", told, found.measure, "")
    axes.barh(range(len(columns)), values, color=LINE, height=0.7)
    axes.set_yticks(range(len(columns)), columns)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure


_PICTURES: dict[str, Callable[[Case], Figure]] = {
    "roc": _roc,
    "precision_recall": _precision_recall,
    "calibration": _calibration,
    "confusion": _confusion,
    "profit": _profit,
    "importances": _importances,
}
_PROFIT_UNIT = "expected profit a customer (the contract's currency)"


def _at_each_score(case: Case) -> tuple[Vector, Vector]:
    """Leavers and customers contacted at each distinct score, highest first, from nobody to everybody."""
    order = np.argsort(-case.p, kind="stable")
    last = np.append(np.nonzero(np.diff(case.p[order]))[0], len(case.p) - 1)
    true, chosen = np.cumsum(case.y[order])[last], (last + 1).astype(np.float64)
    return np.append(0.0, true), np.append(0.0, chosen)


def _figure(title: str, subtitle: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{title}\n", loc="left", fontsize=13, color=INK, fontweight="bold")
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9, color=SOFT)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes


def _square(figure: Figure, axes: Axes) -> Figure:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    return figure


def _room_above(values: Vector) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low - 0.05 * (high - low), high + 0.3 * (high - low)


def _say(axes: Axes, words: str, corner: Literal["top", "bottom"]) -> None:
    """Words in the right corner of a picture."""
    place = (0.96, 0.94 if corner == "top" else 0.06)
    axes.text(*place, words, transform=axes.transAxes, ha="right", va=corner, color=INK, fontsize=10, linespacing=1.5)


def _ramp() -> LinearSegmentedColormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shares", ["#f5f7fa", LINE])
