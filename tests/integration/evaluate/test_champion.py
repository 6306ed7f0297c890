"""The candidate against the model that serves, also where the two were made under different contracts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import spox.opset.ai.onnx.v21 as op
from spox import Var

from churn.domain import partition
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Check, Evaluation
from tests.integration.evaluate.shop import Trained, const, contract_with, customers, wrapped

Judge = Callable[..., Evaluation]
Make = Callable[..., Trained]
Serve = Callable[[Trained], None]


def check_of(found: Evaluation, name: str = "superior") -> Check:
    return next(check for check in found.gate if check.check == name)


def test_a_better_candidate_is_promoted_with_the_interval_in_the_reason(
    judge: Judge, honest: Trained, worse: Trained, serve: Serve
) -> None:
    serve(worse)
    found = judge(honest)

    compared = found.comparison
    assert found.passed
    assert compared is not None
    assert (compared.version, compared.candidate, compared.digest) == (3, "stumps", worse.digest)
    assert compared.low is not None
    assert compared.mean is not None
    assert compared.high is not None
    assert compared.low < compared.mean < compared.high < 0
    assert check_of(found).value == compared.high
    assert check_of(found).bound == 0
    by = f"by {-compared.mean:.3f} (95 % interval {-compared.high:.3f} to {-compared.low:.3f})"
    assert found.reason.endswith(f"on the hold-out, better than version 3: log-loss better {by}")


def test_both_are_measured_on_the_same_rows(judge: Judge, honest: Trained, worse: Trained, serve: Serve) -> None:
    serve(worse)
    found, alone = judge(honest), judge(worse)

    assert found.comparison is not None
    assert found.comparison.rows == found.data.holdout
    assert found.comparison.metrics == pytest.approx(alone.metrics["holdout"])
    difference = found.metrics["holdout"]["log_loss"] - alone.metrics["holdout"]["log_loss"]
    assert found.comparison.mean == pytest.approx(difference), (
        "one row a customer: the mean of rows is that of customers"
    )


@pytest.mark.parametrize("rule", ["superior", "non-inferior"])
def test_the_champion_itself_is_merely_equal_under_every_rule(
    judge: Judge, honest: Trained, serve: Serve, rule: str
) -> None:
    serve(honest)
    found = judge(honest, comparison=rule)

    assert not found.passed
    assert found.reason == "refused: it is merely equal to version 3: the same bundle"


def test_the_same_predictions_are_merely_equal_and_only_good_enough_for_non_inferior(
    judge: Judge, honest: Trained, serve: Serve, make: Make
) -> None:
    """Other costs make another bundle, whose threshold may be worth having, but no better predictions."""
    serve(honest)
    costly = make(contract_with(costs={"contact": 30}))
    assert costly.digest != honest.digest

    superior, non_inferior = judge(costly), judge(costly, comparison="non-inferior")

    assert superior.reason == "refused: it is merely equal to version 3: the same predictions on the hold-out"
    assert non_inferior.passed
    assert check_of(non_inferior, "non-inferior").bound == 0.005


def test_a_difference_within_the_noise_is_merely_equal(judge: Judge, honest: Trained, serve: Serve, make: Make) -> None:
    serve(honest)
    other = make(contract_with(derived={"is_new": None}))
    found = judge(other)

    assert found.comparison is not None
    assert found.comparison.low is not None
    assert found.comparison.high is not None
    assert found.comparison.low < 0 < found.comparison.high
    assert found.reason.startswith("refused: it is merely equal to version 3: log-loss ")
    assert judge(other, comparison="non-inferior").passed


def test_the_rule_of_the_contract_holds_unless_the_run_overrides_it(
    judge: Judge, honest: Trained, serve: Serve, make: Make
) -> None:
    serve(honest)
    lenient = make(contract_with(gate={"comparison": "non-inferior"}))

    assert judge(lenient).passed
    assert not judge(lenient, comparison="superior").passed
    with pytest.raises(UserError, match="unknown rule 'better'"):
        judge(lenient, comparison="better")


def test_a_column_the_champion_reads_and_the_contract_lacks_fails_the_comparison_with_its_name(
    judge: Judge, honest: Trained, serve: Serve, make: Make
) -> None:
    serve(honest)
    found = judge(make(contract_with(columns={"calls": None})))

    check = check_of(found)
    assert not check.passed
    assert check.value is None
    assert "version 3 cannot score these rows: it reads column calls, which this contract lacks" in found.reason


def test_the_champion_finds_a_renamed_column_by_its_name_in_the_source(
    judge: Judge, worse: Trained, serve: Serve, make: Make, table: pa.Table
) -> None:
    serve(worse)
    renamed = contract_with(columns={"calls": None, "contacts": {"type": "integer", "source": "Calls made"}})
    names = ["contacts" if name == "calls" else name for name in table.column_names]
    found = judge(make(renamed, table.rename_columns(names)))

    assert found.comparison is not None
    assert found.comparison.metrics == pytest.approx(judge(worse).metrics["holdout"])


def test_a_category_new_to_the_champion_is_null_to_it_and_counted(
    judge: Judge, honest: Trained, serve: Serve, make: Make, table: pa.Table
) -> None:
    serve(honest)
    key = table["customer"].to_numpy()
    region = np.where(key % 4 == 0, "west", table["region"].to_numpy())
    wider = contract_with(columns={"region": {"type": "category", "categories": ["north", "south", "west"]}})
    moved = table.set_column(table.column_names.index("region"), "region", pa.array(region))
    trained = make(wider, moved)
    found = judge(trained)

    scored = pq.read_table(trained.scored)
    held = scored.filter(scored["holdout"])
    assert found.comparison is not None
    assert found.comparison.unknown == pc.sum(pc.equal(held["region"], "west")).as_py()
    assert found.comparison.metrics["roc_auc"] is not None


def test_the_champion_reads_values_as_its_own_contract_spells_them(
    judge: Judge, worse: Trained, serve: Serve, make: Make, table: pa.Table
) -> None:
    spelled = {"type": "category", "categories": ["basic", "plus", "pro"], "cleaning": {"spelling": {"Basic": "basic"}}}
    old = make(contract_with(columns={"plan": spelled}))
    serve(old)
    capital = pa.array(["Basic" if plan == "basic" else plan for plan in table["plan"].to_pylist()])
    new_contract = contract_with(columns={"plan": {"type": "category", "categories": ["Basic", "plus", "pro"]}})
    new = table.set_column(table.column_names.index("plan"), "plan", capital)
    found = judge(make(new_contract, new))

    assert found.comparison is not None
    assert found.comparison.unknown == 0
    assert found.comparison.identical


def test_a_number_that_became_a_category_fails_the_comparison_with_its_name(
    judge: Judge, honest: Trained, serve: Serve, make: Make, table: pa.Table
) -> None:
    serve(honest)
    calls = {"type": "category", "categories": ["few", "many"], "source": "Calls made"}
    often = pa.array(np.where(table["calls"].to_numpy() > 2, "many", "few"))
    position = table.column_names.index("calls")
    found = judge(make(contract_with(columns={"calls": calls}), table.set_column(position, "calls", often)))

    assert not check_of(found).passed
    assert "column calls is a number to it, a category here" in found.reason


def test_a_category_that_became_a_number_fails_the_comparison_with_its_name(
    judge: Judge, honest: Trained, serve: Serve, make: Make, table: pa.Table
) -> None:
    serve(honest)
    level = pa.array([["basic", "plus", "pro"].index(plan) for plan in table["plan"].to_pylist()])
    position = table.column_names.index("plan")
    contract = contract_with(columns={"plan": {"type": "integer"}})
    found = judge(make(contract, table.set_column(position, "plan", level)))

    assert not check_of(found).passed
    assert "it knows no value of column plan" in found.reason


def test_a_model_that_gives_no_number_is_neither_compared_with_nor_judged(
    judge: Judge, honest: Trained, serve: Serve, make: Make
) -> None:
    def silent(probability: Var, rows: Var) -> Var:
        return op.where(op.greater(probability, const(0.9)), const(np.nan), probability)

    broken = make(changed=lambda model: wrapped(model, silent))
    serve(broken)

    assert re.search(
        r"version 3 cannot score these rows: it gives no number for \d+ of 7\d\d rows", judge(honest).reason
    )
    with pytest.raises(RuntimeError, match="gives no number for"):
        judge(broken)


def test_customers_the_champion_was_trained_on_do_not_count(judge: Judge, serve: Serve, make: Make) -> None:
    serve(make(contract_with(training={"holdout": 0.1})))
    found = judge(make(contract_with(training={"holdout": 0.2})))

    assert found.comparison is not None
    assert 400 < found.comparison.rows < 600, "a tenth of all: the old hold-out"
    assert found.data.holdout > 900


def test_a_champion_trained_on_every_customer_of_the_holdout_cannot_be_compared_with(
    judge: Judge, serve: Serve, make: Make, table: pa.Table
) -> None:
    serve(make(contract_with(training={"holdout": 0.01})))
    known = pc.invert(pa.array(partition.holdout(table["customer"], 0.01)))
    found = judge(make(rows=table.filter(known)))

    assert found.reason == "refused: version 3 was trained on all of these customers"


def test_several_months_of_a_customer_are_one_piece_of_evidence(judge: Judge, serve: Serve, make: Make) -> None:
    """The same rows four times over: nothing new is known, so the interval must not shrink."""
    table = customers(3000)
    four = pa.concat_tables([table] * 4)
    narrow = contract_with(columns={"region": None, "calls": None})
    serve(make(narrow, table))
    wide = [
        judge(make(contract_with(columns={"region": None}), rows)).comparison
        for name, rows in (("once", table), ("four", four))
    ]

    widths = [one.high - one.low for one in wide if one and one.high is not None and one.low is not None]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_a_champion_whose_bundle_was_changed_is_not_compared_with(
    judge: Judge, honest: Trained, worse: Trained, serve: Serve, settings: Settings
) -> None:
    serve(worse)
    traffic = open_traffic(settings).read("shop")
    assert traffic is not None
    model = Path(traffic.champion.bundle) / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")

    with pytest.raises(UserError, match=r"model\.onnx is missing or has changed"):
        judge(honest)
    shutil.rmtree(traffic.champion.bundle)
    with pytest.raises(UserError, match="there is no such object"):
        judge(honest)
