from __future__ import annotations

import math

import pytest
from msgspec.structs import replace as changed

from churn.domain.contract import Bound, Contract, Gate, parse
from components.evaluate.evaluation import Check, Comparison, Rule
from components.evaluate.gate import Findings, checks, reason

CONTRACT = parse("name: shop\ntarget: {column: gone, positive: 1}\ncolumns: {age: {type: integer}}")
FINE = {"roc_auc": 0.85, "log_loss": 0.4, "ece": 0.01}


def findings(**changes: object) -> Findings:
    given: dict[str, object] = {
        "cv": FINE,
        "ece_by_chance": 0.01,
        "holdout": FINE,
        "alone": {"age": 0.6},
        "latency_ms": 0.05,
        "repeats": True,
        "batch_difference": 0.0,
        "parity": 1e-7,
        "null_parity": 1e-7,
        "comparison": None,
    }
    return Findings(**{**given, **changes})  # type: ignore[arg-type]


def gated(**gate: object) -> Contract:
    return changed(CONTRACT, gate=Gate(**gate))  # type: ignore[arg-type]


def by_name(found: tuple[Check, ...]) -> dict[str, Check]:
    return {check.check: check for check in found}


def compared(low: float, mean: float, high: float, **changes: object) -> Comparison:
    return changed(Comparison(version=7, digest="c", candidate="x", low=low, mean=mean, high=high), **changes)


def test_every_bound_of_the_contract_is_a_check_of_its_own() -> None:
    metrics = {"roc_auc": Bound(min=0.8, max=0.9), "log_loss": Bound(max=0.45)}
    found = checks(gated(metrics=metrics), findings(), "superior")

    assert [check.check for check in found] == [
        "metrics.roc_auc.min",
        "metrics.roc_auc.max",
        "metrics.log_loss.max",
        "calibration",
        "leakage",
        "latency",
        "determinism",
        "parity",
        "null_parity",
        "superior",
    ]
    assert all(check.passed for check in found)
    assert all(check.note for check in found)
    assert [check.bound for check in found[:3]] == [0.8, 0.9, 0.45]


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("metrics.roc_auc.min", {"holdout": {**FINE, "roc_auc": math.nan}}),
        ("calibration", {"cv": {**FINE, "ece": math.nan}}),
        ("leakage", {"alone": {"age": math.nan}}),
        ("latency", {"latency_ms": math.nan}),
        ("determinism", {"batch_difference": math.nan}),
        ("parity", {"parity": math.nan}),
        ("null_parity", {"null_parity": None}),
    ],
)
def test_what_is_not_a_number_passes_nothing(check: str, changes: dict[str, object]) -> None:
    found = checks(CONTRACT, findings(**changes), "superior")

    assert [one.check for one in found if not one.passed] == [check]


@pytest.mark.parametrize(
    ("check", "changes", "note"),
    [
        ("calibration", {"cv": {**FINE, "ece": 0.12}}, "calibration error (ece) out of fold 0.120 is above 0.05"),
        ("latency", {"latency_ms": 8.1}, "latency 8.1 ms is above 2 ms"),
        ("parity", {"parity": 0.2}, "largest difference between graph and estimator 0.200 is above 1e-05"),
        ("leakage", {"alone": {"age": 0.97, "fee": 0.96}}, "AUC of age, fee alone 0.970 is above 0.95"),
    ],
)
def test_a_failed_check_says_what_is_wrong_in_one_clause(check: str, changes: dict[str, object], note: str) -> None:
    found = checks(CONTRACT, findings(**changes), "superior")

    assert by_name(found)[check].note == note
    assert reason(found, FINE) == f"refused: {note}"


SUPERIOR: Rule = "superior"
NON_INFERIOR: Rule = "non-inferior"


