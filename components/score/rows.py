"""Some rows of a table, scored; or set aside with the reasons why they cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import encoding, parsing
from churn.domain.bundle import Bundle
from churn.domain.errors import UserError
from churn.domain.scoring import MANY, Scorer
from components.score.advice import Advice
from components.score.encoder import Encoder, Flags, Matrix
from components.validate.identity import entity_ids
from feature_repo import names

Rows = npt.NDArray[np.int64]

ROW, REASONS = "row", "reasons"
"""Of rows set aside: the number in the snapshot, from 1, and what is wrong with it."""


@dataclass
class Refused:
    """Why rows are set aside: by their place, each with (column, value, problem)."""

    why: dict[int, list[tuple[str, str | None, str]]] = field(default_factory=dict)

    def add(self, row: int, column: str, value: str | None, problem: str) -> None:
        """One fault more of a row."""
        self.why.setdefault(row, []).append((column, value, problem))


@dataclass(frozen=True)
class Scored:
    """The scores of good rows, and the others, as text, with their reasons; `faults` as (column, problem, row)."""

    scores: pa.Table
    aside: pa.Table | None
    faults: list[tuple[str, str, int]]


class Judge:
    """Scores rows with a bundle. Threads may share one."""

    def __init__(self, bundle: Bundle, *, told: bool) -> None:
        self.contract = bundle.contract
        self._bundle = bundle
        self._encoder, self._scorer, self._advice = (
            Encoder(bundle.contract),
            Scorer.of(bundle),
            Advice(bundle, told=told),
        )
        self._identity = msgspec.structs.replace(bundle.contract, columns={}, derived={})

    def warm(self) -> None:
        """Loads the booster, and what explanations need."""
        self._scorer.warm()
        self._advice.warm()

    @property
    def reads(self) -> list[str]:
        """The source's columns that are read: key, event timestamp, features; never the outcome."""
        contract = self.contract
        named = [part.column for part in (contract.key, contract.event_timestamp) if part]
        return list(dict.fromkeys(contract.source_of(name) for name in (*named, *contract.raw)))

    @property
    def as_codes(self) -> list[str]:
        """Those of which few values are to be expected."""
        return [self.contract.source_of(name) for name, column in self.contract.columns.items() if column.categories]

    @property
    def schema(self) -> pa.Schema:
        """Of the scores."""
        few = pa.dictionary(pa.int32(), pa.string())
        found = [("id", names.key_type(self.contract))]
        if self.contract.event_timestamp:
            found.append((names.EVENT_TIMESTAMP, parsing.TIMESTAMP))
        found += [("probability", pa.float32()), ("decision", pa.bool_()), ("risk", few), ("recommendation", few)]
        return pa.schema([*found, *([("reasons", pa.list_(pa.string()))] if self._advice.told else [])])

    def judge(self, table: pa.Table, first: int) -> Scored:
        """The rows of `table`, which are those from `first` (0 is the first) of the snapshot."""
        columns, doubtful = self._encoder.encode(table)
        known, bad = self._identified(table)
        if self.contract.key is None:  # its rows are named by all that they hold, typed
            doubtful[:] = True
        refused = Refused()
        self._look_closely(table, np.nonzero(doubtful | bad)[0], columns, known, refused)
        probability = self._probability(columns, refused, first)
        kept = _others(table.num_rows, refused)
        if len(kept) < table.num_rows:
            columns, probability = columns[kept], probability[kept]
            known = {name: pc.take(values, pa.array(kept)) for name, values in known.items()}
        found = {**known, "probability": pa.array(probability.astype(np.float32))}
        found |= self._advice.columns(columns, probability)
        return Scored(pa.table(found, schema=self.schema), *_aside(table, refused, first))

    def _identified(self, table: pa.Table) -> tuple[dict[str, pa.Array], Flags]:
        """Id and event timestamp of each row, and which rows lack one."""
        known: dict[str, pa.Array] = {}
        bad = np.zeros(table.num_rows, np.bool_)
        if self.contract.key is None:
            known["id"] = pa.nulls(table.num_rows, pa.string())
        if self.contract.key or self.contract.event_timestamp:
            parsed = parsing.parse(self._identity, table).table
            named = [(self.contract.key.column, "id")] if self.contract.key else []
            named += [(names.EVENT_TIMESTAMP,) * 2] if self.contract.event_timestamp else []
            for column, name in named:
                known[name] = parsed[column].combine_chunks()
                if known[name].null_count:
                    bad |= pc.is_null(known[name]).to_numpy(zero_copy_only=False)
        return known, bad

    def _look_closely(
        self, table: pa.Table, rows: Rows, columns: Matrix, known: dict[str, pa.Array], refused: Refused
    ) -> None:
        """Puts what the parser of the training data makes of doubtful rows in their places, or refuses them."""
        if not len(rows):
            return
        parsed = parsing.parse(self.contract, table.take(pa.array(rows)))
        faults = parsing.check(self.contract, parsed)
        faults = faults.filter(pc.not_equal(faults["column"], self.contract.target.column))
        for row, column, value, problem in zip(*(part.to_pylist() for part in faults.columns), strict=True):
            refused.add(int(rows[row]), column, value, problem)
        fine = np.setdiff1d(np.arange(len(rows)), faults["row"].to_numpy())
        good = parsed.table.take(pa.array(fine))
        columns[rows[fine]] = encoding.encode(self.contract, good)
        columns[np.setdiff1d(rows, rows[fine])] = np.nan
        if self.contract.key is None:
            ids = np.full(table.num_rows, None, object)
            ids[rows[fine]] = entity_ids(self.contract, good).to_numpy(zero_copy_only=False)
            known["id"] = pa.array(ids, pa.string())

    def _probability(self, columns: Matrix, refused: Refused, first: int) -> Matrix:
        """Of all rows; of those that are refused, before or now for a formula without a value, it means nothing."""
        if not len(columns):
            return np.empty(0)
        try:
            return self._many(columns)
        except UserError:
            fault = self._bundle.design.run(columns)[1].any(axis=1)
        for row in np.nonzero(fault)[0].tolist():
            if row not in refused.why:
                refused.add(row, *self._explained(columns[[row]], first + row + 1))
        columns = columns.copy()
        columns[fault] = np.nan  # null gives null, and no fault
        return self._many(columns)

    def _many(self, columns: Matrix) -> Matrix:
        """Few rows alone would go through the graph, whose last digits differ: a score must not depend on its shard."""
        rows = len(columns)
        if rows < MANY:
            columns = np.resize(columns, (MANY, columns.shape[1]))
        return self._scorer.probability(columns)[:rows]

    def _explained(self, row: Matrix, number: int) -> tuple[str, str | None, str]:
        """Feature, no value, and what is wrong: in words that are the same for every row."""
        try:
            self._bundle.derivation.run(row, number)
        except UserError as error:
            feature = error.where.partition(",")[0].removeprefix("feature ")
            return feature, None, "has no finite value"
        return "model", None, "has no finite value"


def _others(count: int, refused: Refused) -> Rows:
    return np.delete(np.arange(count), list(refused.why))


def _aside(table: pa.Table, refused: Refused, first: int) -> tuple[pa.Table | None, list[tuple[str, str, int]]]:
    if not refused.why:
        return None, []
    rows = sorted(refused.why)
    texts = {name: _text(table[name].take(pa.array(rows))) for name in table.column_names}
    told = ["; ".join(map(_sentence, refused.why[row])) for row in rows]
    texts |= {_free(ROW, table): pa.array([first + row + 1 for row in rows]), _free(REASONS, table): pa.array(told)}
    faults = [(column, problem, first + row + 1) for row in rows for column, _, problem in refused.why[row]]
    return pa.table(texts), faults


def _sentence(fault: tuple[str, str | None, str]) -> str:
    column, value, problem = fault
    return f"{column} {problem}" if value is None else f"{column} '{value}' {problem}"


def _text(values: pa.ChunkedArray) -> pa.Array:
    return parsing.text(parsing.values_of(pa.table({"values": values}), "values"))


def _free(name: str, table: pa.Table) -> str:
    while name in table.column_names:
        name += "_"
    return name
