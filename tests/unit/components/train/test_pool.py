from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from churn.domain import contract_checks
from churn.domain.contract import Candidate
from churn.domain.errors import UserError
from components.train import estimators
from components.train.pool import default_candidates, pool
from tests import training
from tests.training import FOREST, LOGISTIC, XGBOOST

STACK = Candidate(name="stack", ensemble="stack", members=("xgboost", "logistic"))
VOTE = Candidate(name="vote", ensemble="vote", members=("logistic", "forest"))


def contract(*candidates: Candidate):
    return msgspec.structs.replace(training.telco(), candidates=candidates)


def names(candidates) -> list[str]:
    return [one.name for one in candidates]


def test_the_default_candidates_are_valid_and_can_be_built() -> None:
    defaults = default_candidates()
    contract_checks.check(contract(*defaults), "candidates.yaml")
    for one in defaults:
        assert one.ensemble or estimators.build(one)
    assert names(defaults)[0] == "xgboost"


def test_without_a_wish_all_candidates_of_the_contract_are_tried() -> None:
    found = pool(contract(XGBOOST, LOGISTIC, STACK))
    assert names(found.candidates) == ["xgboost", "logistic", "stack"]
    assert not found.members
    assert not found.left_out


def test_a_contract_without_candidates_gets_the_default_ones() -> None:
    assert pool(contract()).candidates == default_candidates()


def test_an_ensemble_brings_its_members_which_cannot_be_chosen() -> None:
    found = pool(contract(XGBOOST, LOGISTIC, FOREST, STACK), ["stack"])
    assert names(found.candidates) == ["xgboost", "logistic", "stack"]
    assert found.members == {"xgboost", "logistic"}


def test_a_member_that_is_asked_for_as_well_can_be_chosen() -> None:
    found = pool(contract(XGBOOST, LOGISTIC, STACK), ["stack", "logistic"])
    assert found.members == {"xgboost"}


def test_an_unknown_candidate_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown candidate 'xgbost'.*did you mean 'xgboost'"):
        pool(contract(XGBOOST), ["xgbost"])


def test_an_ensemble_of_ensembles_is_refused() -> None:
    twice = Candidate(name="twice", ensemble="vote", members=("vote", "xgboost"))
    with pytest.raises(UserError, match="candidate twice: its member 'vote' is an ensemble itself"):
        pool(contract(XGBOOST, LOGISTIC, FOREST, VOTE, twice))


WITHOUT_LIBGOMP = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "lightgbm" or name.startswith("lightgbm."):
            raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")

sys.meta_path.insert(0, Blocker())

import msgspec
from churn.domain.errors import UserError
from components.train import conversion, estimators, pool
from tests import training

boosted = training.LIGHTGBM
vote = msgspec.convert({"name": "vote", "ensemble": "vote", "members": ["lightgbm", "xgboost"]}, training.Candidate)
contract = msgspec.structs.replace(training.telco(), candidates=(boosted, training.XGBOOST, vote))
found = pool.pool(contract)
print([one.name for one in found.candidates])
print(found.left_out)
data = training.generated(300)
design = data.features[:, :4].astype("float32")
fitted = estimators.fit(training.XGBOOST, design, data.y)
print(len(conversion.convert(fitted, 4).graph.node))
try:
    pool.pool(contract, ["lightgbm"])
except UserError as error:
    print(error)
"""


def test_without_libgomp_lightgbm_is_left_out_with_a_sentence_and_the_others_train_and_convert() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBGOMP], cwd=training.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    tried, left_out, nodes, refused = done.stdout.strip().splitlines()
    reason = "left out: lightgbm.LGBMClassifier needs the system library libgomp1, which this machine lacks"
    assert tried == "['xgboost']"
    assert left_out == str({"lightgbm": reason, "vote": "left out: its member lightgbm is"})
    assert int(nodes) > 0
    assert refused == f"candidates: no candidate can be tried here; lightgbm is {reason}"
