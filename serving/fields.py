"""What a request may call its fields."""

from __future__ import annotations

from churn.domain.contract import Column, Contract
from feature_repo import names

CUSTOMER_ID = "customer_id"
"""What a customer's key is called in requests and answers, whatever the contract calls it."""


def required(column: Column) -> bool:
    """Whether a null of this column stays a null that the contract does not allow."""
    return not column.nullable and column.cleaning.constant is None


def id_names(contract: Contract) -> list[str]:
    """The names by which a request may give the customer's id: the contract's own, and `customer_id`."""
    own = names.key(contract)
    return [own] if own == CUSTOMER_ID or CUSTOMER_ID in contract.columns else [own, CUSTOMER_ID]
