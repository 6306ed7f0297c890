"""Feast's operations for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from feature_repo import contracts, materialisation, names, registration
from feature_repo.online import Known, OnlineFeatures, Stale


def apply(contract: str, model: str, source: str) -> str:
    """Registers the contract's definitions, on `source` or on what is registered now; says what was done."""
    settings = Settings.load().prepare()
    found = contracts.resolve(settings, contract, model)
    address = source or _registered_source(settings, found)
    registration.apply(settings, found, address)
    return f"{names.service(found)} of project {names.project(found)} reads {address}"


def materialise(contract: str, model: str, as_of: str) -> materialisation.Materialised:
    """Fills the online store up to `as_of` (ISO 8601; now when empty)."""
    try:
        when = datetime.fromisoformat(as_of) if as_of else datetime.now(UTC)
    except ValueError:
        raise UserError(f"'{as_of}' is not a date", where="--as-of", remedy="like 2026-01-31") from None
    settings = Settings.load().prepare()
    return materialisation.materialise(settings, contracts.resolve(settings, contract, model), when)


def get(contract: str, model: str, ids: list[str]) -> list[dict[str, Any]]:
    """What is stored of each customer. Raises UserError for one that is not known."""
    settings = Settings.load().prepare()
    found = contracts.resolve(settings, contract, model)
    answers = OnlineFeatures(settings, found).read(ids)
    rows = []
    for customer, answer in zip(ids, answers, strict=True):
        if not isinstance(answer, Known | Stale):
            raise UserError(
                f"no customer '{customer}' is stored", where=names.raw_view(found), remedy="churn features materialize"
            )
        row = {
            names.key(found): customer,
            "event_timestamp": answer.event_timestamp.isoformat(),
            "stale": isinstance(answer, Stale),
        }
        rows.append(row | (answer.raw if isinstance(answer, Known) else {}))
    return rows


def _registered_source(settings: Settings, contract: Contract) -> str:
    from feature_repo import store

    opened = store.open_store(settings, names.project(contract))
    registered = registration.registered(settings, opened, contract, expected_source=None)
    source: Any = registered.raw.batch_source
    return str(source.path).rpartition("/")[0]
