"""What a change does, in three parts: to the customers, to the law of churn, to the record of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from churn.domain.synthetic.customers import Customers, Floats

Alter = Callable[[Customers], None]
Logit = Callable[[Customers], Floats]


@dataclass(frozen=True)
class Effect:
    """A part that is missing stays as it was. `world` and `record` exchange arrays of the customers they are given."""

    world: Alter | None = None
    """What customers are."""
    law: Logit | None = None
    """What is added to the logit of churn, (n,), of customers as `world` left them."""
    record: Alter | None = None
    """What a table misreports."""
