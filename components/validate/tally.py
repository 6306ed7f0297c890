"""Counting faults, missing values and outcomes over the batches of a table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Contract
from churn.domain.parsing import Parsed
from churn.domain.preparation import MOSTLY_MISSING
from components.validate.report import Example, Fault, Outcomes, Seen

_EXAMPLES = 3


@dataclass
class _Counted:
    rows: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class Tally:
    """Add every batch once; then read."""

    contract: Contract
    rows: int = 0
    positive: int = 0
    negative: int = 0
    unlabelled: int = 0
    _faults: dict[tuple[str, str], _Counted] = field(default_factory=lambda: defaultdict(_Counted))
    _null: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _unparsed: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, parsed: Parsed, faults: pa.Table, numbers: npt.NDArray[np.int64]) -> None:
        """A batch, all its faults, and the numbers (from 1) of its rows in the source."""
        self.rows += parsed.table.num_rows
        for name in parsed.table.column_names:
            self._null[name] += parsed.table[name].null_count
        for counted in pc.value_counts(parsed.faults["column"]).to_pylist():
            self._unparsed[counted["values"]] += counted["counts"]
        for kind in faults.group_by(["column", "problem"]).aggregate([([], "count_all")]).to_pylist():
            name, problem = kind["column"], kind["problem"]
            known = self._faults[name, problem]
            known.rows += kind["count_all"]
            if len(known.examples) < _EXAMPLES:
                these = faults.filter((pc.field("column") == name) & (pc.field("problem") == problem))
                known.examples += self._examples(these, numbers)[: _EXAMPLES - len(known.examples)]

    def add_valid(self, target: pa.ChunkedArray) -> None:
        """The target (0, 1 or null) of a batch's valid rows."""
        positive = pc.sum(target).as_py() or 0
        self.positive += positive
        self.negative += len(target) - target.null_count - positive
        self.unlabelled += target.null_count

    def faults(self) -> tuple[Fault, ...]:
        """Every kind of fault, the most frequent first."""
        found = [
            Fault(
                column=name,
                source=self.contract.source_of(self._own(name)),
                problem=problem,
                rows=counted.rows,
                examples=tuple(counted.examples),
            )
            for (name, problem), counted in self._faults.items()
        ]
        return tuple(sorted(found, key=lambda fault: -fault.rows))

    def columns(self) -> dict[str, Seen]:
        """Every column of the contract."""
        return {name: self._seen(name) for name in self._null}

    def outcomes(self) -> Outcomes:
        """The valid rows by outcome."""
        return Outcomes(positive=self.positive, negative=self.negative, unlabelled=self.unlabelled)

    def _seen(self, name: str) -> Seen:
        missing = self._null[name] - self._unparsed[name]
        share = missing / self.rows if self.rows else 0.0
        return Seen(
            source=self.contract.source_of(self._own(name)),
            missing=missing,
            missing_share=round(share, 6),
            unparsed=self._unparsed[name],
            mostly_missing=name in self.contract.columns and share > MOSTLY_MISSING,
        )

    def _examples(self, faults: pa.Table, numbers: npt.NDArray[np.int64]) -> list[Example]:
        secret = self.contract.key.column if self.contract.key else None
        return [
            Example(int(numbers[fault["row"]]), None if fault["column"] == secret else fault["value"])
            for fault in faults.slice(0, _EXAMPLES).to_pylist()
        ]

    def _own(self, name: str) -> str:
        """The contract's name of a parsed column."""
        stamp = self.contract.event_timestamp
        return stamp.column if stamp and name == "event_timestamp" else name
