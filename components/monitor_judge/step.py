"""Judging: tables and a contract in, a report out. It runs where alibi-detect does, and knows no store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import contract as contracts
from churn.domain import performance
from churn.domain.contract import Contract
from churn.domain.drift import columns, significance, verdict
from churn.domain.drift.significance import Tests
from churn.domain.drift.verdict import PROBABILITY, Judgement, Sample
from churn.domain.errors import UserError
from churn.domain.performance import Predictions, Standing
from components.files import read_json
from components.monitor_assemble.facts import CONTRACT, Facts
from components.monitor_judge.report import Monitoring
from feature_repo import names


@dataclass(frozen=True)
class Inputs:
    """The files that were assembled."""

    contract: Path
    reference: Path
    window: Path
    predictions: Path
    facts: Path


def judge(inputs: Inputs, tests: Tests = significance.p_values) -> Monitoring:
    """The judgement. Raises UserError for a reference or a window of another contract."""
    contract, facts = contracts.load(inputs.contract), read_json(inputs.facts, Facts)
    drift = _drift(contract, facts, inputs, tests)
    predictions = _predictions(_table(contract, inputs.predictions, "predictions"))
    as_of = performance.microseconds(facts.as_of)
    state = performance.states(predictions, facts.horizon_days, as_of)
    periods = performance.by_week(predictions, state, contract.costs)
    latest = performance.latest(predictions, state, contract.costs, facts.horizon_days, as_of)
    standing = performance.against_promotion(latest, facts.promoted)
    short = tuple(_said(one) for one in standing if one.worse and one.version == facts.version)
    return Monitoring(
        facts=facts,
        drift=drift,
        periods=periods,
        latest=latest,
        standing=standing,
        age_days=(facts.as_of - facts.trained_to).total_seconds() / 86400 if facts.trained_to else None,
        short=short,
        worse=bool(short),
        reason="; ".join([drift.reason, *short]),
    )


def _drift(contract: Contract, facts: Facts, inputs: Inputs, tests: Tests) -> Judgement:
    before, now = (_table(contract, path, name) for path, name in
                   ((inputs.reference, "reference"), (inputs.window, "window")))  # fmt: skip
    found = verdict.judge(contract, _sample(contract, before), _sample(contract, now), facts.bounds, tests)
    if found.status == "unjudged" and not facts.rows:
        return Judgement(
            status="unjudged",
            reason=f"not judged: no prediction was logged since {facts.since:%Y-%m-%d}",
            rows=0,
            judged=0,
            reference=found.reference,
        )
    return found


def _table(contract: Contract, path: Path, name: str) -> pa.Table:
    """A table of this contract. Raises UserError for one of another, or of none."""
    table = pq.read_table(path)
    of = (table.schema.metadata or {}).get(CONTRACT, b"").decode()
    if of != contract.digest:
        problem = f"is of the contract {of[:12] or 'of nobody'}, not of {contract.digest[:12]}"
        raise UserError(problem, where=f"the {name}", remedy="assemble it anew, from the champion's own bundle")
    return table


def _sample(contract: Contract, table: pa.Table) -> Sample:
    probability = np.asarray(table[PROBABILITY].drop_null().to_numpy(), np.float64)
    at = performance.times(table[names.EVENT_TIMESTAMP]) if names.EVENT_TIMESTAMP in table.column_names else None
    return Sample(columns.matrix(contract, table), probability, at)


def _predictions(table: pa.Table) -> Predictions:
    return Predictions(
        at=performance.times(table["predicted_at"]),
        version=np.asarray(table["version"].to_numpy(), np.int64),
        probability=np.asarray(table["probability"].to_numpy(), np.float64),
        contacted=np.asarray(table["decision"].to_numpy(), np.bool_),
        left_at=performance.times(table["left_at"]),
        stayed_until=performance.times(table["stayed_until"]),
    )


def _said(short: Standing) -> str:
    name = {"auc": "AUC", "brier": "Brier score", "profit": "expected profit"}[short.measure]
    return (
        f"version {short.version} has {name} {short.now.value:.3f} "
        f"({short.now.low:.3f} to {short.now.high:.3f}), {short.promoted:.3f} at promotion"
    )
