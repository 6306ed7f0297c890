"""A version of the model, loaded, verified and ready to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from churn.domain import bundle as bundles
from churn.domain.bundle import PROVENANCE, Bundle, Provenance
from churn.domain.contract import Contract, Level
from churn.domain.errors import UserError
from churn.domain.explanation import Contributions, Explainer
from churn.domain.scoring import Scorer
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from feature_repo.direct.errors import BadIdError, RowsError, StoreAwayError
from feature_repo.direct.reader import Reader, Stored, open_reader
from serving import trial
from serving.asked import Asked
from serving.checking import MISSING, check
from serving.errors import (
    Failure,
    Fault,
    FaultyRequestError,
    InvalidValuesError,
    StaleCustomerError,
    UnavailableError,
    UnknownCustomerError,
    UnreachableCustomerError,
)
from serving.fields import required
from serving.metrics import Metrics
from serving.plain import Plain
from serving.settings import ServingSettings

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

Why = tuple[str, type[FaultyRequestError]]
"""What is wrong with a customer, and what it is called."""

UNKNOWN = "names no known customer"
AWAY = "the online store does not answer; send all features, or ask later"
BAD_ID = "cannot be an id of this model"
BAD_VALUE = "names a customer with stored values that the model does not know; send them anew"
INLINE = 256
"""Customers up to which a request is answered between two turns of the event loop; more go to a thread."""


LEVELS: tuple[Level, ...] = ("low", "medium", "high")
"""Risk, by place."""


@dataclass(frozen=True)
class Words:
    """The rule table by level of risk: what is said without a reason, and by the column that is the strongest one."""

    default: tuple[str, ...]
    by_reason: tuple[dict[str, str], ...]


@dataclass(slots=True)
class Resolved:
    """Customers as the graph takes them, with the ids they were asked by, and what is wrong with whom."""

    ids: Sequence[str | int | UnsetType] | None
    columns: Matrix
    failures: list[Failure]


class Version:
    """What answers for one entry of the traffic document. Threads may share one."""

    def __init__(
        self, variant: Variant, bundle: Bundle, reader: Reader, metrics: Metrics, *, map_unknown: bool = False
    ) -> None:
        self.variant, self.bundle, self._reader, self._metrics = variant, bundle, reader, metrics
        self.contract = bundle.contract
        self.plain = Plain(bundle.contract)
        self.scorer = Scorer.of(bundle)
        self.explainer = Explainer.of(bundle)
        self.words = words(bundle.contract)
        self.layout = bundle.contract.digest
        self._map_unknown = map_unknown
        self._required = np.array([required(column) for column in self.contract.columns.values()])
        self._low, self._high = np.array(bundle.manifest.spans, np.float64).T

    @cached_property
    def trained_as_of(self) -> str | None:
        """The date up to which the training run saw things; None where the bundle came without its provenance."""
        try:
            return msgspec.json.decode((self.bundle.folder / PROVENANCE).read_bytes(), type=Provenance).as_of
        except (OSError, msgspec.DecodeError):
            return None

    async def resolve(self, asked: Asked) -> Resolved:
        """The customers of a request, by what is given and, of those with an id, what is stored.

        Raises RequestError for what is no single customer's fault."""
        plain = asked.plain(self.plain)
        if plain is None:
            return await self._checked(asked)
        found = Resolved(plain.keys, plain.matrix, [])
        if plain.keys is not None and plain.absent:
            stored, found.failures = await self._stored(plain.keys, range(asked.count), asked)
            found.columns[:, plain.absent] = stored[:, plain.absent]
            found.failures += self._lacking(found, range(asked.count), asked)
        return found

    def probability(self, columns: Matrix) -> Vector:
        """Churn probability (n,). Raises UserError for a derived value that is not finite."""
        return self.scorer.probability(columns)

    def not_finite(self, columns: Matrix, asked: Asked) -> list[Failure]:
        """The customers (rows of `columns`) of whom a formula makes no finite number."""
        found = []
        for row in range(len(columns)):
            try:
                self.bundle.derivation.run(columns[row : row + 1])
            except UserError as error:
                found.append(Failure(row, Fault(asked.customer(row), f"gives no finite value of {error.where}")))
        return found

    def explain(self, columns: Matrix) -> Contributions:
        """What each column adds to the logit. Blocks."""
        return self.explainer.explain(columns)

    def unusual(self, columns: Matrix) -> npt.NDArray[np.bool_] | None:
        """Which values (n, k) lie outside of what training has seen, or are missing; None when all are as usual."""
        odd = ~((columns >= self._low) & (columns <= self._high))
        return odd if odd.any() else None

    async def warm(self) -> None:
        """Opens what the first look-up needs; what the first explanation needs is in `trial`."""
        await self._reader.warm()

    def close(self) -> None:
        """Lets go of the online store."""
        self._reader.close()

    async def _checked(self, asked: Asked) -> Resolved:
        if asked.count > INLINE or asked.heavy:
            checked = await asyncio.to_thread(check, self.contract, asked, map_unknown=self._map_unknown)
        else:
            checked = check(self.contract, asked, map_unknown=self._map_unknown)
        found = Resolved(checked.ids, checked.columns, checked.failures)
        bad = {failure.row for failure in found.failures}
        rows = [
            row
            for row, key in enumerate(checked.ids)
            if key is not UNSET and row not in bad and not checked.given[row].all()
        ]
        if rows:
            stored, failures = await self._stored([checked.ids[row] for row in rows], rows, asked, checked.id_name)
            found.columns[rows] = np.where(checked.given[rows], found.columns[rows], stored)
            found.failures += failures
            found.failures += self._lacking(found, rows, asked)
        return found

    async def _stored(
        self, keys: Sequence[str | int | UnsetType], rows: Sequence[int], asked: Asked, id_name: str = ""
    ) -> tuple[Matrix, list[Failure]]:
        """What the online store holds (m, k) of the customers in `rows`. Raises UnavailableError when it is away."""
        started = time.perf_counter()
        try:
            stored = await self._reader.read([key for key in keys if key is not UNSET])
        except StoreAwayError as error:
            self._metrics.online_read("away", time.perf_counter() - started)
            if not asked.options.partial:
                raise UnavailableError(AWAY, retry_after=error.retry_after) from error
            name = self._name_of_id(asked, id_name)
            failures = [Failure(row, Fault(asked.cell(row, name), AWAY), UnreachableCustomerError) for row in rows]
            return np.full((len(rows), len(self._required)), np.nan), failures
        except RowsError as error:
            self._metrics.online_read("ok", time.perf_counter() - started)
            bad, kind = (
                (BAD_ID, InvalidValuesError) if isinstance(error, BadIdError) else (BAD_VALUE, StaleCustomerError)
            )
            found = dict.fromkeys(error.rows, (bad, kind))
            return error.stored.columns, self._unanswerable(error.stored, rows, asked, id_name, found)
        self._metrics.online_read("ok", time.perf_counter() - started)
        if not stored.stale.any() and not np.isnan(stored.seen).any():
            return stored.columns, []
        return stored.columns, self._unanswerable(stored, rows, asked, id_name, {})

    def _unanswerable(
        self, stored: Stored, rows: Sequence[int], asked: Asked, id_name: str, found: Mapping[int, Why]
    ) -> list[Failure]:
        """Customers who are unknown, or whose values are too old; and those for whom a reason was `found` already."""
        name = self._name_of_id(asked, id_name)
        stale = f"names a customer whose stored values are older than {self.contract.ttl_days} days; send them anew"
        why: dict[int, Why] = dict.fromkeys(np.nonzero(stored.stale)[0].tolist(), (stale, StaleCustomerError))
        why |= dict.fromkeys(np.nonzero(np.isnan(stored.seen))[0].tolist(), (UNKNOWN, UnknownCustomerError))
        self._metrics.online_misses.inc(len(why.keys() - found.keys()))
        return [
            Failure(rows[place], Fault(asked.cell(rows[place], name), problem), kind)
            for place, (problem, kind) in sorted({**why, **found}.items())
        ]

    def _name_of_id(self, asked: Asked, known: str) -> str:
        return known or next(one for one in self.plain.ids if one in asked.values)

    def _lacking(self, found: Resolved, rows: Sequence[int], asked: Asked) -> list[Failure]:
        """Columns that a customer with an id must have, and that are neither given nor stored."""
        lacking = np.isnan(found.columns) & self._required
        if not lacking.any():
            return []
        bad = {failure.row for failure in found.failures}
        problem = f"{MISSING}: neither given nor stored"
        return [
            Failure(row, Fault(asked.cell(row, self.contract.raw[place]), problem))
            for row in rows
            if row not in bad
            for place in np.nonzero(lacking[row])[0]
        ]


