"""What people are told of in a month: values that the contract refuses, and what monitoring has found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from churn.domain.contract import Contract
from local.simulation.accounts import Alarm


def alarms(month: int, day: dt.date, refused: float, monitoring: Mapping[str, Any], contract: Contract) -> list[Alarm]:
    """The alarms of a month; `refused` is the share of customers who got no answer for their values."""
    return [Alarm(month, day, *one) for one in _found(refused, monitoring, contract)]


def _found(refused: float, monitoring: Mapping[str, Any], contract: Contract) -> Iterator[tuple[Any, str]]:
    if refused > contract.validation.max_bad_share:
        yield "refused rows", f"the contract refuses the values of {100 * refused:.0f} % of the customers"
    if monitoring["status"] == "unjudged":
        yield "unjudged", monitoring["reason"]
    if monitoring["status"] == "drifted":
        yield "drift", monitoring["reason"]
    elif monitoring["worse"]:
        yield "performance", monitoring["reason"]
