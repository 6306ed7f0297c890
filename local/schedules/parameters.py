"""A schedule's parameters, held against what the command line's are: now, not when they are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model
from feature_repo import contracts
from local import batch, monitoring, retraining, training

_NAMES = {"window": "window_days", "": "model"}
"""Parameters that the command line calls by another name, or takes for known."""


def check(pipeline: str, parameters: Mapping[str, Any], where: str) -> None:
    """Raises UserError, which names the parameter below `where`, for a value that the pipeline would refuse.

    Values are of their types already."""
    try:
        _CHECKS[pipeline](**parameters)
    except UserError as error:
        said = error.where.removeprefix("--param ").removeprefix("parameter ").removeprefix("--").replace("-", "_")
        raise UserError(error.problem, f"{where}.{_NAMES.get(said, said)}", error.remedy) from None


def _batch(data: str = "", threads: int = 0, **others: Any) -> None:
    usual: dict[str, Any] = {"as_of": "", "shards": 0, "out": "", "model": "telco", "reasons": False}
    batch.Request.parse(data, from_store=not data, runner="venv", **(usual | others))
    if threads < 0:
        raise UserError(f"{threads} are none", where="threads", remedy="1 or more, or 0 for as many as suit")


def _training(data: str, contract: str = "telco", model: str = "", as_of: str = "", **others: Any) -> None:
    params = [f"{name}={value}" for name, value in others.items() if value != ""]
    training.Request.parse(data, params, contract=contract, model=model, as_of=as_of, runner="venv")
    if model:
        checked_model(model)
    _require_candidates(contract, others.get("candidates", ""))


def _retraining(model: str, candidates: str = "", **others: Any) -> None:
    retraining.Request.checked(model, candidates=candidates, **others)
    _require_candidates(model, candidates)


def _require_candidates(contract: str, candidates: str) -> None:
    """Of a contract that comes with the project they are known; that of another is with its model, in the cluster."""
    if not candidates or contract not in contracts.known():
        return
    from components.train.options import options
    from components.train.pool import default_candidates

    listed = contracts.resolve(Settings.load(), contract).candidates
    names = [one.name for one in (*listed, *default_candidates())]
    for name in options(candidates).candidates:
        if name not in names:
            raise UserError(f"unknown candidate '{name}'", where="candidates", remedy=nearest(name, names))


_CHECKS: dict[str, Callable[..., object]] = {
    "batch": _batch,
    "training": _training,
    "monitoring": monitoring.Request.checked,
    "retraining": _retraining,
}
