"""The evaluation step: everything that is asked of a bundle before it may serve, and the answers."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow.compute as pc

from churn.domain import bundle as bundles
from churn.domain import metrics
from churn.stores.settings import Settings
from components.evaluate import behaviour, case, champion, curves, gate, importance, leakage, slices
from components.evaluate.case import Case
from components.evaluate.evaluation import Check, Data, Evaluation
from components.evaluate.gate import Findings
from components.evaluate.inputs import Inputs
from feature_repo import names

ROWS = 1000
"""Rows at most for latency and determinism."""


def evaluate(settings: Settings, inputs: Inputs) -> Evaluation:
    """Judges a bundle by its contract's gate, and against the champion.

    A refusal is an answer. Raises UserError where none can be given: a column of the table that tells on its own who
    left, a hold-out of one outcome, a champion whose bundle is gone."""
    rule = inputs.rule
    judged = case.read(inputs.contract, bundles.load(inputs.bundle), inputs.scored)
    alone = leakage.alone(judged)
    leakage.refuse_leaking_columns(judged.contract, alone, inputs.source)
    serving = champion.find(settings, judged.contract.name)
    found = _findings(judged, alone, serving, inputs)
    return _evaluation(judged, found, gate.checks(judged.contract, found, rule), inputs)


def _findings(judged: Case, alone: dict[str, float], serving: champion.Champion | None, inputs: Inputs) -> Findings:
    graph, columns = judged.bundle.model, judged.columns[judged.holdout][:ROWS]
    threshold, costs = judged.bundle.manifest.threshold, judged.contract.costs
    return Findings(
        cv=metrics.measure(*judged.folds, threshold, costs),
        ece_by_chance=metrics.ece_by_chance(judged.folds[1]),
        holdout=metrics.measure(*judged.held, threshold, costs),
        alone=alone,
        latency_ms=behaviour.latency_ms(graph, columns),
        repeats=behaviour.repeats(graph, columns),
        batch_difference=behaviour.batch_difference(graph, columns),
        parity=float(np.abs(judged.p - judged.estimator).max()),
        null_parity=inputs.training.null_parity,
        comparison=champion.compare(judged, serving) if serving else None,
        as_of=inputs.as_of,
        champion_as_of=serving.as_of if serving else "",
    )


def _evaluation(judged: Case, found: Findings, checks: tuple[Check, ...], inputs: Inputs) -> Evaluation:
    contract, manifest = judged.contract, judged.bundle.manifest
    fast = found.latency_ms <= contract.gate.latency_ms
    return Evaluation(
        model=contract.name,
        candidate=manifest.candidate,
        estimator=manifest.estimator,
        digest=judged.bundle.digest,
        contract=contract.digest,
        passed=all(check.passed for check in checks),
        reason=gate.reason(checks, found.holdout),
        gate=checks,
        metrics={"cv": dict(found.cv), "holdout": dict(found.holdout)},
        comparison=found.comparison,
        candidates=inputs.training.candidates,
        worth=curves.worth(*judged.held, manifest.threshold, contract.costs),
        costs=msgspec.structs.asdict(contract.costs),
        alone=dict(found.alone),
        latency_ms=found.latency_ms,
        confusion=curves.confusion(*judged.held, manifest.threshold),
        curves=curves.curves(*judged.held, judged.folds, contract.costs),
        importance=importance.importances(judged) if fast else (),  # hundreds of batches: not for a slow graph
        slices=slices.slices(judged),
        data=_data(judged, inputs),
        versions=manifest.versions,
        because=inputs.because,
    )


def _data(judged: Case, inputs: Inputs) -> Data:
    seen = pc.min_max(judged.table[names.EVENT_TIMESTAMP]).as_py()
    return Data(
        digest=judged.bundle.manifest.data,
        rows=len(judged.y),
        holdout=int(judged.holdout.sum()),
        rate=float(judged.y.mean()),
        first=seen["min"].date().isoformat(),
        last=seen["max"].date().isoformat(),
        read=inputs.validation.rows,
        quarantined=inputs.validation.quarantined,
        duplicates=inputs.validation.duplicates,
        dropped=inputs.training.dropped,
    )
