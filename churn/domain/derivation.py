"""The derivation: every feature of a contract as one ONNX graph, the same for a million rows and for one request.

Input `columns`, float64 (n, k): the contract's columns in order, null as NaN, categories as codes.
Output `features`, float64 (n, k + d): the columns with their constants filled in, then the derived features.
Output `fault`, bool (n, d): a derived value that is not finite (as a float32, which models see) although none of its
inputs was null.

Logarithms, exponentials and powers are given to float32's precision: vectorised code for them differs from the scalar
one in the last bit of a float64, and a row must have the same features alone and among a million."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
from spox import Var

from churn.domain import formula
from churn.domain.contract import Contract
from churn.domain.contract_checks import check_formulas
from churn.domain.errors import UserError
from churn.domain.graph import Graph

Matrix = npt.NDArray[np.float64]

_LARGEST = float(np.finfo(np.float32).max)


class Derivation:
    """A contract's features, compiled. Building takes some milliseconds; running is thread-safe."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The graph alone, as it is stored in a bundle."""
        columns = input_columns(self.contract)
        features, fault = build(self.contract, columns)
        return spox.build(inputs={"columns": columns}, outputs={"features": features, "fault": fault})

    @cached_property
    def _graph(self) -> Graph:
        return Graph(self.model.SerializeToString())

    def run(self, columns: Matrix, first_row: int = 1) -> Matrix:
        """Features (n, k + d) of columns (n, k), whose rows people count from `first_row`.

        Raises UserError that names feature, column and row of the first derived value that is not finite."""
        features, fault = self._graph.run(columns)
        if fault.any():
            raise self._explain(columns, fault, first_row)
        return features

    def _explain(self, columns: Matrix, fault: npt.NDArray[np.bool_], first_row: int) -> UserError:
        row, position = (int(i) for i in np.argwhere(fault)[0])
        name = tuple(self.contract.derived)[position]
        derived = self.contract.derived[name]
        text = derived.formula or derived.flag or derived.bin
        reads = sorted(sources(self.contract)[name], key=self.contract.raw.index)
        values = ", ".join(f"{column} = {columns[row, self.contract.raw.index(column)]:g}" for column in reads)
        return UserError(
            f"'{text}' has no finite value in row {first_row + row} ({values})",
            where=f"feature {name}, column {', '.join(reads)}",
            remedy="guard the formula, like 0 if tenure == 0 else total / tenure",
        )


def input_columns(contract: Contract) -> Var:
    """The graph's one input."""
    return spox.argument(spox.Tensor(np.float64, ("n", len(contract.raw))))


def build(contract: Contract, columns: Var) -> tuple[Var, Var]:
    """Nodes for `features` (n, k + d) and `fault` (n, d) over the `columns` (n, k)."""
    filled = _fill_constants(contract, columns)
    if not contract.derived:
        return filled, op.cast(op.slice(filled, _ints(0), _ints(0), _ints(1)), to=np.bool_)
    split = op.split(filled, num_outputs=len(contract.raw), axis=1)
    scope = dict(zip(contract.raw, split, strict=True))
    for name, parsed in check_formulas(contract, contract.name).items():
        scope[name] = _feature(contract, name, _Compiler(contract, scope).value(parsed.tree))
    derived = op.concat([scope[name] for name in contract.derived], axis=1)
    null = _null_inputs(contract, filled)
    masked = op.where(null, op.const(np.array(np.nan)), derived)
    finite = op.less_or_equal(op.abs(derived), op.const(np.array(_LARGEST)))
    fault = op.not_(op.or_(finite, null))
    return op.concat([filled, masked], axis=1), fault


def sources(contract: Contract) -> dict[str, frozenset[str]]:
    """For each derived feature the raw columns it depends on, through other derived ones too."""
    found: dict[str, frozenset[str]] = {name: frozenset({name}) for name in contract.raw}
    for name, parsed in check_formulas(contract, contract.name).items():
        found[name] = frozenset().union(*(found[needed] for needed in parsed.names))
    return {name: found[name] for name in contract.derived}


def _ints(*values: int) -> Var:
    return op.const(np.array(values, np.int64))


