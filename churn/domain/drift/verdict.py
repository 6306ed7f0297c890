"""The verdict on a window: which columns have drifted from the reference, by how much, or why nothing can be said."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain.contract import Contract
from churn.domain.drift import effects, significance
from churn.domain.drift.columns import Matrix, Vector
from churn.domain.drift.effects import Band, Counts
from churn.domain.drift.faults import Fault, faults
from churn.domain.drift.significance import Tests
from churn.domain.performance import Times

PROBABILITY = "probability"

Status = Literal["drifted", "quiet", "unjudged"]


class Bounds(msgspec.Struct, frozen=True):
    """From when on something counts. `effect` is a Kolmogorov-Smirnov distance or a total variation; `level` the share
    of false discoveries; below `rows` nothing is judged, and above `sample` rows are drawn: else significance would
    follow from size alone, and a test would say nothing that the effect does not."""

    effect: float = 0.08
    level: float = 0.05
    rows: int = 200
    sample: int = 10_000


class Group(msgspec.Struct, frozen=True):
    """Shares of the rows of reference and window that lie in a group of values."""

    label: str
    reference: float
    window: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One column, or the prediction. It has drifted when the test is significant and the effect reaches the bound; and
    where it looks broken in a part of the window, which `faults` says.

    `effect` is the Kolmogorov-Smirnov distance of a number, the total variation of a category. `missing` and `unknown`
    are shares of the window, `*_before` of the reference; `mean` is of the known numbers, null for a category."""

    part: Literal["feature", "prediction"]
    name: str
    test: Literal["kolmogorov-smirnov", "chi-squared"]
    p_value: float
    significant: bool
    effect: float
    drifted: bool
    psi: float
    band: Band
    missing: float
    missing_before: float
    unknown: float = 0.0
    unknown_before: float = 0.0
    mean: float | None = None
    mean_before: float | None = None
    groups: tuple[Group, ...] = ()
    faults: tuple[Fault, ...] = ()


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of a window. `rows` were there, `judged` of them were looked at."""

    status: Status
    reason: str
    rows: int
    judged: int
    reference: int
    findings: tuple[Finding, ...] = ()

    @property
    def drifted(self) -> tuple[Finding, ...]:
        """What has drifted, the largest effect first."""
        return tuple(sorted((one for one in self.findings if one.drifted), key=lambda one: -one.effect))


class Sample(msgspec.Struct, frozen=True):
    """Columns (n, k) as `columns.matrix` gives them, and probabilities (m,) of one model, be they of fewer rows.

    `at` (n,) has the rows' times in microseconds since 1970, where they have any: then a part of them can be odd."""

    columns: Matrix
    probability: Vector
    at: Times | None = None


def judge(
    contract: Contract, reference: Sample, window: Sample, bounds: Bounds, tests: Tests = significance.p_values
) -> Judgement:
    """Compares a window with the reference. The false discoveries of all tests are held down together.

    Of the prediction nothing is said where fewer than `bounds.rows` rows have one."""
    rows, known = len(window.columns), len(reference.columns)
    if min(rows, known) < bounds.rows:
        side, few = ("reference", known) if known < bounds.rows else ("window", rows)
        reason = f"not judged: the {side} has {few:,} rows, and {bounds.rows:,} are needed"
        return Judgement(status="unjudged", reason=reason, rows=rows, judged=0, reference=known)
    broken = {} if window.at is None else faults(contract, reference.columns, window.columns, window.at, bounds.rows)
    reference, window = (Sample(sampled(one.columns, bounds.sample), sampled(one.probability, bounds.sample))
                         for one in (reference, window))  # fmt: skip
    findings = [_told(one, broken) for one in _findings(contract, reference, window, bounds, tests)]
    drifted = sorted((one for one in findings if one.drifted), key=lambda one: -one.effect)
    return Judgement(
        status="drifted" if drifted else "quiet",
        reason=f"drifted: {', '.join(map(said, drifted))}" if drifted else "quiet: nothing has drifted",
        rows=rows,
        judged=len(window.columns),
        reference=len(reference.columns),
        findings=tuple(findings),
    )


def sampled(values: npt.NDArray[np.float64], most: int, seed: int = 7) -> npt.NDArray[np.float64]:
    """At most so many rows, drawn without replacement; the same of the same."""
    if len(values) <= most:
        return values
    return values[np.sort(np.random.default_rng(seed).choice(len(values), most, replace=False))]


