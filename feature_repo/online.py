"""Reading the online store: what the predictor opens once and asks for each request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from churn.domain.contract import Contract
from churn.stores.settings import Settings
from feature_repo import names

if TYPE_CHECKING:
    from feature_repo.quiet import Value
    from feature_repo.values import Plain

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # how Feast's Redis store dates an entity that it does not hold


@dataclass(frozen=True, slots=True)
class Known:
    """An entity's raw values by column, in the contract's order, and when they were true."""

    event_timestamp: datetime
    raw: dict[str, Plain]


@dataclass(frozen=True, slots=True)
class Stale:
    """An entity whose values are older than the contract's TTL, and so not served."""

    event_timestamp: datetime


@dataclass(frozen=True, slots=True)
class Unknown:
    """An entity that was never written."""


Answer = Known | Stale | Unknown


class OnlineFeatures:
    """A contract's view in the online store. Threads may share one."""

    def __init__(self, settings: Settings, contract: Contract, layout: names.Layout | None = None) -> None:
        """Opens the store; `layout` is the one the model's bundle carries, the contract's own by default.

        Raises UserError when there is no registry or it does not hold the view."""
        from feature_repo import registry, store
        from feature_repo.quiet import errors

        layout = layout or names.layout(contract)
        opened = store.open_online(settings, layout.project)
        try:
            self._view = opened.get_feature_view(layout.view)
        except errors.FeastObjectNotFoundException as error:
            raise registry.absent(settings) from error
        self._contract = contract
        self._ttl = timedelta(days=contract.ttl_days)
        self._fields = {column: names.field(column) for column in contract.raw}
        self._config = opened.config
        self._provider = opened.provider

    def read(self, ids: Sequence[int | str], now: datetime | None = None) -> list[Answer]:
        """One answer for each id, in order; values are Python's (int, float, str, None), integers exact.

        Older than the TTL is judged against `now` (UTC, the clock by default). Blocks for the time of one query: call
        it in a thread from a loop. Raises UserError for an id that is no integer where the contract's key is one, and
        what the store raises when it fails; the next call then connects anew."""
        from feature_repo.quiet import provider
        from feature_repo.values import entity_key, key_value

        keys = [entity_key(self._contract, key_value(self._contract, given)) for given in ids]
        if not keys:
            return []
        try:
            found = self._provider.online_read(self._config, self._view, keys, list(self._fields.values()))
        except Exception:
            self._provider = provider.get_provider(self._config)
            raise
        now = now or datetime.now(UTC)
        return [self._answer(stamp, values or {}, now) for stamp, values in found]

    def _answer(self, stamp: datetime | None, values: Mapping[str, Value], now: datetime) -> Answer:
        from feature_repo.values import plain

        if stamp is None or stamp == _NEVER:
            return Unknown()
        if now - stamp > self._ttl:
            return Stale(stamp)
        found = {column: values.get(name) for column, name in self._fields.items()}
        return Known(stamp, {column: None if value is None else plain(value) for column, value in found.items()})
