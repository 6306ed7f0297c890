"""From what is asked to the graph's columns: parsed and checked by the code that parses and checks training tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from serving.asked import ABSENT, Asked, shown
from serving.errors import Fault, InvalidValuesError

CUSTOMER_ID = "customer_id"
"""What a customer's key is called in requests and answers, whatever the contract calls it."""

MISSING = "is missing"


@dataclass(frozen=True)
class Checked:
    """Customers of a request: ids (UNSET without one), columns (n, k) with null as NaN, and which were given (n, k).

    `id_name` is the field that the ids came in."""

    ids: list[str | int | UnsetType]
    id_name: str
    columns: npt.NDArray[np.float64]
    given: npt.NDArray[np.bool_]


def check(contract: Contract, asked: Asked) -> Checked:
    """The request under the contract. Raises InvalidValuesError with every fault, in the order of the customers."""
    return _Check(contract, asked).run()


def required(column: Column) -> bool:
    """Whether a null of this column stays a null that the contract does not allow."""
    return not column.nullable and column.cleaning.constant is None


def id_names(contract: Contract) -> list[str]:
    """The names by which a request may give the customer's id: the contract's own, and `customer_id`."""
    own = names.key(contract)
    return [own] if own == CUSTOMER_ID or CUSTOMER_ID in contract.columns else [own, CUSTOMER_ID]


@dataclass
class _Check:
    contract: Contract
    asked: Asked
    faults: list[tuple[int, Fault]] = field(default_factory=list)

    def run(self) -> Checked:
        raw, id_name = self.contract.raw, self._id_name()
        named = [name for name in raw if name in self.asked.values]
        self._refuse_unknown()
        table = self._parsed(named, id_name)
        given = np.column_stack([self._given(name) for name in raw])
        self._refuse_missing(given, ~self._given(id_name))
        if self.faults:
            raise InvalidValuesError([fault for _, fault in sorted(self.faults, key=lambda found: found[0])])
        columns = np.full(given.shape, np.nan)
        columns[:, [raw.index(name) for name in named]] = encoding.encode(self.contract, table, named)
        ids = table[names.key(self.contract)].to_pylist() if id_name else [None] * self.asked.count
        return Checked([UNSET if key is None else key for key in ids], id_name or CUSTOMER_ID, columns, given)

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
        for name in self.asked.values:
            if name not in known:
                self._refuse(name, self._given(name), f"is no field of this model; {nearest(shown(name), known)}")

    def _refuse_missing(self, given: npt.NDArray[np.bool_], without_id: npt.NDArray[np.bool_]) -> None:
        for position, (name, column) in enumerate(self.contract.columns.items()):
            if required(column):
                self._refuse(name, ~given[:, position] & without_id, MISSING)

    def _refuse(self, name: str, where: npt.NDArray[np.bool_], problem: str) -> None:
        rows = np.nonzero(where)[0].tolist()
        places = self.asked.places(name, rows) if rows else []
        self.faults += [(row, Fault(place, problem)) for row, place in zip(rows, places, strict=False)]

    def _parsed(self, named: Sequence[str], id_name: str | None) -> pa.Table:
        """The named fields as a typed table; a value that is left out is null in it."""
        own = names.key(self.contract)
        fields = {name: name for name in named} | ({own: id_name} if id_name else {})
        narrowed = _narrowed(self.contract, named, with_key=id_name is not None)
        refused: set[tuple[int, str]] = set()
        arrays = {own_name: self._array(own_name, name, refused) for own_name, name in fields.items()}
        table = pa.table(arrays) if arrays else pa.table({names.EVENT_TIMESTAMP: pa.nulls(self.asked.count)})
        parsed = parsing.parse(narrowed, table)
        for fault in parsing.check(narrowed, parsed).to_pylist():
            row, name = fault["row"], fields[fault["column"]]
            if self.asked.values[name][row] is not ABSENT and (row, name) not in refused:
                self.faults.append((row, Fault(self.asked.cell(row, name), fault["problem"])))
        return parsed.table

    def _array(self, own_name: str, name: str, refused: set[tuple[int, str]]) -> pa.Array:
        """The values of one field for Arrow; those of a wrong type are refused, and null."""
        column = self.contract.columns.get(own_name)
        textual = column is None or column.type == "category"
        values: list[str | int | float | None] = []
        for row, given in enumerate(self.asked.values[name]):
            value = None if given is None or given is ABSENT else _text(given) if textual else _number(given)
            if value is None and given is not None and given is not ABSENT:
                refused.add((row, name))
                problem = f"is not {'text' if textual else 'a number'}"
                self.faults.append((row, Fault(self.asked.cell(row, name), problem)))
            values.append(value)
        return pa.array(values, pa.string() if textual else pa.float64())


def _text(value: object) -> str | None:
    """Text as it is, whole numbers and booleans as a table would spell them; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None


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
