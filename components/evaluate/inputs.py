"""What the step is given. Of other steps' reports it reads what it needs; their other fields are ignored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A `bundle` (folder) and the rows train `scored` (Parquet), to be judged under a contract.

    `source` is where the table came from, for messages; `as_of` (ISO 8601) the date up to which the run saw things;
    `comparison` overrides the contract's rule; `because` says why it was trained, where that was decided."""

    contract: Contract
    bundle: Path
    scored: Path
    training: Training
    validation: Validation
    source: str = ""
    as_of: str = ""
    comparison: str = ""
    because: str = ""

    @property
    def rule(self) -> Rule:
        """The rule of comparison. Raises UserError for one that does not exist."""
        match self.comparison or self.contract.gate.comparison:
            case "superior":
                return "superior"
            case "non-inferior":
                return "non-inferior"
            case other:
                raise UserError(f"unknown rule '{other}'", where="comparison", remedy="superior or non-inferior")
