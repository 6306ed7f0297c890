"""The registry for people."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from churn.domain.errors import UserError
from churn.stores import retrainings as stored
from churn.stores.registry import ModelVersionInfo, Registry
from churn.stores.retrainings import Retraining
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model
from churn.stores.traffic_store import open_traffic


class Row(msgspec.Struct, frozen=True):
    """A registered version, and what it does now (champion, challenger, or nothing)."""

    model: str
    version: int
    digest: str
    serves: str
    created: str
    candidate: str
    metrics: dict[str, float]
    reason: str


def versions(model: str = "") -> list[Row]:
    """Every version of every model, or of one. What serves is read from the traffic documents."""
    settings = Settings.load().prepare()
    registry = Registry(settings)
    wanted = [model] if model else registry.models()
    return [_row(info, _roles(settings, name)) for name in wanted for info in registry.versions(name)]


def show(model: str, version: int) -> dict[str, Any]:
    """One version, the champion when `version` is 0, with the traffic document."""
    settings = Settings.load().prepare()
    document = open_traffic(settings).read(model)
    wanted = version or (document.champion.version if document else 0)
    return {"version": msgspec.to_builtins(_one(model, wanted)), "traffic": msgspec.to_builtins(document)}


def compare(model: str, first: int, second: int) -> dict[str, dict[str, float]]:
    """Each metric of two versions and their difference."""
    one, other = _one(model, first).metrics, _one(model, second).metrics
    shared = [name for name in one if name in other and name.startswith("cv_")]
    return {name: {"first": one[name], "second": other[name], "difference": other[name] - one[name]} for name in shared}


def retrainings(model: str) -> list[Retraining]:
    """What was decided about a model, the newest first. Raises UserError when the database is away."""
    return stored.every(Settings.load().prepare().database, checked_model(model))


def decisions(found: list[Retraining]) -> Table:
    """Decisions as a table."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("as of", "version", "outcome", "new", "why"):
        shown.add_column(name)
    for one in found:
        why = f"{one.because}; {one.reason}" if one.reason else one.because
        new = str(one.new_version or "")
        shown.add_row(f"{one.as_of:%Y-%m-%d}", str(one.version), one.outcome, new, escape(why))
    return shown


def table(rows: list[Row]) -> Table:
    """Versions as a table."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("model", "version", "serves as", "candidate", "roc_auc", "log_loss", "digest", "created"):
        shown.add_column(name)
    for row in rows:
        figures = [f"{row.metrics.get(f'cv_{name}', float('nan')):.4f}" for name in ("roc_auc", "log_loss")]
        shown.add_row(row.model, str(row.version), row.serves, row.candidate, *figures, row.digest[:12], row.created)
    return shown


def comparison(found: dict[str, dict[str, float]], first: int, second: int) -> Table:
    """A comparison as a table."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("metric", f"version {first}", f"version {second}", "difference"):
        shown.add_column(name, justify="left" if name == "metric" else "right")
    for metric, values in found.items():
        shown.add_row(
            metric.removeprefix("cv_"),
            f"{values['first']:.4f}",
            f"{values['second']:.4f}",
            f"{values['difference']:+.4f}",
        )
    return shown


def _one(model: str, version: int) -> Row:
    rows = versions(model)
    if not rows:
        raise UserError(f"no model '{model}' is registered", remedy="churn models list")
    for row in rows:
        if row.version == version:
            return row
    known = ", ".join(str(row.version) for row in rows)
    raise UserError(f"{model} has no version {version}", remedy=f"there are: {known}")


def _roles(settings: Settings, model: str) -> dict[int, str]:
    document = open_traffic(settings).read(model)
    if document is None:
        return {}
    challenger = {document.challenger.version: "challenger"} if document.challenger else {}
    return {**challenger, document.champion.version: "champion"}


def _row(info: ModelVersionInfo, roles: dict[int, str]) -> Row:
    return Row(
        model=info.model,
        version=info.version,
        digest=info.digest,
        serves=roles.get(info.version, ""),
        created=info.created.isoformat(timespec="seconds"),
        candidate=info.params.get("candidate", ""),
        metrics={name: value for name, value in info.metrics.items() if name.startswith("cv_")},
        reason=info.description,
    )
