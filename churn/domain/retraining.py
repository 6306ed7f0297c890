"""Whether to retrain, and on what: one answer to what monitoring has judged, for a reason of one sentence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain.drift.verdict import Finding, fault_said, said
from churn.domain.performance import microseconds

Cause = Literal["force", "performance", "drift", "age"]


class Bounds(msgspec.Struct, frozen=True):
    """From when on something calls for a new model, and what it takes to train one.

    A drifted column matters from a share `importance` of the champion's importance on; `age_days` is the oldest a model
    gets; `rows` labelled predictions is the least that a model is trained on, `leavers` of them of either outcome.
    After one that the gate has refused, the next waits `patience_days`, and twice as long after each further one."""

    importance: float = 0.05
    age_days: float = 180.0
    rows: int = 1000
    leavers: int = 50
    patience_days: float = 28.0


@dataclass(frozen=True)
class Labelled:
    """Predictions whose outcomes are known: when each was made (n,), in microseconds since 1970, and who left (n,)."""

    at: npt.NDArray[np.int64]
    left: npt.NDArray[np.bool_]

    def since(self, moment: dt.datetime, excluded: Sequence[Window] = ()) -> Labelled:
        """Those from `moment` on that lie in none of the windows."""
        kept = self.at >= microseconds(moment)
        for window in excluded:
            kept &= ~window.covers(self.at)
        return Labelled(self.at[kept], self.left[kept])


class Window(msgspec.Struct, frozen=True):
    """From `since` up to, and without, `until`."""

    since: dt.datetime
    until: dt.datetime

    def covers(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the times (n,) lie in it."""
        return (at >= microseconds(self.since)) & (at < microseconds(self.until))


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is known when it is decided.

    `quiet` is what monitoring says where nothing calls for a model: that all is quiet, or why nothing was judged.
    `since` says of columns that have drifted where the first window of the unbroken row ended in which they had, as far
    as anybody knows;
    `window_days` is how long these windows are; `short` names, in words, in what versions fall short of their
    promotion; `labelled` is None where a table holds them that nobody has read yet; `learned_to` is the time of the
    newest prediction that the champion, or a later try, was trained on; `broken` are windows whose values nobody should
    learn from. Rows before `earliest` are too old to train on. `judged` says whether an outcome of a prediction of the
    champion's own is known, `challenger` is the version that is being tried beside it, and `refused` how many days ago
    the gate has refused models that were to follow it, the newest first."""

    quiet: str
    findings: Sequence[Finding]
    importance: Mapping[str, float]
    since: Mapping[str, dt.datetime]
    window_days: int
    short: Sequence[str]
    age_days: float | None
    labelled: Labelled | None
    learned_to: dt.datetime | None
    earliest: dt.datetime
    broken: Sequence[Window] = field(default_factory=tuple)
    challenger: int | None = None
    judged: bool = True
    refused: Sequence[float] = field(default_factory=tuple)
    bounds: Bounds = field(default_factory=Bounds)
    force: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to retrain, on labelled predictions from `since` on without those in `excluded`."""

    retrain: bool
    because: str
    cause: Cause | None = None
    since: dt.datetime | None = None
    excluded: tuple[Window, ...] = ()

    def takes(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which rows (n,) of these times, in microseconds since 1970, are to be trained on."""
        found = at >= microseconds(self.since) if self.since else np.ones(len(at), np.bool_)
        for window in self.excluded:
            found &= ~window.covers(at)
        return found


def decide(seen: Situation) -> Decision:
    """The decision. What looks like a fault of the data, and no change of the world, is never trained on unasked.

    A drift is answered once enough outcomes are known of customers who were asked about since it began: a model of
    the old world would not be better than the one that serves."""
    broken = suspects(seen.findings)
    if broken and not seen.force:
        what = " and ".join(f"{name} ({why})" for name, why in broken.items())
        return _no(f"{what} looks like a fault of the data: mend the source, or force it")
    cause, because = _cause(seen)
    if cause is None:
        return _no(because)
    start = _start(seen, cause)
    lack = _lack(seen, seen.labelled.since(start, seen.broken), start) if seen.labelled else ""
    if not lack and not seen.force:
        lack = _rival(seen) or _unproven(seen, cause) or _impatience(seen)
    if lack:
        return _no(f"{because}, but {lack}")
    return Decision(retrain=True, because=_plain(because), cause=cause, since=start, excluded=tuple(seen.broken))


def suspects(findings: Sequence[Finding]) -> dict[str, str]:
    """Columns that look broken, with what is odd about each, and when it was."""
    return {one.name: fault_said(one) for one in findings if one.faults}


def faulty(findings: Sequence[Finding]) -> tuple[Window, ...]:
    """When any column looked broken."""
    found = {(fault.since, fault.until) for one in findings for fault in one.faults}
    return tuple(Window(*times) for times in sorted(found))


def _cause(seen: Situation) -> tuple[Cause | None, str]:
    """What calls for a new model, if anything does, and the sentence about it."""
    if seen.force:
        return "force", "it was asked for"
    if seen.short:
        return "performance", "; ".join(seen.short)
    mattering = _mattering(seen)
    if mattering:
        return "drift", f"drifted: {', '.join(_weighed(seen, one) for one in mattering)}"
    if seen.age_days is not None and seen.age_days > seen.bounds.age_days:
        return (
            "age",
            f"the model is {seen.age_days:.0f} days old, and {seen.bounds.age_days:.0f} is the oldest it may get",
        )
    drifted = ", ".join(one.name for one in seen.findings if one.drifted)
    return None, f"{drifted} drifted, which the model hardly looks at" if drifted else seen.quiet


def _mattering(seen: Situation) -> list[Finding]:
    """Drift of the prediction, and of columns that the champion looks at; where nobody knows which, of all."""
    drifted = sorted((one for one in seen.findings if one.drifted), key=lambda one: -one.effect)
    return [one for one in drifted if _share(seen, one) is None or (_share(seen, one) or 0) >= seen.bounds.importance]


def _share(seen: Situation, finding: Finding) -> float | None:
    """The column's share of the champion's importance; None for the prediction, and where importance is not known."""
    total = sum(max(value, 0.0) for value in seen.importance.values())
    if finding.part == "prediction" or not total:
        return None
    return max(seen.importance.get(finding.name, 0.0), 0.0) / total


def _weighed(seen: Situation, finding: Finding) -> str:
    share = _share(seen, finding)
    return said(finding) if share is None else f"{said(finding)}, {100 * share:.0f} % of the importance"


def _start(seen: Situation, cause: Cause) -> dt.datetime:
    """Where the training window begins: where the drift did, if it is one, and never before `earliest`."""
    begun = [seen.since[one.name] for one in _mattering(seen) if one.name in seen.since]
    if cause in ("drift", "performance") and begun:
        return max(min(begun) - dt.timedelta(days=seen.window_days), seen.earliest)
    return seen.earliest


def _lack(seen: Situation, known: Labelled, start: dt.datetime) -> str:
    """What is missing to train on these, if anything is."""
    bounds, leavers = seen.bounds, int(known.left.sum())
    if seen.learned_to and len(known.at) and not (known.at > microseconds(seen.learned_to)).any():
        return "no outcome is known that the last training did not know"
    asked = f"of those asked about since {start:%Y-%m-%d}"
    if len(known.at) < bounds.rows:
        return f"{asked} {len(known.at):,} outcomes are known, and {bounds.rows:,} are needed"
    for count, what in ((leavers, "left"), (len(known.at) - leavers, "stayed")):
        if count < bounds.leavers:
            return f"{asked} {count:,} are known to have {what}, and {bounds.leavers:,} are needed"
    return ""


def _rival(seen: Situation) -> str:
    """Which model is being tried, if one is: another in its place would let no trial ever come to its end."""
    if seen.challenger is None:
        return ""
    return f"version {seen.challenger} is being tried: decide that rollout first, or force it"


def _unproven(seen: Situation, cause: Cause) -> str:
    """Why a drift is too early to be answered, if it is: what has drifted since this champion was promoted can only be
    learned from outcomes of its own predictions, and what had before, it has learned."""
    if cause != "drift" or seen.judged or seen.labelled is None:
        return ""
    return "no outcome is known yet of what the champion itself has predicted"


def _impatience(seen: Situation) -> str:
    """Why it is too early for another try, if it is: a world that no new model describes better drifts on, and would
    otherwise be answered by a training in vain each time that somebody looks."""
    tries = len(seen.refused)
    wait = seen.bounds.patience_days * 2 ** (tries - 1) if tries else 0.0
    if not tries or seen.refused[0] >= wait:
        return ""
    times = "the last try was" if tries == 1 else f"the last {tries} tries were"
    return f"{times} no better than the champion, {seen.refused[0]:.0f} days ago: the next one waits {wait:.0f} days"


def _no(because: str) -> Decision:
    return Decision(retrain=False, because=_plain(f"not retrained: {because}"))


def _plain(sentence: str) -> str:
    """Without quotes: conditions of a pipeline break on them."""
    return sentence.translate({ord(quote): None for quote in "'\"`"})
