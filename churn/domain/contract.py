"""The contract: one file that says what a table holds, what is derived from it, and what a model of it must reach.

Everything else reads it: validation, derivation, Feast's definitions, the model's signature, request checks, drift.
The structures here are the file's own shape; `contract_checks` holds what a shape alone cannot say.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import field

from churn.domain import strict_yaml
from churn.domain.errors import UserError

Text = str | int | float | bool
"""A value as a YAML author may write it; compared by its text."""

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A frozen mapping that refuses fields it does not know."""


class Cleaning(Strict, frozen=True):
    """How one column is cleaned. `spelling` and `constant` hold for every row and belong to the derivation;
    `fill`, `cap` and `indicator` are learned from training rows alone and lie behind it."""

    spelling: dict[str, str] = {}
    constant: float | str | None = None
    fill: Literal["median", "mode"] | None = None
    cap: tuple[float, float] | None = None
    indicator: bool = False


class Column(Strict, frozen=True):
    """One column of the table. `source` is its name there (its own name when absent), `label` what people call it (its
    own name in words when absent)."""

    type: Literal["integer", "number", "category"]
    label: str = ""
    description: str = ""
    unit: str = ""
    source: str = ""
    range: tuple[float | None, float | None] | None = None
    categories: tuple[str, ...] = ()
    nullable: bool = False
    cleaning: Cleaning = Cleaning()


class Derived(Strict, frozen=True):
    """A derived feature: exactly one of `formula` (a number), `flag` (0 or 1) or `bin` with `edges` and `labels`.

    `told_as` is the column under which its contribution is told to people."""

    told_as: str
    description: str = ""
    unit: str = ""
    formula: str = ""
    flag: str = ""
    bin: str = ""
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


class Key(Strict, frozen=True):
    """The entity: the column that names a customer."""

    column: str
    source: str = ""
    type: Literal["string", "integer"] = "string"


class EventTimestamp(Strict, frozen=True):
    """When a row was true. Without one, the run's as-of date dates the rows."""

    column: str
    source: str = ""


class Target(Strict, frozen=True):
    """What is predicted: `positive` is the value that means "left", within `horizon_days` of the event timestamp."""

    column: str
    positive: Text
    negative: Text | None = None
    source: str = ""
    horizon_days: int = 30


class Costs(Strict, frozen=True):
    """What a decision is worth, in the business's own currency: contacting one customer costs `contact`; one who would
    have left stays with probability `success`, and is then worth `value`."""

    contact: float = 10.0
    value: float = 200.0
    success: float = 0.3


Level = Literal["low", "medium", "high"]


class Advice(Strict, frozen=True):
    """What to do at one level of risk: by the column that is the strongest reason for it, or else the `default`."""

    default: str
    by_reason: dict[str, str] = {}


RECOMMENDATIONS: dict[Level, str | Advice] = {
    "low": "No action: serve as usual.",
    "medium": "Contact with a retention offer when there is an occasion.",
    "high": "Call within a week with a retention offer.",
}
"""What to do by risk level, unless the contract says otherwise."""


class Validation(Strict, frozen=True):
    """Bounds on the table as a whole."""

    max_bad_share: float = 0.05
    missing: tuple[str, ...] = MISSING


class Bound(Strict, frozen=True):
    """A floor, a ceiling, or both."""

    min: float | None = None
    max: float | None = None


class Gate(Strict, frozen=True):
    """What a candidate must reach before it may serve.

    `metrics` bounds hold-out metrics by name; `ece` is judged on the out-of-fold predictions, which are many more.
    `latency_ms` bounds the median time of one row through the graph; `leak_auc` any single column's own AUC."""

    metrics: dict[str, Bound] = field(default_factory=lambda: {"roc_auc": Bound(min=0.6)})
    ece: float = 0.05
    latency_ms: float = 2.0
    leak_auc: float = 0.95
    parity: float = 1e-5
    comparison: Literal["superior", "non-inferior"] = "superior"
    margin: float = 0.005


