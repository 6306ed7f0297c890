"""From what is asked to the graph's columns: parsed and checked by the code that parses and checks training tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import UNSET, UnsetType

from churn.domain import encoding, parsing
from churn.domain.contract import Column, Contract, Key
from churn.domain.formula import nearest
from feature_repo import names
from serving.asked import ABSENT, Asked, Misfit, shown
from serving.errors import Failure, Fault, InvalidValuesError
from serving.fields import CUSTOMER_ID, id_names, required

MISSING = "is missing"

_ADVISED = 20
"""Unknown names that are told what they are most like: finding it takes time."""

OTHER = "other"
"""The category (in any case) that takes unknown values where the server is told to map them."""


@dataclass(frozen=True)
class Checked:
    """Customers of a request: ids (UNSET without one), columns (n, k) with null as NaN, which were given (n, k), and
    what is wrong with whom; a value that is at fault is NaN.

    `id_name` is the field that the ids came in."""

    ids: list[str | int | UnsetType]
    id_name: str
    columns: npt.NDArray[np.float64]
    given: npt.NDArray[np.bool_]
    failures: list[Failure]


def check(contract: Contract, asked: Asked, *, map_unknown: bool = False) -> Checked:
    """The request under the contract, with every fault of its customers. `map_unknown` takes unknown categories for the
    column's "other", where it has one.

    Raises InvalidValuesError for faults that are no single customer's: tensors that are no field, or are lacking."""
    return _Check(contract, asked, map_unknown).run()