class Loader:
    """Turns entries of the traffic document into versions. `describe` is told each contract before its first answer."""

    def __init__(
        self,
        settings: Settings,
        serving: ServingSettings,
        metrics: Metrics,
        describe: Callable[[Contract], None] = lambda _: None,
    ) -> None:
        self._settings, self._serving, self._metrics, self._describe = settings, serving, metrics, describe

    def load(self, model: str, variant: Variant, *, whole: bool = True) -> Version:
        """Fetches a bundle by its address, verifies every file against the digest, and lets it answer its own example.

        Not `whole`, the graph alone answers it: large batches and reasons are left to `trial.pass_by`, later.
        Blocks. Raises UserError for a bundle that is missing, changed, of another model, or wrong about its example."""
        started = time.perf_counter()
        folder = objects.open_store(self._settings, objects.root_of(variant.bundle)).fetch_folder(variant.bundle)
        bundle = bundles.load(folder, variant.digest)
        if bundle.manifest.model != model:
            raise UserError(f"is a model of '{bundle.manifest.model}', not of '{model}'", where=variant.bundle)
        bundles.self_test(bundle)
        reader = open_reader(self._settings, bundle.contract, bundle.manifest.online, self._serving.limits.online)
        try:
            self._describe(bundle.contract)
            loaded = Version(variant, bundle, reader, self._metrics, map_unknown=self._serving.map_unknown)
            if whole:
                trial.pass_by(loaded)
        except BaseException:
            reader.close()
            raise
        self._metrics.load_seconds.set(time.perf_counter() - started)
        return loaded


def words(contract: Contract) -> Words:
    """The contract's rule table, laid out by level."""
    advice = [contract.advice(level) for level in LEVELS]
    return Words(tuple(one.default for one in advice), tuple(one.by_reason for one in advice))