class Training(Strict, frozen=True):
    """How candidates are compared."""

    folds: int = 5
    metric: Literal["log_loss", "roc_auc", "pr_auc", "brier"] = "log_loss"
    holdout: float = 0.15


class Candidate(Strict, frozen=True):
    """An estimator by its import path and parameters, behind optional `steps` (transformers of the same form).

    An `ensemble` names its `members` (other candidates) instead: `vote`, `weighted` or `stack`."""

    name: str
    estimator: str = field(default="", name="class")
    params: dict[str, Any] = {}
    steps: tuple[Step, ...] = ()
    tune: dict[str, Any] = {}
    ensemble: Literal["", "vote", "weighted", "stack"] = ""
    members: tuple[str, ...] = ()


class Step(Strict, frozen=True):
    """A transformer in front of an estimator."""

    estimator: str = field(name="class")
    params: dict[str, Any] = {}


class Contract(Strict, frozen=True):
    """A whole contract. Order matters: columns and derived features keep it in every matrix.

    A customer is at low risk below the threshold that pays, and at high risk from `high_risk` on."""

    name: str
    target: Target
    columns: dict[str, Column]
    description: str = ""
    key: Key | None = None
    event_timestamp: EventTimestamp | None = None
    derived: dict[str, Derived] = {}
    ttl_days: int = 45
    costs: Costs = Costs()
    high_risk: float = 0.6
    recommendations: dict[Level, str | Advice] = field(default_factory=RECOMMENDATIONS.copy)
    validation: Validation = Validation()
    training: Training = Training()
    gate: Gate = Gate()
    candidates: tuple[Candidate, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the contract's meaning: comments and formatting do not count."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    @property
    def raw(self) -> tuple[str, ...]:
        """Names of the contract's columns, in order: the graph's input is a matrix of these."""
        return tuple(self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all features, raw then derived: the derivation's output is a matrix of these."""
        return (*self.columns, *self.derived)

    def labels(self, feature: str) -> tuple[str, ...] | None:
        """The categories of a categorical feature (raw or binned), in the order of their codes; None for a number."""
        if feature in self.columns:
            return self.columns[feature].categories or None
        return self.derived[feature].labels or None

    def told_as(self, feature: str) -> str:
        """The contract column under which a feature's contribution is told to people."""
        return feature if feature in self.columns else self.derived[feature].told_as

    def label(self, column: str) -> str:
        """What people call a column of the contract."""
        return self.columns[column].label or column.replace("_", " ").strip() or column

    def advice(self, level: Level) -> Advice:
        """What to do at a level of risk; with nothing in `by_reason`, the strongest reason need not be known."""
        said = self.recommendations[level]
        return Advice(said) if isinstance(said, str) else said

    def source_of(self, column: str) -> str:
        """The name a contract column (feature, key, timestamp or target) has in the source table."""
        named = (self.key, self.event_timestamp, self.target)
        for part in (p for p in named if p is not None and p.column == column):
            return part.source or column
        return self.columns[column].source or column

    def named(self, name: str) -> Contract:
        """The same contract under another name: another model."""
        return msgspec.structs.replace(self, name=name)

    def to_yaml(self) -> str:
        """The contract as YAML, without comments; `parse` gives back an equal one."""
        return msgspec.yaml.encode(self).decode()


def parse(text: str, where: str = "contract") -> Contract:
    """The contract in a YAML text.

    Raises UserError that names the place for anything that is not a valid contract: unknown fields (with the nearest
    known one), wrong types, formulas that name what does not exist."""
    from churn.domain import contract_checks

    document = strict_yaml.parse(text, where)
    try:
        contract = msgspec.convert(document, Contract)
    except msgspec.ValidationError as error:
        raise contract_checks.explain(error, document, where) from error
    contract_checks.check(contract, where)
    return contract


def load(path: Path) -> Contract:
    """The contract in a file. Raises UserError when it cannot be read or is not one."""
    try:
        return parse(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("cannot be read as a contract", where=str(path), remedy=type(error).__name__) from error
