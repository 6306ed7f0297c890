"""The gate: named questions, each answered with a value, a bound and a clause people can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from churn.domain.contract import Contract, Gate
from churn.domain.metrics import SMALLER_IS_BETTER
from components.evaluate.evaluation import Check, Comparison, Rule
from components.evaluate.words import at_least, at_most, decimals, number

BATCH_TOLERANCE = 1e-6
"""How far answers for one row may lie apart when it comes alone and in a batch."""


@dataclass(frozen=True)
class Findings:
    """What was measured of a candidate: metrics out of fold and on the hold-out, each feature's own AUC, behaviour.

    `ece_by_chance` is what perfect calibration may show on as many out-of-fold rows (`metrics.ece_by_chance`).
    `parity` and `null_parity` are the largest differences between graph and estimator. The dates (ISO 8601, empty when
    unknown) say up to when the candidate's run and the champion's saw things."""

    cv: Mapping[str, float]
    ece_by_chance: float
    holdout: Mapping[str, float]
    alone: Mapping[str, float]
    latency_ms: float
    repeats: bool
    batch_difference: float
    parity: float
    null_parity: float | None
    comparison: Comparison | None
    as_of: str = ""
    champion_as_of: str = ""


def checks(contract: Contract, found: Findings, rule: Rule) -> tuple[Check, ...]:
    """Every check, in the order people are told. What is not a number passes none of them."""
    gate = contract.gate
    return (
        *_metrics(gate, found.holdout),
        _calibration(gate, found),
        _leakage(gate, found.alone),
        _at_most("latency", "latency", found.latency_ms, gate.latency_ms, " ms"),
        _determinism(found),
        _at_most("parity", "largest difference between graph and estimator", found.parity, gate.parity),
        _at_most("null_parity", "largest difference with nulls", found.null_parity, gate.parity),
        *_recency(found),
        _comparison(contract, found.comparison, rule),
    )


def reason(checks: tuple[Check, ...], holdout: Mapping[str, float]) -> str:
    """The verdict in one sentence: what speaks for the candidate, or everything that speaks against it.

    It holds no quotes: conditions of a pipeline break on them."""
    failed = [check.note for check in checks if not check.passed]
    text = f"promoted: roc_auc {number(holdout['roc_auc'])} on the hold-out, {checks[-1].note}"
    if failed:
        text = f"refused: {'; '.join(failed)}"
    return text.translate({ord(quote): None for quote in "'\"`"})


def _metrics(gate: Gate, holdout: Mapping[str, float]) -> Iterator[Check]:
    for name, bound in gate.metrics.items():
        value = holdout[name]
        if bound.min is not None:
            note = f"{name} {at_least(value, bound.min)} on the hold-out"
            yield Check(check=f"metrics.{name}.min", value=value, bound=bound.min, passed=value >= bound.min, note=note)
        if bound.max is not None:
            passed = value <= bound.max
            note = f"{name} {at_most(value, bound.max)} on the hold-out"
            if not passed and name not in SMALLER_IS_BETTER:
                note += ", too good to be true: look for a column that was recorded afterwards"
            yield Check(check=f"metrics.{name}.max", value=value, bound=bound.max, passed=passed, note=note)


def _calibration(gate: Gate, found: Findings) -> Check:
    """On few rows even perfect probabilities show an error: what chance explains is allowed where it is more."""
    what = "calibration error (ece) out of fold"
    return _at_most("calibration", what, found.cv["ece"], max(gate.ece, found.ece_by_chance))


def _leakage(gate: Gate, alone: Mapping[str, float]) -> Check:
    highest, value = max(alone.items(), key=lambda item: item[1])
    leaks = [name for name, auc in alone.items() if not auc <= gate.leak_auc]
    subject = f"AUC of {', '.join(leaks)} alone" if leaks else f"highest AUC of one feature alone ({highest})"
    return _at_most("leakage", subject, value, gate.leak_auc)


def _determinism(found: Findings) -> Check:
    what = "difference between a row alone and in a batch"
    check = _at_most("determinism", what, found.batch_difference, BATCH_TOLERANCE)
    if found.repeats:
        return check
    return replace(check, passed=False, note="the same rows get another answer the second time")


def _recency(found: Findings) -> Iterator[Check]:
    """A run that looks back in time changes nothing that serves."""
    if found.as_of and found.champion_as_of:
        own, theirs = (datetime.fromisoformat(date) for date in (found.as_of, found.champion_as_of))
        order = "older" if own < theirs else "not older"
        note = f"its data is as of {own:%Y-%m-%d}, {order} than that of the champion ({theirs:%Y-%m-%d})"
        yield Check(check="recency", value=None, bound=None, passed=own >= theirs, note=note)


def _comparison(contract: Contract, found: Comparison | None, rule: Rule) -> Check:
    """Superior: the whole interval of the log-loss difference lies below zero; non-inferior: below the margin."""
    bound = contract.gate.margin if rule == "non-inferior" else 0.0
    if found is None:
        return Check(check=rule, value=None, bound=bound, passed=True, note=f"the first model of {contract.name}")
    champion = f"version {found.version}"
    if found.mean is None or found.high is None:
        return Check(check=rule, value=None, bound=bound, passed=False, note=found.obstacle)
    if found.same or (found.identical and rule == "superior"):
        note = f"it is merely equal to {champion}: the same {'bundle' if found.same else 'predictions on the hold-out'}"
        return Check(check=rule, value=found.high, bound=bound, passed=False, note=note)
    note = f"{_standing(found, rule, bound)}: log-loss {_difference(found)}"
    return Check(check=rule, value=found.high, bound=bound, passed=found.high < bound, note=note)


def _standing(found: Comparison, rule: Rule, bound: float) -> str:
    champion = f"version {found.version}"
    low, high = found.low or 0.0, found.high or 0.0
    if high < 0:
        return f"better than {champion}"
    if rule == "non-inferior" and high < bound:
        return (
            f"a little worse than {champion}, by less than {bound:g}"
            if low > 0
            else f"not worse than {champion} by {bound:g}"
        )
    if low > 0:
        return f"it is worse than {champion}"
    if rule == "superior":
        return f"it is merely equal to {champion}"
    return f"it may be worse than {champion} by {bound:g} or more"


def _difference(found: Comparison) -> str:
    """Like "better by 0.012 (95 % interval 0.004 to 0.020)"."""
    mean, ends = found.mean or 0.0, (found.low or 0.0, found.high or 0.0)
    low, high = sorted(-end if mean < 0 else end for end in ends)
    by, low_end, high_end = (f"{value:.{decimals(mean)}f}" for value in (abs(mean), low, high))
    return f"{'better' if mean < 0 else 'worse'} by {by} (95 % interval {low_end} to {high_end})"


def _at_most(name: str, what: str, value: float | None, bound: float, unit: str = "") -> Check:
    passed = value is not None and value <= bound
    return Check(check=name, value=value, bound=bound, passed=passed, note=f"{what} {at_most(value, bound, unit)}")
