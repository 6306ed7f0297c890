"""The default candidates on the IBM sample: as good as an honest model can be, no better, and not slow."""

from __future__ import annotations

import time

import numpy as np
import pytest

from churn.domain import bundle, encoding
from components.train.record import Trained
from tests import training
from tests.integration.train.conftest import Case

SAMPLE = training.sample_file()
CPU_SECONDS = 30
"""On two cores at work this is less than 25 s of a person's time."""

pytestmark = pytest.mark.skipif(SAMPLE is None, reason="no IBM Telco sample: set CHURN_TELCO_CSV to its path")


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    assert SAMPLE is not None
    contract = training.telco()
    valid = training.valid_table(contract, training.read_csv(SAMPLE))
    return Case.of(contract, valid, tmp_path_factory.mktemp("telco"))


@pytest.fixture(scope="module")
def trained(case: Case) -> tuple[Trained, float]:
    begun = time.process_time()
    return case.train(), time.process_time() - begun


def test_the_chosen_candidate_is_as_good_as_is_honest(trained: tuple[Trained, float]) -> None:
    cv = trained[0].cv
    assert trained[0].rows == 7043
    assert 0.842 <= cv["roc_auc"] <= 0.87
    assert cv["log_loss"] <= 0.418
    assert cv["brier"] <= 0.137
    assert cv["ece"] <= 0.03


def test_every_candidate_is_near_the_best(trained: tuple[Trained, float]) -> None:
    found = {one.name: one.cv for one in trained[0].candidates if not one.note}
    assert {"xgboost", "logistic-regression", "random-forest", "gradient-boosting", "soft-vote", "stack"} <= set(found)
    for name, cv in found.items():
        assert 0.842 <= cv["roc_auc"].mean <= 0.87, name
        assert cv["log_loss"].mean <= 0.42, name


def test_among_equals_the_explainable_one_is_chosen(trained: tuple[Trained, float], case: Case) -> None:
    assert trained[0].candidate == "xgboost"
    assert bundle.load(case.artifacts.bundle).manifest.booster == "booster.ubj"


def test_the_graph_agrees_with_the_estimator_over_every_row(trained: tuple[Trained, float], case: Case) -> None:
    scored = case.scored
    p = bundle.load(case.artifacts.bundle, trained[0].digest).predict(encoding.encode(case.contract, scored))
    assert np.abs(p - scored["prediction"].to_numpy()).max() <= 1e-5
    assert trained[0].null_parity <= 1e-5


def test_training_all_candidates_takes_little_work(trained: tuple[Trained, float]) -> None:
    assert trained[1] <= CPU_SECONDS