def said(finding: Finding) -> str:
    """A drifted column in a few words: by how much, and from where to where."""
    what = "the prediction" if finding.part == "prediction" else finding.name
    if finding.faults:
        return f"{what} looks broken ({fault_said(finding)})"
    if finding.mean is not None and finding.mean_before is not None:
        return f"{what} by {finding.effect:.2f} (mean {finding.mean_before:.4g} to {finding.mean:.4g})"
    most = max(finding.groups, key=lambda group: abs(group.window - group.reference), default=None)
    moved = f" ({most.label} {100 * most.reference:.0f} % to {100 * most.window:.0f} %)" if most else ""
    return f"{what} by {finding.effect:.2f}{moved}"


def fault_said(finding: Finding) -> str:
    """What is odd about a column that looks broken, and when it was."""
    since, until = finding.faults[0].since, finding.faults[-1].until - dt.timedelta(days=1)
    return f"{finding.faults[-1].why}, {since:%Y-%m-%d} to {until:%Y-%m-%d}"


def _told(finding: Finding, broken: Mapping[str, tuple[Fault, ...]]) -> Finding:
    if finding.part != "feature" or finding.name not in broken:
        return finding
    return msgspec.structs.replace(finding, faults=broken[finding.name], drifted=True)


def _findings(contract: Contract, reference: Sample, window: Sample, bounds: Bounds, tests: Tests) -> list[Finding]:
    coded = [contract.labels(name) is not None for name in contract.raw]
    p = tests(reference.columns, window.columns, coded)
    has_prediction = min(len(reference.probability), len(window.probability)) >= bounds.rows
    if has_prediction:
        p = np.append(p, tests(reference.probability[:, None], window.probability[:, None], [False]))
    believed = significance.discoveries(p, bounds.level)
    found = [
        _finding(
            name, contract.labels(name), (reference.columns[:, k], window.columns[:, k]),
            (float(p[k]), bool(believed[k])), bounds,
        )
        for k, name in enumerate(contract.raw)
    ]  # fmt: skip
    if has_prediction:
        sides = (reference.probability, window.probability)
        found.append(_finding("", None, sides, (float(p[-1]), bool(believed[-1])), bounds))
    return found


def _finding(
    name: str, labels: tuple[str, ...] | None, sides: tuple[Vector, Vector], tested: tuple[float, bool], bounds: Bounds
) -> Finding:
    """`name` is empty for the prediction."""
    before, now = sides
    p_value, significant = tested
    if labels is None:
        inner = effects.edges(before)
        counts = effects.grouped(before, inner), effects.grouped(now, inner)
        effect, names = effects.ks_distance(before, now), _spans(inner)
        missing = counts[0][-1], counts[1][-1]
        unknown = 0, 0
    else:
        counts = effects.counted(before, len(labels) + 2), effects.counted(now, len(labels) + 2)
        effect, names = effects.total_variation(*counts), [*labels, "missing", "unknown"]
        missing, unknown = (counts[0][-2], counts[1][-2]), (counts[0][-1], counts[1][-1])
    index = effects.psi(*_filled(counts))
    return Finding(
        part="feature" if name else "prediction",
        name=name or PROBABILITY,
        test="kolmogorov-smirnov" if labels is None else "chi-squared",
        p_value=p_value,
        significant=significant,
        effect=effect,
        drifted=significant and effect >= bounds.effect,
        psi=index,
        band=effects.band(index),
        missing_before=float(missing[0] / len(before)),
        missing=float(missing[1] / len(now)),
        unknown_before=float(unknown[0] / len(before)),
        unknown=float(unknown[1] / len(now)),
        mean_before=_mean(before) if labels is None else None,
        mean=_mean(now) if labels is None else None,
        groups=_groups(names, counts),
    )


def _filled(counts: tuple[Counts, Counts]) -> tuple[Counts, Counts]:
    """Without groups that are empty on both sides."""
    filled = (counts[0] + counts[1]) > 0
    return counts[0][filled], counts[1][filled]


def _groups(names: Sequence[str], counts: tuple[Counts, Counts]) -> tuple[Group, ...]:
    shares = [one / one.sum() for one in counts]
    return tuple(
        Group(name, float(before), float(now))
        for name, before, now in zip(names, *shares, strict=True)
        if before or now
    )


def _spans(inner: Vector) -> list[str]:
    if not len(inner):
        return ["all", "missing"]
    edges = [f"{float(f'{edge:.3g}'):,.10g}" for edge in inner]  # 1,060 and not 1.06e+03
    between = [f"{low} to {high}" for low, high in itertools.pairwise(edges)]
    return [f"below {edges[0]}", *between, f"{edges[-1]} and more", "missing"]


def _mean(values: Vector) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
