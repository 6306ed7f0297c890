"""Formulas: Python's expression syntax, a short list of functions, names of columns. Parsed, checked, never evaluated.

tenure / 12 + log1p(total_charges)          a number
contract == "Two year" and tenure < 6       a condition
0 if tenure == 0 else total_charges / tenure
count(streaming_tv == "Yes", streaming_movies == "Yes")
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from churn.domain.errors import UserError

Kind = Literal["number", "condition", "category"]

FUNCTIONS: dict[str, tuple[int, int]] = {
    "abs": (1, 1),
    "ceil": (1, 1),
    "count": (1, 64),
    "exp": (1, 1),
    "floor": (1, 1),
    "log": (1, 1),
    "log1p": (1, 1),
    "max": (2, 64),
    "min": (2, 64),
    "sqrt": (1, 1),
}
"""The functions a formula may call, with the least and most arguments each takes."""

OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_LONGEST = 2_000


@dataclass(frozen=True)
class Formula:
    """A checked expression: its tree, the names it reads, and what it gives."""

    text: str
    tree: ast.expr
    names: frozenset[str]
    kind: Kind


def nearest(name: str, known: list[str]) -> str:
    """Advice that names the closest known name, or lists a few."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(sorted(known)[:40])}" if known else ""


Scope = Mapping[str, tuple[str, ...] | Literal["number", "flag"]]
"""What each name is: a number, a flag (also usable as a condition), or a category with these values."""


def parse(text: str, scope: Scope, where: str) -> Formula:
    """The formula in `text`, over the names in `scope`.

    Raises UserError naming `where` for syntax that is not allowed, an unknown name, function or category, or operands
    that do not fit."""
    if len(text) > _LONGEST:
        raise UserError(f"longer than {_LONGEST} characters", where=where, remedy="split it into several features")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"'{text}' is not an expression", where=where, remedy=str(error)) from error
    checker = _Checker(text, scope, where)
    kind = checker.kind(tree)
    return Formula(text, tree, frozenset(checker.names), kind)


class _Checker:
    """Walks the tree once, finds the kind of every node, and collects names."""

    def __init__(self, text: str, scope: Scope, where: str) -> None:
        self.text, self.scope, self.where = text, scope, where
        self.names: set[str] = set()

    def fail(self, problem: str, remedy: str = "") -> UserError:
        return UserError(f"{problem} in '{self.text}'", where=self.where, remedy=remedy)

    def kind(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant(value=bool() | int() | float()):
                return "number"
            case ast.Name(id=name):
                return self._name(name)
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, OPERATORS):
                self._numbers(left, right)
                return "number"
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self._numbers(operand)
                return "number"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._condition(operand)
                return "condition"
            case ast.BoolOp(values=values):
                for value in values:
                    self._condition(value)
                return "condition"
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self._condition(test)
                self._numbers(body, orelse)
                return "number"
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args)
        raise self.fail(
            f"'{ast.unparse(node)}' is not allowed", "arithmetic, comparisons, and/or/not, if-else, functions"
        )

    def _name(self, name: str) -> Kind:
        if name not in self.scope:
            raise self.fail(f"unknown name '{name}'", nearest(name, list(self.scope)))
        self.names.add(name)
        return "number" if isinstance(self.scope[name], str) else "category"

    def _numbers(self, *nodes: ast.expr) -> None:
        for node in nodes:
            if self.kind(node) == "category":
                raise self.fail(f"'{ast.unparse(node)}' is a category, not a number", "compare it with == or in")

    def _condition(self, node: ast.expr) -> None:
        flag = isinstance(node, ast.Name) and self.scope.get(node.id) == "flag"
        if self.kind(node) != "condition" and not flag:
            raise self.fail(f"'{ast.unparse(node)}' is not a condition", "compare it with something")

    def _call(self, name: str, args: list[ast.expr]) -> Kind:
        if name not in FUNCTIONS:
            raise self.fail(f"unknown function '{name}'", nearest(name, list(FUNCTIONS)))
        least, most = FUNCTIONS[name]
        if not least <= len(args) <= most:
            raise self.fail(f"'{name}' takes {least if least == most else f'{least} to {most}'} arguments")
        for arg in args:
            self._condition(arg) if name == "count" else self._numbers(arg)
        return "number"

    def _compare(self, node: ast.Compare) -> Kind:
        if len(node.ops) != 1:
            raise self.fail("a chained comparison is not allowed", "join two with 'and'")
        left, op, right = node.left, node.ops[0], node.comparators[0]
        if self.kind(left) == "category":
            if not isinstance(left, ast.Name):
                raise self.fail(f"'{ast.unparse(left)}' is not a column")
            self._categories(left.id, op, right)
        elif isinstance(op, COMPARISONS):
            self._numbers(left, right)
        else:
            raise self.fail(f"'{ast.unparse(node)}' is not allowed", "numbers compare with < <= > >= == !=")
        return "condition"

    def _categories(self, name: str, op: ast.cmpop, right: ast.expr) -> None:
        values = literals(right)
        fits = isinstance(op, ast.Eq | ast.NotEq) and isinstance(right, ast.Constant)
        if not values or not (fits or (isinstance(op, ast.In | ast.NotIn) and not isinstance(right, ast.Constant))):
            raise self.fail(f"'{name}' is a category", f'{name} == "value", or {name} in ("a", "b")')
        known = list(self.scope[name])
        for value in values:
            if value not in known:
                raise self.fail(f"'{name}' has no category '{value}'", nearest(value, known))


def literals(node: ast.expr) -> list[str]:
    """The texts of a string literal or of a tuple of them; empty for anything else."""
    nodes = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    values = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return values if len(values) == len(nodes) else []
