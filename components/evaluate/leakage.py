"""Does one feature alone tell who left? Then it was probably recorded afterwards, and will not be there in time."""

from __future__ import annotations

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.leakage import feature_auc
from components.evaluate.case import Case
from components.evaluate.words import number


def alone(case: Case) -> dict[str, float]:
    """The AUC of every feature alone over all rows, the highest first."""
    found = {}
    for position, name in enumerate(case.contract.features):
        categorical = case.contract.labels(name) is not None
        found[name] = feature_auc(case.features[:, position], case.y, categorical=categorical)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def refuse_leaking_columns(contract: Contract, alone: dict[str, float], table: str = "") -> None:
    """Raises UserError that names the first column of the table, not a derived feature, above the contract's bound."""
    bound = contract.gate.leak_auc
    for name, auc in alone.items():
        if name in contract.columns and auc > bound:
            place = f"column {contract.source_of(name)}"
            raise UserError(
                f"tells on its own who left (AUC {number(auc)}, the contract allows {bound:g}), as only what is "
                "recorded afterwards can",
                where=f"{table}, {place}" if table else place,
                remedy=f"remove {name} from the contract's columns; if it is truly known in time, raise gate.leak_auc",
            )
