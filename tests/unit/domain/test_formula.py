from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import formula
from churn.domain.errors import UserError

SCOPE: formula.Scope = {
    "tenure": "number",
    "charge": "number",
    "is_new": "flag",
    "plan": ("basic", "gold"),
}


def parse(text: str) -> formula.Formula:
    return formula.parse(text, SCOPE, "here")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("tenure / 12 + 1", "number"),
        ("-tenure ** 2", "number"),
        ("log1p(tenure)", "number"),
        ("min(tenure, charge, 3)", "number"),
        ("0 if tenure == 0 else charge / tenure", "number"),
        ('count(plan == "gold", is_new)', "number"),
        ("tenure < 6", "condition"),
        ('plan == "gold" and not is_new', "condition"),
        ('plan not in ("gold", "basic") or tenure != 1', "condition"),
        ("tenure * is_new", "number"),
    ],
)
def test_a_formula_knows_what_it_gives(text: str, kind: str) -> None:
    assert parse(text).kind == kind


def test_a_formula_knows_the_names_it_reads() -> None:
    assert parse('charge / max(tenure, 1) if plan == "gold" else 0').names == {"charge", "tenure", "plan"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tenor + 1", "did you mean 'tenure'?"),
        ("lgo(tenure)", "did you mean 'log'?"),
        ('plan == "golden"', "did you mean 'gold'?"),
        ("plan + 1", "is a category, not a number"),
        ("plan < tenure", "is a category"),
        ('plan < "gold"', "is a category"),
        ("1 < tenure < 3", "chained"),
        ("log(tenure, 2)", "takes 1 arguments"),
        ("count(tenure)", "is not a condition"),
        ("tenure and charge", "is not a condition"),
        ("tenure if charge else 1", "is not a condition"),
        ("'text'", "is not allowed"),
        ("tenure.real", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("__import__('os').system('true')", "is not allowed"),
        ("[tenure for tenure in charge]", "is not allowed"),
        ("tenure +", "is not an expression"),
        ("tenure; charge", "is not an expression"),
        ("tenure := 3", "is not an expression"),
        ("", "is not an expression"),
        ("log(x=tenure)", "is not allowed"),
        ("tenure % 2", "is not allowed"),
        ("tenure in (1, 2)", "is not allowed"),
        ("1j + tenure", "is not allowed"),
    ],
)
def test_what_is_no_formula_is_refused_with_advice(text: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(text)
    assert says in str(refused.value)
    assert refused.value.where == "here"


def test_an_endless_formula_is_refused() -> None:
    with pytest.raises(UserError, match="longer than"):
        parse("tenure" + " + tenure" * 400)


def test_a_deep_formula_is_refused_and_does_not_crash() -> None:
    with pytest.raises(UserError):
        parse("(" * 900 + "tenure" + ")" * 900)


@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    with contextlib.suppress(UserError):
        parse(text)
