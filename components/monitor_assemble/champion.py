"""The champion and what was known of it when it was put in charge."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from churn.domain import bundle as bundles
from churn.domain.bundle import PROVENANCE, Bundle, Provenance
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Evaluation
from components.files import read_json

_EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Champion:
    """The version that serves; `promoted` are hold-out metrics of the versions that the traffic document names, as
    far as they are known."""

    version: int
    bundle: Bundle
    trained_to: dt.datetime | None
    promoted: dict[int, dict[str, float]]
    importance: dict[str, float]


def find(settings: Settings, model: str) -> Champion:
    """The model's champion. Raises UserError when there is none, or when its bundle is gone or damaged."""
    traffic = open_traffic(settings).read(model)
    if traffic is None:
        remedy = "train and promote one: churn run training"
        raise UserError("has no champion, so that there is nothing to compare with", f"model {model}", remedy)
    store = objects.open_store(settings)
    folder = store.fetch_folder(traffic.champion.bundle)
    own = _evaluation(folder)
    judged = {traffic.champion.version: own}
    for one in (traffic.challenger, traffic.previous):
        with suppress(UserError):  # of these nothing else is asked, and a predecessor's bundle may be gone by now
            judged |= {one.version: _evaluation(store.fetch_folder(one.bundle))} if one else {}
    return Champion(
        version=traffic.champion.version,
        bundle=bundles.load(folder, traffic.champion.digest),
        trained_to=_trained_to(folder),
        promoted={version: one.metrics["holdout"] for version, one in judged.items() if one},
        importance={one.column: one.mean for one in own.importance} if own else {},
    )


def _evaluation(folder: Path) -> Evaluation | None:
    file = folder / _EVALUATION
    return read_json(file, Evaluation) if file.is_file() else None


def _trained_to(folder: Path) -> dt.datetime | None:
    file = folder / PROVENANCE
    if not file.is_file():
        return None
    found = dt.datetime.fromisoformat(read_json(file, Provenance).as_of)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
