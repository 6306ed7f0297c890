"""What a training leaves: its report for the steps behind it, and its run in MLflow."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from churn.domain import metrics
from churn.stores.runs import Run
from components.train import bundling, plots
from components.train.data import TrainingSet
from components.train.fitting import Model
from components.train.selection import CandidateResult


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What the step leaves for the gate, the registry and people."""

    run: str
    digest: str
    candidate: str
    threshold: float
    cv: dict[str, float]
    """Metrics of the chosen candidate over all out-of-fold predictions at once."""
    null_parity: float
    """Largest difference between graph and estimators with each column null in turn."""
    candidates: list[CandidateResult]
    dropped: tuple[str, ...]
    rows: int
    holdout: int


def trained(run: Run, digest: str, model: Model, data: TrainingSet, candidates: list[CandidateResult]) -> Trained:
    """The report on `model`, bundled as `digest`, beside what became of all candidates."""
    chosen, y = model.chosen, data.rows.y
    seen = ~np.isnan(chosen.oof)
    return Trained(
        run=run.id,
        digest=digest,
        candidate=chosen.candidate.name,
        threshold=chosen.threshold,
        cv=metrics.measure(y[seen], chosen.oof[seen], chosen.threshold, model.contract.costs),
        null_parity=model.null_parity(data.columns),
        candidates=candidates,
        dropped=model.preparation.dropped,
        rows=len(data.y),
        holdout=int(data.holdout.sum()),
    )


def log(run: Run, report: Trained, model: Model, data: TrainingSet, bundle: Path) -> None:
    """Parameters, metrics, the data's digest, the bundle with signature and input example, and plots."""
    run.log(
        params=_params(report, model, data),
        metrics={
            **{f"cv_{name}": value for name, value in report.cv.items()},
            **{
                f"candidate.{one.name}.{name}": spread.mean
                for one in report.candidates
                for name, spread in one.cv.items()
            },
        },
        tags={"contract.digest": model.contract.digest, "bundle.digest": report.digest},
    )
    run.log_dataset(model.contract.name, data.digest, data.source)
    run.log_bundle(bundle, report.digest, bundling.example_columns(data))
    plots.log(run, model, data)


def _params(report: Trained, model: Model, data: TrainingSet) -> dict[str, object]:
    candidate = model.chosen.candidate
    if candidate.ensemble:
        own: dict[str, object] = {"ensemble": candidate.ensemble, "members": ", ".join(candidate.members)}
    else:
        own = {"class": candidate.estimator, **candidate.params}
    return {
        "candidate": report.candidate,
        "folds": len(data.rows.folds),
        "threshold": report.threshold,
        **{f"estimator.{name}": value for name, value in own.items()},
    }
