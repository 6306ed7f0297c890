"""`churn run training` from a table to a champion."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.conftest import Churn, Trained, customers

METRICS = {
    "roc_auc", "pr_auc", "log_loss", "brier", "ece", "accuracy", "f1", "precision", "recall", "lift_10",
    "expected_profit", "threshold",
}  # fmt: skip


def test_the_first_model_of_a_home_is_promoted(trained: Trained) -> None:
    found = trained.done.json
    assert found["status"] == "SUCCEEDED"
    assert found["promoted"] is True
    assert found["model"]["name"] == "telco"
    assert found["model"]["version"] == 1
    assert re.fullmatch("[0-9a-f]{64}", found["model"]["digest"])


def test_the_document_has_everything_a_program_asks_for(trained: Trained) -> None:
    found = trained.done.json
    assert {"run_id", "status", "model", "promoted", "reason", "data", "contract", "steps", "candidates", "metrics",
            "gate", "artifacts"} <= set(found)  # fmt: skip
    assert found["data"]["rows"] == 2500
    assert found["data"]["quarantined"] == 0
    assert set(found["metrics"]["cv"]) == METRICS
    assert set(found["metrics"]["holdout"]) == METRICS
    assert all({"check", "value", "bound", "passed"} <= set(check) for check in found["gate"])
    assert [one["name"] for one in found["candidates"]] == ["xgboost", "logistic-regression"]
    assert sum(one["chosen"] for one in found["candidates"]) == 1
    assert all({"mean", "std"} == set(one["cv"]["roc_auc"]) for one in found["candidates"])
    assert "\n" not in found["reason"].strip()


def test_every_step_ran_in_the_image_of_its_role(trained: Trained) -> None:
    steps = {step["name"]: step["image"] for step in trained.done.json["steps"]}
    assert list(steps) == ["ingest", "validate", "transform", "train", "evaluate", "materialise", "promote"]
    assert "data-processing" in steps["validate"]
    assert "model-training" in steps["train"]


def test_stdout_holds_one_document_and_nothing_else(trained: Trained) -> None:
    assert trained.done.out.startswith("{")
    assert trained.done.out.rstrip().endswith("}")


def test_an_honest_model_reaches_the_laws_own_auc(trained: Trained) -> None:
    assert 0.80 <= trained.done.json["metrics"]["cv"]["roc_auc"] <= 0.88


def test_the_same_data_again_is_merely_equal_and_left_unpromoted(trained: Trained) -> None:
    before = _traffic(trained.churn)
    again = trained.churn.train(trained.data, "--param", "candidates=xgboost,logistic-regression")
    assert again.code == 0, again.err
    assert again.json["promoted"] is False
    assert "equal" in again.json["reason"]
    assert again.json["model"]["digest"] == trained.done.json["model"]["digest"]
    assert again.json["data"]["digest"] == trained.done.json["data"]["digest"]
    assert _traffic(trained.churn) == before


def test_a_run_that_looks_back_in_time_changes_nothing_that_serves(home: Churn, tmp_path: Path) -> None:
    before = _traffic(home)
    other = customers(tmp_path / "other.csv", 1500, seed=8)
    back = home.train(other, "--as-of", "2020-01-01", "--param", "candidates=logistic-regression",
                      "--param", "comparison=non-inferior")  # fmt: skip
    assert back.code == 0, back.err
    assert back.json["promoted"] is False
    assert "2020-01-01, older" in back.json["reason"]
    assert _traffic(home) == before


def test_models_are_listed_shown_and_compared(trained: Trained) -> None:
    listed = trained.churn("models", "list", "--json")
    assert [(one["model"], one["version"], one["serves"]) for one in listed.json] == [("telco", 1, "champion")]
    shown = trained.churn("models", "show", "telco")
    assert shown.json["traffic"]["champion"]["digest"] == trained.done.json["model"]["digest"]
    compared = trained.churn("models", "compare", "telco", "1", "1", "--json")
    assert compared.json["cv_roc_auc"]["difference"] == 0
    assert trained.churn("models", "show", "telco", "9").code == 2


def test_features_of_a_customer_can_be_looked_up(trained: Trained) -> None:
    [header, first] = [line.split(",") for line in trained.data.read_text().splitlines()[:2]]
    found = trained.churn("features", "get", "--customer-id", first[0])
    assert found.code == 0, found.err
    assert found.json[0]["tenure"] == int(first[header.index("tenure")])
    unknown = trained.churn("features", "get", "--customer-id", "nobody")
    assert unknown.code == 2
    assert "nobody" in unknown.err


def test_another_model_name_is_another_model(trained: Trained, home: Churn) -> None:
    done = home.train(trained.data, "--model", "second", "--param", "candidates=logistic-regression")
    assert done.code == 0, done.err
    assert done.json["model"] == {**done.json["model"], "name": "second", "version": 1}
    assert (home.home / "traffic/second.yaml").is_file()


def test_a_table_with_other_columns_an_integer_target_and_spaces_goes_through(churn: Churn, tmp_path: Path) -> None:
    table = _gym(tmp_path / "gym members.csv")
    contract = tmp_path / "gym.yaml"
    drafted = churn(
        "contract", "draft", table, "--key", "Member No", "--target", "has left", "--positive", "1", "--out", contract
    )
    assert drafted.code == 0, drafted.err
    assert churn("contract", "check", table, "--contract", contract).code == 0
    done = churn.train(table, "--contract", contract, "--param", "candidates=xgboost,logistic-regression")
    assert done.code == 0, done.err
    assert done.json["promoted"], done.json["reason"]
    assert done.json["data"]["quarantined"] == 0


def test_a_table_without_key_or_dates_and_with_duplicate_rows_goes_through(churn: Churn, tmp_path: Path) -> None:
    table = _survey(tmp_path / "survey.parquet")
    contract = tmp_path / "survey.yaml"
    drafted = churn("contract", "draft", table, "--target", "churned", "--out", contract)
    assert drafted.code == 0, drafted.err
    done = churn.train(table, "--contract", contract, "--param", "candidates=logistic-regression,random-forest")
    assert done.code == 0, done.err
    assert done.json["promoted"], done.json["reason"]


def test_the_ibm_sample_reaches_what_is_known_to_be_honest(churn: Churn, telco: Path) -> None:
    done = churn.train(telco)
    assert done.code == 0, done.err
    found = done.json
    assert found["promoted"], found["reason"]
    assert found["data"]["rows"] == 7043
    assert 0.842 <= found["metrics"]["cv"]["roc_auc"] <= 0.87
    assert found["metrics"]["cv"]["log_loss"] <= 0.418
    assert found["metrics"]["cv"]["brier"] <= 0.137
    assert found["metrics"]["cv"]["ece"] <= 0.03


def _traffic(churn: Churn) -> str:
    return (churn.home / "traffic/telco.yaml").read_text()


def _gym(path: Path, count: int = 1600) -> Path:
    """Members of a gym: nothing that a telco has."""
    generator = np.random.default_rng(5)
    visits = generator.poisson(6, count)
    club = generator.choice(["Nord", "Süd", "Ost"], count)
    fee = generator.choice([19.9, 29.9, 49.9], count)
    left = generator.random(count) < 1 / (1 + np.exp(0.5 * visits - 2 - 0.8 * (fee > 40)))
    lines = ["Member No,Visits last month,Home club,Monthly fee,has left"]
    lines += [f"{1000 + i},{visits[i]},{club[i]},{fee[i]},{int(left[i])}" for i in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _survey(path: Path, count: int = 1500) -> Path:
    """Rows without a name or a date, some of them twice."""
    generator = np.random.default_rng(6)
    score = generator.normal(0, 1, count)
    hours = np.where(generator.random(count) < 0.1, np.nan, generator.gamma(2, 3, count))
    plan = generator.choice(["free", "paid"], count)
    churned = generator.random(count) < 1 / (1 + np.exp(1.4 * score + 0.5 - (plan == "free")))
    table = pa.table({"score": score, "hours": hours, "plan": plan, "churned": churned})
    pq.write_table(pa.concat_tables([table, table.slice(0, 100)]), path)
    return path