@dataclass
class _Check:
    contract: Contract
    asked: Asked
    map_unknown: bool
    failures: list[Failure] = field(default_factory=list)
    shared: list[Fault] = field(default_factory=list)
    bad: dict[str, set[int]] = field(default_factory=dict)

    def run(self) -> Checked:
        raw, id_name = self.contract.raw, self._id_name()
        named = [name for name in raw if name in self.asked.values]
        self._refuse_unknown()
        table = self._parsed(named, id_name)
        given = np.column_stack([self._given(name) for name in raw])
        self._refuse_missing(given, ~self._given(id_name))
        if self.shared:
            raise InvalidValuesError([*self.shared, *(failure.fault for failure in self.failures)])
        columns = np.full(given.shape, np.nan)
        columns[:, [raw.index(name) for name in named]] = encoding.encode(self.contract, table, named)
        keys = table[names.key(self.contract)].to_pylist() if id_name else [None] * self.asked.count
        ids: list[str | int | UnsetType] = [UNSET if key is None else key for key in keys]
        return Checked(ids, id_name or CUSTOMER_ID, columns, given, self.failures)

    def _given(self, name: str | None) -> npt.NDArray[np.bool_]:
        """Which customers (n,) a field is given for."""
        if name is None or name not in self.asked.values:
            return np.zeros(self.asked.count, np.bool_)
        return np.array([value is not ABSENT for value in self.asked.values[name]])

    def _id_name(self) -> str | None:
        found = [name for name in id_names(self.contract) if name in self.asked.values]
        for name in found[1:]:
            self._refuse(name, self._given(name), f"names the customer beside '{found[0]}'; use one of the two")
        return found[0] if found else None

    def _refuse_unknown(self) -> None:
        known = [*self.contract.raw, *id_names(self.contract)]
        unknown = [name for name in self.asked.values if name not in known]
        for place, name in enumerate(unknown):
            advice = f"; {nearest(shown(name), known)}" if place < _ADVISED else ""
            self._refuse_rows(name, self.asked.rows_with(name), f"is no field of this model{advice}")

    def _refuse_missing(self, given: npt.NDArray[np.bool_], without_id: npt.NDArray[np.bool_]) -> None:
        for position, (name, column) in enumerate(self.contract.columns.items()):
            if required(column):
                self._refuse(name, ~given[:, position] & without_id, MISSING)

    def _refuse(self, name: str, where: npt.NDArray[np.bool_], problem: str) -> None:
        """A field that should not be there, or should be: each customer's own fault, or that of a tensor of all."""
        self._refuse_rows(name, np.nonzero(where)[0].tolist(), problem)

    def _refuse_rows(self, name: str, rows: Sequence[int], problem: str) -> None:
        if not rows:
            return
        if self.asked.columnar:
            self.shared.append(Fault(self.asked.field(name), problem))
        else:
            self.failures += [Failure(row, Fault(self.asked.cell(row, name), problem)) for row in rows]

    def _refuse_value(self, row: int, own_name: str, name: str, problem: str) -> None:
        self.failures.append(Failure(row, Fault(self.asked.cell(row, name), problem)))
        self.bad.setdefault(own_name, set()).add(row)

    def _parsed(self, named: Sequence[str], id_name: str | None) -> pa.Table:
        """The named fields as a typed table; a value that is left out, or at fault, is null in it."""
        own = names.key(self.contract)
        fields = {name: name for name in named} | ({own: id_name} if id_name else {})
        narrowed = _narrowed(self.contract, named, with_key=id_name is not None)
        arrays = {own_name: self._array(own_name, name) for own_name, name in fields.items()}
        table = pa.table(arrays) if arrays else pa.table({names.EVENT_TIMESTAMP: pa.nulls(self.asked.count)})
        parsed = parsing.parse(narrowed, table)
        for fault in parsing.check(narrowed, parsed).to_pylist():
            row, own_name = fault["row"], fault["column"]
            name = fields[own_name]
            if self.asked.values[name][row] is not ABSENT and row not in self.bad.get(own_name, ()):
                self._refuse_value(row, own_name, name, fault["problem"])
        return self._blanked(parsed.table)

    def _blanked(self, table: pa.Table) -> pa.Table:
        for name, rows in self.bad.items():
            values = [None if row in rows else value for row, value in enumerate(table[name].to_pylist())]
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
        return table

    def _array(self, own_name: str, name: str) -> pa.Array:
        """The values of one field for Arrow; those of a wrong type are refused, and null."""
        column = self.contract.columns.get(own_name)
        textual = column is None or column.type == "category"
        read: Callable[[object], str | float | None] = _name if column is None else _text if textual else _number
        values: list[str | float | None] = []
        for row, given in enumerate(self.asked.values[name]):
            value = None if given is None or given is ABSENT else read(given)
            if value is None and given is not None and given is not ABSENT:
                wanted = given.datatype if isinstance(given, Misfit) else "text" if textual else "a number"
                self._refuse_value(row, own_name, name, f"is not {wanted}")
            values.append(value)
        array = pa.array(values, pa.string() if textual else pa.float64())
        return self._mapped(column, array) if self.map_unknown and column else array

    def _mapped(self, column: Column, values: pa.Array) -> pa.Array:
        """Unknown categories as the column's own "other"."""
        other = next((label for label in column.categories if label.lower() == OTHER), None)
        if other is None:
            return values
        known = {*column.categories, *column.cleaning.spelling, *self.contract.validation.missing, None}
        return pa.array([value if value is None or value.strip() in known else other for value in values.to_pylist()])


def _name(value: object) -> str | None:
    """What may name a customer: a truth value does not."""
    return None if isinstance(value, bool) else _text(value)


def _text(value: object) -> str | None:
    """Text as it is, whole numbers and booleans as a table would spell them; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _WIDEST else None
    return value if isinstance(value, str) else None


_WIDEST = 1024
"""Bits of the largest whole number that is spelled out: spelling takes time that grows with the square."""


def _number(value: object) -> float | None:
    """A number, infinite where float64 cannot hold it; None for NaN and for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _narrowed(contract: Contract, named: Sequence[str], *, with_key: bool) -> Contract:
    """The contract of a table that holds these columns, under the contract's own names, and nothing else."""
    key = Key(names.key(contract), type=contract.key.type if contract.key else "string")
    return msgspec.structs.replace(
        contract,
        columns={name: msgspec.structs.replace(contract.columns[name], source="") for name in named},
        key=key if with_key else None,
        event_timestamp=None,
        target=msgspec.structs.replace(contract.target, source=""),
    )
