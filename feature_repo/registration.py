"""Registering a contract's features over a run's sources, and finding them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn.domain.contract import Contract
from churn.stores.errors import ConflictError
from churn.stores.settings import Settings
from feature_repo import names

if TYPE_CHECKING:
    from feature_repo.quiet import feast


@dataclass(frozen=True)
class Registered:
    """What the registry holds of a contract; `raw` is the view that is materialised."""

    service: feast.FeatureService
    raw: feast.FeatureView


def apply(settings: Settings, contract: Contract, source: str, *, logged: bool = False) -> None:
    """Registers entity, sources, views and service of a contract; its views then read the files in `source`.

    `source` is the address of a folder that holds `raw.parquet` and, where features are derived, `derived.parquet`:
    entity key, `event_timestamp` (timestamp[us, UTC]) and the features, typed as `encoding.feature_schema` says.
    `logged` rows are those of the prediction log (`names.project`).
    Idempotent, and safe beside others. Views of other contracts, and everything that is online, stay as they are."""
    from feature_repo import store
    from feature_repo.definitions import define

    with store.registry_lock(settings):
        store.prepare(settings)
        store.open_store(settings, names.project(contract, logged=logged)).apply(define(contract, source))


def registered(
    settings: Settings, opened: feast.FeatureStore, contract: Contract, expected_source: str | None
) -> Registered:
    """The contract's service and views.

    Raises UserError when the registry does not hold them, ConflictError when they read other files than those in
    `expected_source`, because another run has registered its own since."""
    from feature_repo import registry
    from feature_repo.quiet import errors

    try:
        service = opened.get_feature_service(names.service(contract))
        views = {part.name: opened.get_feature_view(part.name) for part in service.feature_view_projections}
    except errors.FeastObjectNotFoundException as error:
        raise registry.absent(settings) from error
    if expected_source is not None:
        expected = (names.raw_source(expected_source), names.derived_source(expected_source))
        for name, view in views.items():
            _refuse_other(name, view.batch_source, expected)
    return Registered(service, views[names.raw_view(contract)])


def _refuse_other(view: str, source: Any, expected: tuple[str, str]) -> None:
    if source.path not in expected:
        problem = f"reads {source.path}, not {expected[0]}: another run has registered its features since"
        raise ConflictError(problem, where=f"feature view {view}", remedy="run again")
