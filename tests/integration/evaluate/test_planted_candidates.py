"""Bad candidates, each with one fault, each refused by the check that is there for it and by no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import spox.opset.ai.onnx.v21 as op
from spox import Var

from churn.domain.contract import Candidate
from churn.domain.errors import UserError
from components.evaluate.evaluation import Evaluation
from components.evaluate.inputs import Training
from components.train.estimators import Balance
from tests.integration.evaluate.shop import Trained, const, contract_with, wrapped

Judge = Callable[..., Evaluation]
Make = Callable[..., Trained]
SEED = 5


def failed(found: Evaluation) -> list[str]:
    return [check.check for check in found.gate if not check.passed]


def beside(table: pa.Table, **columns: np.ndarray) -> pa.Table:
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def test_an_honest_first_model_is_promoted(judge: Judge, honest: Trained) -> None:
    found = judge(honest)

    assert found.passed
    assert failed(found) == []
    auc = found.metrics["holdout"]["roc_auc"]
    assert found.reason == f"promoted: roc_auc {auc:.3f} on the hold-out, the first model of shop"


def test_a_miscalibrated_candidate_is_refused_by_calibration(judge: Judge, make: Make) -> None:
    found = judge(make(balance=Balance(class_weight="balanced")))

    assert failed(found) == ["calibration"]
    assert found.metrics["cv"]["roc_auc"] > 0.87, "its ranking is as good as the honest one's"
    assert found.reason.startswith("refused: calibration error (ece) out of fold 0.1")


def test_a_leak_spread_over_two_columns_is_refused_by_leakage(judge: Judge, make: Make, table: pa.Table) -> None:
    """Neither column tells anything alone; the invoices that a leaver did not pay any more do."""
    sent = np.random.default_rng(SEED).integers(0, 500, table.num_rows)
    contract = contract_with(
        columns={"sent": {"type": "integer"}, "paid": {"type": "integer"}},
        derived={"unpaid": {"formula": "sent - paid", "told_as": "paid"}},
    )
    found = judge(make(contract, beside(table, sent=sent, paid=sent - table["gone"].to_numpy())))

    assert failed(found) == ["leakage"]
    assert found.reason == "refused: AUC of unpaid alone 1 is above 0.95"


def test_a_leaking_column_ends_the_run_and_is_named(judge: Judge, make: Make, table: pa.Table) -> None:
    refund = table["gone"].to_numpy() * 50.0 + np.random.default_rng(SEED).normal(0, 5, table.num_rows)
    contract = contract_with(columns={"refund": {"type": "number", "source": "Final refund"}})
    trained = make(contract, beside(table, refund=refund))

    with pytest.raises(UserError) as error:
        judge(trained, source="customers.csv")

    assert error.value.where == "customers.csv, column Final refund"
    assert "AUC 1, the contract allows 0.95" in error.value.problem
    assert "remove refund from the contract's columns" in error.value.remedy


def test_a_candidate_too_good_to_be_true_is_refused_by_the_ceiling(judge: Judge, make: Make, table: pa.Table) -> None:
    """The column leaks, but not enough alone; with the honest ones it does."""
    hint = table["gone"].to_numpy() * 1.8 + np.random.default_rng(SEED).normal(0, 1, table.num_rows)
    contract = contract_with(
        columns={"hint": {"type": "number"}}, gate={"metrics": {"roc_auc": {"min": 0.6, "max": 0.93}}}
    )
    found = judge(make(contract, beside(table, hint=hint)))

    assert failed(found) == ["metrics.roc_auc.max"]
    assert "too good to be true" in found.reason


def test_a_candidate_below_a_floor_is_refused_by_that_floor(judge: Judge, make: Make) -> None:
    gate = {"metrics": {"roc_auc": {"min": 0.95}, "log_loss": {"max": 0.45}}}
    found = judge(make(contract_with(gate=gate)))

    assert failed(found) == ["metrics.roc_auc.min"]
    assert found.gate[0].value == found.metrics["holdout"]["roc_auc"]
    assert found.gate[0].bound == 0.95


def test_a_slow_graph_is_refused_by_latency(judge: Judge, make: Make) -> None:
    """It works out four million sines for every request, and uses none of them."""

    def idling(probability: Var, rows: Var) -> Var:
        sines = op.sin(op.mul(op.const(np.linspace(0, 1, 4_000_000, dtype=np.float32)), rows))
        return op.add(probability, op.mul(op.reduce_mean(sines, keepdims=0), const(1e-12)))

    found = judge(make(changed=lambda model: wrapped(model, idling)))

    assert failed(found) == ["latency"]
    assert found.latency_ms > 2
    assert found.importance == (), "a slow graph is not asked hundreds of times more"


def test_a_graph_that_answers_differently_each_time_is_refused_by_determinism(judge: Judge, make: Make) -> None:
    def noisy(probability: Var, rows: Var) -> Var:
        return op.add(probability, op.random_uniform_like(probability, low=-4e-6, high=4e-6))

    found = judge(make(changed=lambda model: wrapped(model, noisy)))

    assert failed(found) == ["determinism"]
    assert "another answer the second time" in found.reason


def test_a_graph_that_looks_at_the_rest_of_its_batch_is_refused_by_determinism(judge: Judge, make: Make) -> None:
    def sociable(probability: Var, rows: Var) -> Var:
        return op.add(probability, op.mul(op.min([rows, const(100)]), const(5e-8)))

    found = judge(make(changed=lambda model: wrapped(model, sociable)))

    assert failed(found) == ["determinism"]
    assert "difference between a row alone and in a batch" in found.reason


def test_an_estimator_that_converts_wrongly_is_refused_by_parity(judge: Judge, make: Make) -> None:
    """skl2onnx gives other probabilities for a discriminant analysis of two classes than scikit-learn."""
    estimator = "sklearn.discriminant_analysis.LinearDiscriminantAnalysis"
    found = judge(make(candidate=Candidate(name="lda", estimator=estimator)))

    assert failed(found) == ["parity"]


@pytest.mark.parametrize("difference", [0.2, None])
def test_a_graph_that_treats_nulls_otherwise_is_refused_by_null_parity(
    judge: Judge, honest: Trained, difference: float | None
) -> None:
    found = judge(honest, training=Training(null_parity=difference))

    assert failed(found) == ["null_parity"]


@pytest.mark.parametrize("rule", ["superior", "non-inferior"])
def test_a_candidate_worse_by_a_hundredth_of_auc_is_refused_by_the_comparison(
    judge: Judge, honest: Trained, worse: Trained, serve: Callable[[Trained], None], rule: str
) -> None:
    serve(honest)
    found = judge(worse, comparison=rule)

    assert found.comparison is not None
    champion, candidate = found.comparison.metrics["roc_auc"], found.metrics["holdout"]["roc_auc"]
    assert champion is not None
    assert 0.005 < champion - candidate < 0.015
    assert failed(found) == [rule]
    assert found.reason.startswith("refused: it is worse than version 3: log-loss worse by 0.0")


def test_overconfident_probabilities_are_refused_by_calibration(judge: Judge, make: Make) -> None:
    """Trees that learned their rows by heart: the ranking is still fair, the conviction is not."""
    params = {"n_estimators": 200, "max_depth": 6, "learning_rate": 0.5}
    overfitted = Candidate(name="overfitted", estimator="xgboost.XGBClassifier", params=params)
    found = judge(make(candidate=overfitted))

    assert failed(found) == ["calibration"]


def test_a_candidate_with_two_faults_is_told_both(judge: Judge, make: Make) -> None:
    trained = make(contract_with(gate={"latency_ms": 1e-6}))
    found = judge(trained, training=Training(null_parity=0.5))

    assert failed(found) == ["latency", "null_parity"]
    latency, nulls = found.reason.removeprefix("refused: ").split("; ")
    assert latency.startswith("latency")
    assert nulls == "largest difference with nulls 0.500 is above 1e-05"
