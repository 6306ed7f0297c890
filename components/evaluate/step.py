"""The evaluation step: everything that is asked of a bundle before it may serve, and the answers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc

from churn.domain import bundle as bundles
from churn.domain import metrics
from churn.domain.contract import Contract
from churn.stores.settings import Settings
from components.evaluate import behaviour, case, champion, curves, gate, importance, leakage, slices
from components.evaluate.case import Case
from components.evaluate.gate import Findings
from components.evaluate.inputs import Training, Validation, rule_for
from components.evaluate.evaluation import Comparison, Data, Evaluation
from feature_repo import names

ROWS = 1000
"""Rows at most for latency and determinism."""


def evaluate(
    settings: Settings,
    contract: Contract,
    bundle: Path,
    scored: Path,
    training: Training,
    validation: Validation,
    comparison: str = "",
) -> Evaluation:
    """Judges the bundle in a folder on the rows train scored; `comparison` overrides the contract's rule.

    A refusal is an answer. Raises UserError where none can be given: a column of the table that tells on its own who
    left, a hold-out of one outcome, a champion whose bundle is gone."""
    rule = rule_for(contract, comparison)
    judged = case.read(contract, bundles.load(bundle), scored)
    alone = leakage.alone(judged)
    leakage.refuse_leaking_columns(contract, alone)
    serving = champion.find(settings, contract.name)
    compared = champion.compare(judged, serving) if serving else None
    measured = _metrics(judged)
    found = _findings(judged, measured, alone, training, compared)
    checks = gate.checks(contract, found, rule)
    return _evaluation(judged, measured, found, training, validation, checks)


def _metrics(judged: Case) -> dict[str, dict[str, float]]:
    threshold, costs = judged.bundle.manifest.threshold, judged.contract.costs
    return {name: metrics.measure(*rows, threshold, costs) for name, rows in (("cv", judged.folds), ("holdout", judged.held))}


def _findings(
    judged: Case,
    measured: dict[str, dict[str, float]],
    alone: dict[str, float],
    training: Training,
    compared: Comparison | None,
) -> Findings:
    graph, columns = judged.bundle.model, judged.columns[judged.holdout][:ROWS]
    return Findings(
        holdout=measured["holdout"],
        ece=measured["cv"]["ece"],
        alone=alone,
        latency_ms=behaviour.latency_ms(graph, columns),
        repeats=behaviour.repeats(graph, columns),
        batch_difference=behaviour.batch_difference(graph, columns),
        parity=float(np.abs(judged.p - judged.estimator).max()),
        null_parity=training.null_parity,
        comparison=compared,
    )


def _evaluation(
    judged: Case,
    measured: dict[str, dict[str, float]],
    found: Findings,
    training: Training,
    validation: Validation,
    checks: tuple[gate.Check, ...],
) -> Evaluation:
    contract, manifest = judged.contract, judged.bundle.manifest
    fast = found.latency_ms <= contract.gate.latency_ms
    return Evaluation(
        model=contract.name,
        candidate=manifest.candidate,
        estimator=manifest.estimator,
        digest=judged.bundle.digest,
        contract=contract.digest,
        passed=all(check.passed for check in checks),
        reason=gate.reason(checks, measured["holdout"]),
        gate=checks,
        metrics=measured,
        comparison=found.comparison,
        candidates=training.candidates,
        worth=curves.worth(*judged.held, manifest.threshold, contract.costs),
        costs=msgspec.structs.asdict(contract.costs),
        alone=dict(found.alone),
        latency_ms=found.latency_ms,
        confusion=curves.confusion(*judged.held, manifest.threshold),
        curves=curves.curves(*judged.held, judged.folds, contract.costs),
        importance=importance.importances(judged) if fast else (),  # a graph too slow to serve is too slow for this
        slices=slices.slices(judged),
        data=_data(judged, training, validation),
        versions=manifest.versions,
    )


def _data(judged: Case, training: Training, validation: Validation) -> Data:
    seen = pc.min_max(judged.table[names.EVENT_TIMESTAMP]).as_py()
    return Data(
        digest=judged.bundle.manifest.data,
        rows=len(judged.y),
        holdout=int(judged.holdout.sum()),
        rate=float(judged.y.mean()),
        first=seen["min"].date().isoformat(),
        last=seen["max"].date().isoformat(),
        read=validation.rows,
        quarantined=validation.quarantined,
        duplicates=validation.duplicates,
        dropped=training.dropped,
    )
