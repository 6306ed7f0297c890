"""Concluding: what the gate and the promotion said, written where the decision stands and beside the model."""

from __future__ import annotations

from churn.domain.retraining import Decision
from churn.stores import retrainings
from churn.stores.registry import Registry
from churn.stores.retrainings import Result
from churn.stores.settings import Settings
from components.evaluate.evaluation import Evaluation
from components.promote.step import Promoted


def conclude(  # noqa: PLR0913, PLR0917 - which run, and what each step of it has said
    settings: Settings, run: str, trained_by: str, decision: Decision, evaluation: Evaluation, promoted: Promoted | None
) -> Result:
    """Writes the result of the KFP run `run` beside its decision, and both sentences to the MLflow run `trained_by`.

    Raises UserError when a store is away."""
    result = _result(evaluation, promoted)
    retrainings.conclude(settings.database, evaluation.model, run, result)
    tags = {
        "retraining.because": decision.because,
        "retraining.outcome": result.outcome,
        "retraining.reason": result.reason,
    }
    Registry(settings).annotate(trained_by, tags)
    return result


def _result(evaluation: Evaluation, promoted: Promoted | None) -> Result:
    if promoted is None:
        return Result("refused", evaluation.reason)
    if promoted.share:
        judged = evaluation.reason.removeprefix("promoted: ")
        whom = f"{100 * promoted.share:g} % of the customers beside version {promoted.previous}"
        reason = f"challenger: version {promoted.version} meets {whom}: {judged}"
        return Result("challenger", reason, promoted.version)
    return Result("promoted", evaluation.reason, promoted.version)
