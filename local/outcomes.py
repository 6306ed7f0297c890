"""Outcomes from a file: read by the contract's names, checked row by row, and loaded under the log's pseudonyms."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import parsing
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.stores import outcomes
from churn.stores.addresses import redacted
from churn.stores.outcomes import Loaded
from churn.stores.prediction_log import fingerprints
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.sinks import Away
from churn.stores.privacy.database import names_by, names_customers
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model
from churn.stores.traffic_store import open_traffic
from components.ingest import sources
from feature_repo import contracts
from local.rollout.judging import bundle_of
from serving.settings import ServingSettings

DEFAULT = "telco"
KNOWN_UNTIL = ("known_until", "outcome_date")
LEFT_AT = "left_at"

_NO_CUSTOMER = "names no customer"
_NO_TIME = "has no time until which the outcome is known"
_NO_DATE = "left_at is no date or time"
_NO_WORD = "is no outcome that the contract knows"
_BACKWARDS = "left after the time until which it is known"
_AHEAD = "is known until a time that has not come: a clock is wrong"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a file: how many rows it has, how many of them were set aside and why, and what the rest changed.

    `first` is the number of the first row of each kind, from 1."""

    rows: int
    set_aside: dict[str, int]
    first: dict[str, int]
    loaded: Loaded


def load(address: str, contract: str = "", model: str = "", as_of: str = "") -> Report:
    """Loads the outcomes at an address: a CSV or Parquet file, `s3://`, or `postgresql://`, as a training run reads.

    The table has the customer's key, `known_until` (or `outcome_date`), and `left_at`, empty for who has not left, or
    the contract's target: then a leaver has left by `known_until`, and nobody knows when. A row that cannot be is set
    aside and counted. Without a `contract` the names are those of the champion of `model`; without a model either,
    those of telco. Raises UserError for a model without a champion, for a table without these columns, with one of them
    twice or without one good row, and when the database is away."""
    settings = Settings.load().prepare()
    terms = _terms(settings, contract, model)
    if terms.key is None:
        problem = "its rows have no key, so that no outcome can be told whose it is"
        raise UserError(problem, contract or f"contract of {terms.name}", "give the contract a `key`")
    reader = _Reader(terms, _pseudonyms(settings), _moment(as_of), address)
    loaded = outcomes.load(settings.database, terms.name, reader.read(settings), reader.now)
    return Report(rows=reader.rows, set_aside=dict(reader.set_aside), first=reader.first, loaded=loaded)


def _terms(settings: Settings, contract: str, model: str) -> Contract:
    if contract or not model:
        return contracts.resolve(settings, contract or DEFAULT, model)
    document = open_traffic(settings).read(checked_model(model))
    if document is None:
        remedy = "name a contract with --contract, or train and promote a model: churn run training"
        raise UserError("has no champion, whose contract the table would be read by", f"model {model}", remedy)
    return bundle_of(settings, document.champion).contract


