"""What monitoring found as metrics in Prometheus' text format, for a Pushgateway or node_exporter's textfiles."""

from __future__ import annotations

from collections.abc import Iterator

from components.monitor_judge.report import Monitoring

Labels = dict[str, str]
Samples = list[tuple[Labels, float]]


def exposition(found: Monitoring) -> str:
    """The whole text. Each metric names its model; what is not known is left out."""
    lines = [line for name, text, samples in _metrics(found) for line in _family(name, text, samples) if samples]
    return "\n".join(lines) + "\n"


def _metrics(found: Monitoring) -> Iterator[tuple[str, str, Samples]]:
    facts, drift = found.facts, found.drift
    model = {"model": facts.model}
    columns = [({**model, "part": one.part, "column": one.name}, one) for one in drift.findings]
    yield "churn_monitoring_as_of_timestamp_seconds", "End of the window.", [(model, facts.as_of.timestamp())]
    yield "churn_window_rows", "Answers that were logged in the window.", [(model, facts.rows)]
    yield "churn_window_judged", "Whether the window was large enough to judge.", [(model, drift.status != "unjudged")]
    yield (
        "churn_drifted",
        "Whether a column, or the prediction, has drifted.",
        [(at, one.drifted) for at, one in columns],
    )
    yield (
        "churn_drift_effect",
        "Kolmogorov-Smirnov distance or total variation.",
        [(at, one.effect) for at, one in columns],
    )
    yield "churn_drift_psi", "Population stability index.", [(at, one.psi) for at, one in columns]
    yield "churn_missing_share", "Values that are missing.", [(at, one.missing) for at, one in columns]
    if facts.positive_rate is not None:
        yield "churn_positive_rate", "Customers the champion says to contact.", [(model, facts.positive_rate)]
    if found.age_days is not None:
        yield "churn_model_age_days", "Days since the champion's training saw things.", [(model, found.age_days)]
    yield from _performance(found, model)


def _performance(found: Monitoring, model: Labels) -> Iterator[tuple[str, str, Samples]]:
    versions = [({**model, "version": str(one.version)}, one) for one in found.latest]
    yield (
        "churn_judged_predictions",
        "Predictions of the weeks judged last.",
        [(at, one.judged) for at, one in versions],
    )
    for measure in ("auc", "brier", "calibration", "profit"):
        known = [(at, getattr(one, measure)) for at, one in versions]
        samples = [(at, interval.value) for at, interval in known if interval is not None]
        yield f"churn_performance_{measure}", f"Of the weeks judged last: {measure}.", samples
    short = [
        ({**model, "version": str(one.version), "measure": one.measure}, float(one.worse)) for one in found.standing
    ]
    yield "churn_performance_worse", "Whether a version falls short of its promotion.", short


def _family(name: str, text: str, samples: Samples) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(one)}"' for key, one in labels.items())
        yield f"{name}{{{shown}}} {float(value)!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
