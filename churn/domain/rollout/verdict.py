"""Promote, wait or roll back, with the reason in one sentence."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from churn.domain.rollout.bounds import Bounds, Live, breach, lacking
from churn.domain.rollout.evidence import Evidence
from churn.domain.rollout.sequential import Interval

Action = Literal["promote", "wait", "roll back"]


class Pair(msgspec.Struct, frozen=True):
    """Requests of the version in question and of the one it is held against, in the same window."""

    new: Live
    other: Live


class Verdict(msgspec.Struct, frozen=True):
    """What to do about a challenger, and why, in one sentence."""

    action: Action
    reason: str


class Sides(msgspec.Struct, frozen=True):
    """The versions that are compared; `share` of the customers meet the challenger."""

    champion: int
    challenger: int
    share: float
    mode: Literal["split", "shadow"]


def verdict(sides: Sides, evidence: Evidence, live: tuple[Pair, ...], silence: str, bounds: Bounds) -> Verdict:
    """The verdict on a challenger. `live` has figures of windows, short ones first; without any, `silence` says why.

    Bounds that are exceeded roll back at once, whatever the profit. A version is promoted only by profit that is
    certainly higher, and with errors and latency known."""
    who = f"version {sides.challenger}"
    for pair in live:
        problem = breach(pair.new, pair.other, bounds)
        if problem:
            return Verdict("roll back", f"{who} is rolled back: {problem}")
    if evidence.misdivided:
        return Verdict("wait", f"{who} cannot be judged by its customers: {_misdivided(sides, evidence)}")
    profit = evidence.profit
    if profit is None:
        return Verdict("wait", f"{who} is not judged yet: {_nothing(sides, evidence)}")
    if profit.high < 0:
        return Verdict("roll back", f"{who} is rolled back: it {_worth(sides, profit, evidence)}")
    if profit.low <= 0:
        return Verdict("wait", f"{who} waits: it {_worth(sides, profit, evidence)}, which may be chance")
    missing = silence or lacking(live[-1].new, live[-1].other)
    if missing:
        return Verdict("wait", f"{who} waits: it {_worth(sides, profit, evidence)}, but {missing}")
    return Verdict("promote", f"{who} is promoted: it {_worth(sides, profit, evidence)}")


def _worth(sides: Sides, profit: Interval, evidence: Evidence) -> str:
    more = "more" if profit.mean >= 0 else "less"
    return (
        f"brings {abs(profit.mean):.2f} {more} a customer than version {sides.champion} "
        f"({profit.low:+.2f} to {profit.high:+.2f}, by {evidence.judged:,} outcomes)"
    )


def _nothing(sides: Sides, evidence: Evidence) -> str:
    if sides.mode == "split" and sides.share >= 1:
        return f"it gets all customers, which leaves none of version {sides.champion} to compare with"
    if sides.mode == "split" and sides.share <= 0:
        return "it gets no customers"
    if not evidence.customers or evidence.first_due is None:
        return "no prediction of a customer with an id has been logged since it began"
    due = dt.datetime.fromtimestamp(evidence.first_due / 1e6, dt.UTC)
    return f"of {evidence.customers:,} customers none has an outcome; the first can have one on {due:%Y-%m-%d}"


def _misdivided(sides: Sides, evidence: Evidence) -> str:
    return (
        f"{evidence.challenged:,} of {evidence.customers:,} met it instead of {sides.share:.1%}, so that some whom it "
        "cannot answer were left to the other version"
    )
