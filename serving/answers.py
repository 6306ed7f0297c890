"""The answers to a request, as columns: a protocol renders them as objects or as tensors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import UnsetType

from churn.domain.explanation import Contributions, Reason, reasons
from serving.asked import Options
from serving.errors import Failure, refusal
from serving.version import LEVELS, Version

NAN = float("nan")


@dataclass(frozen=True)
class Explanation:
    """Why one customer has this probability: what each column adds to the logit, on top of `base`."""

    base: float
    contributions: dict[str, float]
    reasons: list[Reason]
    exact: bool


@dataclass(slots=True)
class Answers:
    """One value for each of `count` customers, in order; of a customer in `failures`, none of them means anything.

    `level` is the risk as a place in `LEVELS`."""

    count: int
    model: str
    ids: Sequence[str | int | UnsetType] | None
    probability: list[float]
    decision: list[bool]
    level: list[int]
    recommendation: list[str]
    version: list[int]
    variant: list[str]
    explanations: list[Explanation | None] | None = None
    failures: dict[int, list[Failure]] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int, model: str, ids: Sequence[str | int | UnsetType] | None) -> Answers:
        """Places to be filled."""
        return cls(
            count, model, ids, [NAN] * count, [False] * count, [0] * count, [""] * count, [0] * count, [""] * count
        )

    @property
    def risk(self) -> list[str]:
        """The risk level in words; empty for customers without an answer."""
        found: list[str] = [LEVELS[level] for level in self.level]
        for row in self.failures:
            found[row] = ""
        return found

    @property
    def confidence(self) -> list[float]:
        """The probability of the likelier of the two outcomes."""
        return [p if p >= 0.5 else 1.0 - p for p in self.probability]

    @property
    def one_version(self) -> int | None:
        """The version that answered, when there is only one."""
        found = set(self.version) - {0}  # of customers without an answer
        return found.pop() if len(found) == 1 else None

    @property
    def one_variant(self) -> str:
        """Who answered: one of the two, or both; empty when nobody could be answered."""
        found = {name for name in self.variant if name}
        return found.pop() if len(found) == 1 else "mixed" if found else ""

    def counts(self) -> dict[str, int]:
        """How many customers are at each level of risk."""
        if not self.failures:
            return {name: self.level.count(place) for place, name in enumerate(LEVELS)}
        kept = [level for row, level in enumerate(self.level) if row not in self.failures]
        return {name: kept.count(place) for place, name in enumerate(LEVELS)}

    def refuse(self, failures: Sequence[Failure]) -> None:
        """Marks customers who get their faults instead of an answer."""
        for failure in failures:
            self.failures.setdefault(failure.row, []).append(failure)
            self.probability[failure.row] = NAN

    def error(self, row: int) -> dict[str, Any]:
        """Why a customer has no answer."""
        why = refusal(self.failures[row])
        return {"code": why.code, "message": why.message, "details": why.details}


@dataclass(slots=True)
class Judged:
    """What one version says of some customers: rows in the request, the graph's columns and what follows from them.

    `seconds` is how long it took, without what was waited for."""

    version: Version
    role: str
    rows: Sequence[int]
    columns: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]
    threshold: float
    level: list[int]
    recommendation: list[str]
    contributions: Contributions | None = None
    seconds: float = 0.0


def judge(
    version: Version, role: str, rows: Sequence[int], columns: npt.NDArray[np.float64], options: Options
) -> Judged:
    """Scores `columns` (m, k) of the customers in `rows`. Blocks. Raises UserError for a value that is not finite."""
    started = time.perf_counter()
    manifest, words = version.bundle.manifest, version.words
    p = version.probability(columns)
    low, high = manifest.risk
    level: list[int] = np.searchsorted((low, high), p, side="right").tolist()
    found = Judged(
        version,
        role,
        rows,
        columns,
        p,
        manifest.threshold if options.threshold is None else options.threshold,
        level,
        [words.default[one] for one in level],
    )
    if options.explain:
        found.contributions = version.explain(columns)
        _recommend(found, range(len(level)), found.contributions)
    else:
        told = [place for place, one in enumerate(level) if words.by_reason[one]]
        if told:
            picked = columns if len(told) == len(level) else columns[told]
            _recommend(found, told, version.explain(picked))
    found.seconds = time.perf_counter() - started
    return found


def _recommend(found: Judged, places: Sequence[int], contributions: Contributions) -> None:
    """The rule table's words for the strongest reason, of the customers in `places` whose `contributions` these are."""
    strongest = contributions.values.argmax(axis=1).tolist()
    raising = contributions.values.max(axis=1) > 0
    raw, words = found.version.contract.raw, found.version.words
    for place, column, raises in zip(places, strongest, raising.tolist(), strict=True):
        if raises:
            level = found.level[place]
            found.recommendation[place] = words.by_reason[level].get(raw[column], words.default[level])


def fill(answers: Answers, judged: Judged, options: Options) -> None:
    """Puts what one version says in its customers' places."""
    number, count = judged.version.variant.version, len(judged.rows)
    if count == answers.count:
        answers.probability = judged.probability.tolist()
        answers.decision = (judged.probability >= judged.threshold).tolist()
        answers.level, answers.recommendation = judged.level, judged.recommendation
        answers.version, answers.variant = [number] * count, [judged.role] * count
    else:
        for place, (row, p) in enumerate(zip(judged.rows, judged.probability.tolist(), strict=True)):
            answers.probability[row], answers.decision[row] = p, p >= judged.threshold
            answers.level[row], answers.recommendation[row] = judged.level[place], judged.recommendation[place]
            answers.version[row], answers.variant[row] = number, judged.role
    if options.explain and judged.contributions is not None:
        explained = _explanations(judged, judged.contributions, int(options.top))
        if answers.explanations is None:
            answers.explanations = [None] * answers.count
        for row, one in zip(judged.rows, explained, strict=True):
            answers.explanations[row] = one


def _explanations(judged: Judged, given: Contributions, top: int) -> list[Explanation]:
    contract = judged.version.contract
    told = reasons(contract, judged.columns, given, top)
    bases = np.broadcast_to(given.base, len(told)).tolist()
    return [
        Explanation(base, dict(zip(contract.raw, row, strict=True)), why, given.exact)
        for base, row, why in zip(bases, given.values.tolist(), told, strict=True)
    ]