@pytest.mark.parametrize(
    ("rule", "interval", "passed", "standing"),
    [
        (SUPERIOR, (-0.02, -0.012, -0.004), True, "better than version 7"),
        (SUPERIOR, (-0.02, -0.008, 0.001), False, "it is merely equal to version 7"),
        (SUPERIOR, (-0.01, 0.0, 0.0), False, "it is merely equal to version 7"),
        (SUPERIOR, (0.004, 0.012, 0.02), False, "it is worse than version 7"),
        (NON_INFERIOR, (-0.02, -0.012, -0.004), True, "better than version 7"),
        (NON_INFERIOR, (-0.01, 0.001, 0.004), True, "not worse than version 7 by 0.005"),
        (NON_INFERIOR, (0.001, 0.002, 0.004), True, "a little worse than version 7, by less than 0.005"),
        (NON_INFERIOR, (-0.01, 0.001, 0.005), False, "it may be worse than version 7 by 0.005 or more"),
        (NON_INFERIOR, (0.004, 0.012, 0.02), False, "it is worse than version 7"),
    ],
)
def test_the_interval_decides(rule: Rule, interval: tuple[float, float, float], passed: bool, standing: str) -> None:
    check = checks(CONTRACT, findings(comparison=compared(*interval)), rule)[-1]

    assert (check.check, check.passed, check.value) == (rule, passed, interval[2])
    assert check.note.startswith(f"{standing}: log-loss ")


@pytest.mark.parametrize(
    ("interval", "difference"),
    [
        ((-0.02, -0.012, -0.004), "better by 0.012 (95 % interval 0.004 to 0.020)"),
        ((0.004, 0.012, 0.02), "worse by 0.012 (95 % interval 0.004 to 0.020)"),
        ((-0.02, -0.008, 0.001), "better by 0.0080 (95 % interval -0.0010 to 0.0200)"),
        ((-0.01, 0.0, 0.0), "worse by 0.000 (95 % interval -0.010 to 0.000)"),
    ],
)
def test_the_difference_is_told_from_the_better_or_worse_side(
    interval: tuple[float, float, float], difference: str
) -> None:
    check = checks(CONTRACT, findings(comparison=compared(*interval)), "superior")[-1]

    assert check.note.endswith(f": log-loss {difference}")


def test_a_champion_that_cannot_be_compared_with_fails_the_check_with_the_obstacle() -> None:
    obstacle = Comparison(version=7, digest="c", candidate="x", obstacle="version 7 reads column 'fee'")
    found = checks(CONTRACT, findings(comparison=obstacle), "superior")

    assert (found[-1].passed, found[-1].value) == (False, None)
    assert reason(found, FINE) == "refused: version 7 reads column fee", "a pipeline's condition breaks on quotes"


def test_the_reason_of_a_promotion_names_the_auc_and_the_comparison() -> None:
    found = checks(CONTRACT, findings(comparison=compared(-0.02, -0.012, -0.004)), "superior")

    assert reason(found, FINE) == (
        "promoted: roc_auc 0.850 on the hold-out, better than version 7: log-loss better by 0.012 "
        "(95 % interval 0.004 to 0.020)"
    )


@pytest.mark.parametrize(
    ("by_chance", "passed", "bound"), [(0.01, False, 0.05), (0.09, True, 0.09), (0.07, False, 0.07)]
)
def test_calibration_is_allowed_what_chance_explains_on_so_few_rows(
    by_chance: float, passed: bool, bound: float
) -> None:
    found = findings(cv={**FINE, "ece": 0.08}, ece_by_chance=by_chance)
    [check] = [check for check in checks(CONTRACT, found, "superior") if check.check == "calibration"]
    assert (check.passed, check.bound) == (passed, bound)


@pytest.mark.parametrize(
    ("own", "passed"), [("2026-01-31", False), ("2026-02-01", True), ("2026-03-01T12:00:00+00:00", True)]
)
def test_a_look_back_in_time_is_refused(own: str, passed: bool) -> None:
    own = own if "T" in own else f"{own}T00:00:00+00:00"
    found = findings(as_of=own, champion_as_of="2026-02-01T00:00:00+00:00")
    [check] = [check for check in checks(CONTRACT, found, "superior") if check.check == "recency"]
    assert check.passed is passed


def test_recency_is_no_question_without_a_champion() -> None:
    assert not [
        check for check in checks(CONTRACT, findings(as_of="2026-02-01"), "superior") if check.check == "recency"
    ]
