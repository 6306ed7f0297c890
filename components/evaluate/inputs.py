"""What the step reads of the reports of the steps before it; fields it has no use for are ignored."""

from __future__ import annotations

import msgspec

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from components.evaluate.evaluation import Candidate, Rule


class Training(msgspec.Struct, frozen=True):
    """Of train's report. `null_parity` is the largest difference between graph and estimator with a column null."""

    null_parity: float | None
    candidates: tuple[Candidate, ...] = ()
    dropped: tuple[str, ...] = ()


class Validation(msgspec.Struct, frozen=True):
    """Of validate's report: rows read, and how many of them were quarantined or removed as exact duplicates."""

    rows: int | None = None
    quarantined: int | None = None
    duplicates: int | None = None


def rule_for(contract: Contract, override: str) -> Rule:
    """The rule of comparison: the run's, or else the contract's. Raises UserError for one that does not exist."""
    match override or contract.gate.comparison:
        case "superior":
            return "superior"
        case "non-inferior":
            return "non-inferior"
        case other:
            raise UserError(f"unknown rule '{other}'", where="comparison", remedy="superior or non-inferior")