def _fill_constants(contract: Contract, columns: Var) -> Var:
    constants = np.full((1, len(contract.raw)), np.nan)
    for position, column in enumerate(contract.columns.values()):
        value = column.cleaning.constant
        if value is not None:
            constants[0, position] = column.categories.index(str(value)) if column.categories else float(value)
    if np.isnan(constants).all():
        return columns
    return op.where(op.isnan(columns), op.const(constants), columns)


def _null_inputs(contract: Contract, filled: Var) -> Var:
    """bool (n, d): whether any raw column a derived feature depends on is null."""
    needs = np.zeros((len(contract.raw), len(contract.derived)), np.float32)
    for position, reads in enumerate(sources(contract).values()):
        needs[[contract.raw.index(column) for column in reads], position] = 1
    nulls = op.cast(op.isnan(filled), to=np.float32)
    return op.greater(op.matmul(nulls, op.const(needs)), op.const(np.array(0, np.float32)))


def _feature(contract: Contract, name: str, value: Var) -> Var:
    derived = contract.derived[name]
    if derived.bin:
        reached = op.greater_or_equal(value, op.const(np.array([derived.edges], np.float64)))
        return op.reduce_sum(op.cast(reached, to=np.float64), _ints(1), keepdims=1)
    return value


class _Compiler:
    """Turns a checked tree into nodes; a condition becomes a number only where a number is wanted."""

    def __init__(self, contract: Contract, scope: dict[str, Var]) -> None:
        self.contract, self.scope = contract, scope

    def value(self, node: ast.expr) -> Var:
        """float64 (n, 1)."""
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return op.const(np.array([[number]], np.float64))
            case ast.Name(id=name):
                return self.scope[name]
            case ast.BinOp(left=left, op=operator, right=right):
                return _ARITHMETIC[type(operator)](self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return op.neg(self.value(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return op.where(self.condition(test), self.value(body), self.value(orelse))
            case ast.Call(func=ast.Name(id="count"), args=args):
                return op.sum([self.value(arg) for arg in args])
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name]([self.value(arg) for arg in args])
        return op.cast(self.condition(node), to=np.float64)

    def condition(self, node: ast.expr) -> Var:
        """bool (n, 1)."""
        match node:
            case ast.BoolOp(op=operator, values=values):
                join = op.and_ if isinstance(operator, ast.And) else op.or_
                result = self.condition(values[0])
                for value in values[1:]:
                    result = join(result, self.condition(value))
                return result
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return op.not_(self.condition(operand))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                if isinstance(left, ast.Name) and formula.literals(right):
                    return self._one_of(left.id, operator, formula.literals(right))
                return _COMPARISONS[type(operator)](self.value(left), self.value(right))
        return op.not_(op.equal(self.value(node), op.const(np.array(0.0))))

    def _one_of(self, name: str, operator: ast.cmpop, values: list[str]) -> Var:
        labels = self.contract.labels(name) or ()
        codes = [op.equal(self.scope[name], op.const(np.array(float(labels.index(value))))) for value in values]
        result = codes[0]
        for code in codes[1:]:
            result = op.or_(result, code)
        return op.not_(result) if isinstance(operator, ast.NotEq | ast.NotIn) else result


def _rounded(value: Var) -> Var:
    return op.cast(op.cast(value, to=np.float32), to=np.float64)


_ARITHMETIC: dict[type[ast.operator], Callable[[Var, Var], Var]] = {
    ast.Add: op.add,
    ast.Sub: op.sub,
    ast.Mult: op.mul,
    ast.Div: op.div,
    ast.Pow: lambda base, power: _rounded(op.pow(base, power)),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Var, Var], Var]] = {
    ast.Lt: op.less,
    ast.LtE: op.less_or_equal,
    ast.Gt: op.greater,
    ast.GtE: op.greater_or_equal,
    ast.Eq: op.equal,
    ast.NotEq: lambda left, right: op.not_(op.equal(left, right)),
}
_FUNCTIONS: dict[str, Callable[[list[Var]], Var]] = {
    "abs": lambda args: op.abs(args[0]),
    "ceil": lambda args: op.ceil(args[0]),
    "exp": lambda args: _rounded(op.exp(args[0])),
    "floor": lambda args: op.floor(args[0]),
    "log": lambda args: _rounded(op.log(args[0])),
    "log1p": lambda args: _rounded(op.log(op.add(args[0], op.const(np.array(1.0))))),
    "max": op.max,
    "min": op.min,
    "sqrt": lambda args: op.sqrt(args[0]),
}
