"""The customer who is meant, in every form an id takes; shown by their pseudonym and never by the id."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import parsing
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.prediction_log.pseudonyms import Pseudonyms, entity_key

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)


def counting(contracts: Iterable[Contract]) -> list[Contract]:
    """Those of the contracts whose key is an integer."""
    return [one for one in contracts if one.key and one.key.type == "integer"]


class Customer:
    """`text` is the id under contracts whose key is text, `integer` the one under those that count; None if it is none.

    `usual` is how the latter spell it as text: "7" for what was given as "007", which under the former is somebody
    else. `counts` says that there is a contract that counts; then the log may know the customer by both.
    `pseudonyms` is every name the customer may have in the prediction log, none where there is no key for them;
    `alias` the one they have in the ledger. `texts` and `integers` are all that a key column may call them by: rows of
    the log that became a training set stand under keys made of their pseudonyms."""

    def __init__(self, given: str, names: Pseudonyms | None, *, counts: bool = False) -> None:
        """Raises UserError when nothing is given."""
        self.text = given.strip()
        if not self.text:
            raise UserError("no customer is named", where="--customer-id")
        number = int(self.text) if _INTEGER.fullmatch(self.text) else None
        self.integer = number if number is not None and -(2**63) <= number < 2**63 else None
        self.usual = self.text if self.integer is None else str(self.integer)
        spelled = dict.fromkeys((self.usual, self.text) if counts else (self.text,))
        self.pseudonyms = tuple(names.pseudonym(one) for one in spelled) if names else ()
        self.alias = self.pseudonyms[0].hex() if names else ""
        self.texts = (self.text, *(str(entity_key(one, integer=False)) for one in self.pseudonyms))
        known = () if self.integer is None else (self.integer,)
        self.integers = (*known, *(int(entity_key(one, integer=True)) for one in self.pseudonyms))

    def __repr__(self) -> str:
        return f"Customer({self.alias})"

    def among(self, values: pa.Array) -> pa.Array:
        """Which values (bool) of a key column of ours name the customer: typed as the contract types the key."""
        if pa.types.is_integer(values.type):
            return pc.is_in(values.cast(pa.int64()), pa.array(self.integers, pa.int64()))
        return pc.is_in(values.cast(pa.string()), pa.array(self.texts))

    def among_source(self, contract: Contract, values: pa.Array) -> pa.Array:
        """The same for a key column as it came from its source, read as the contract reads it."""
        assert contract.key is not None
        given = parsing.present(values, contract.validation.missing)
        return self.among(parsing.integers(given) if contract.key.type == "integer" else parsing.text(given))

    def among_pseudonyms(self, values: pa.Array) -> pa.Array:
        """The same for a column of the prediction log's pseudonyms."""
        return pc.is_in(values, pa.array(self.pseudonyms, values.type))