class _Reader:
    """Reads a table once, and remembers what it set aside."""

    def __init__(self, contract: Contract, names: Pseudonyms, now: datetime, address: str) -> None:
        self._contract, self._names, self.now, self._address = contract, names, now, address
        self.rows = 0
        self.set_aside: Counter[str] = Counter()
        self.first: dict[str, int] = {}

    def read(self, settings: Settings) -> Iterator[pa.Table]:
        """The good rows. Raises UserError at the end when there were rows and none was good."""
        good = 0
        for batch in sources.read(settings, self._address):
            parsing.require_distinct(batch.schema.names, redacted(self._address))
            table = self._good(pa.Table.from_batches([batch]))
            good += table.num_rows
            yield table
        if self.rows and not good:
            why = self.set_aside.most_common(1)[0][0]
            raise UserError(f"no row can be used; most often: {why}", where=self._address, remedy="correct the table")

    def _good(self, table: pa.Table) -> pa.Table:
        customer = self._customers(table)
        known = parsing.timestamps(self._values(table, *KNOWN_UNTIL))
        left, unread = self._left(table, known)
        good = pa.repeat(pa.scalar(value=True), table.num_rows)
        for problem, bad in (
            (_NO_CUSTOMER, pc.is_null(customer)),
            (_NO_TIME, pc.is_null(known)),
            unread,
            (_BACKWARDS, pc.greater(left, known)),
            (_AHEAD, pc.greater(known, pa.scalar(self.now, parsing.TIMESTAMP))),
        ):
            found = pc.and_(good, pc.fill_null(bad, fill_value=False))
            self._count(problem, found)
            good = pc.and_not(good, found)
        self.rows += table.num_rows
        pseudonyms = pa.array(self._names.pseudonyms(customer.to_pylist()), pa.binary())
        by = pa.repeat(pa.scalar(LEFT_AT not in table.column_names), table.num_rows)
        return pa.table([pseudonyms, left, known, by], schema=outcomes.GIVEN).filter(good)

    def _count(self, problem: str, found: pa.Array) -> None:
        count = pc.sum(found).as_py() or 0
        if count:
            self.first.setdefault(problem, self.rows + pc.index(found, value=True).as_py() + 1)
            self.set_aside[problem] += count

    def _customers(self, table: pa.Table) -> pa.Array:
        """Keys as text, as the predictor names customers by them."""
        key = self._contract.key
        assert key is not None
        given = self._values(table, self._contract.source_of(key.column), key.column)
        found = parsing.integers(given).cast(pa.string()) if key.type == "integer" else parsing.text(given)
        return pc.if_else(pc.equal(found, ""), pa.scalar(None, pa.string()), found)

    def _left(self, table: pa.Table, known: pa.Array) -> tuple[pa.Array, tuple[str, pa.Array]]:
        """When each left, null for who has not; and what is wrong with which rows."""
        if LEFT_AT in table.column_names:
            given = self._values(table, LEFT_AT)
            left = parsing.timestamps(given)
            return left, (_NO_DATE, pc.and_(pc.is_valid(given), pc.is_null(left)))
        target = self._contract.target.column
        self._values(table, self._contract.source_of(target), target, LEFT_AT)  # refuses a table that has none of them
        source = self._contract.source_of(target)
        asked = table if source in table.column_names else table.rename_columns({target: source})
        word = parsing.parse(self._contract, asked.select([source])).table[target].combine_chunks()
        left = pc.if_else(pc.equal(word, 1), known, pa.scalar(None, parsing.TIMESTAMP))
        return left, (_NO_WORD, pc.is_null(word))

    def _values(self, table: pa.Table, *names: str) -> pa.Array:
        """The first of these columns that is there. Raises UserError when none is."""
        for name in names:
            if name in table.column_names:
                return parsing.present(parsing.values_of(table, name), self._contract.validation.missing)
        remedy = nearest(names[0], table.column_names)
        raise UserError(f"has no column '{names[0]}'", where=self._address, remedy=remedy)


def _pseudonyms(settings: Settings) -> Pseudonyms:
    """By the predictor's key. Another one, where customers have names already, would match nobody."""
    key = ServingSettings.load(os.environ, settings).log_key
    named = names_customers(settings.database)
    names = names_by(settings.database, key, named=named) or Pseudonyms.load(key)
    if named:
        return names
    try:
        fingerprints.keep(settings.database, names, key)
    except Away as error:
        where, remedy = redacted(settings.database), "run `churn data migrate`, and check CHURN_DATABASE"
        raise UserError(f"the database keeps no key's fingerprint ({error})", where, remedy) from None
    return names


def _moment(as_of: str) -> datetime:
    try:
        found = datetime.fromisoformat(as_of) if as_of else datetime.now(UTC)
    except ValueError:
        raise UserError(f"'{as_of}' is not a date", where="--as-of", remedy="like 2026-01-31") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
