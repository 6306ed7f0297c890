"""Which candidates are tried, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from churn.domain import strict_yaml
from churn.domain.contract import Candidate, Contract
from churn.domain.errors import UserError
from churn.domain.formula import nearest
from components.train import estimators


@dataclass(frozen=True)
class Pool:
    """Candidates in order of preference; `members` are there for an ensemble only and cannot be chosen.

    `left_out` says of others, by name, why they are not there."""

    candidates: tuple[Candidate, ...]
    members: frozenset[str]
    left_out: dict[str, str]


def default_candidates() -> tuple[Candidate, ...]:
    """The candidates of a contract that lists none."""
    path = Path(__file__).with_name("candidates.yaml")
    return msgspec.convert(strict_yaml.parse(path.read_text(encoding="utf-8"), path.name), tuple[Candidate, ...])


def pool(contract: Contract, wanted: Sequence[str] = ()) -> Pool:
    """The contract's candidates, or those of them that are `wanted`.

    Raises UserError for an unknown name, an ensemble of ensembles, or when nothing is left to try."""
    listed = {one.name: one for one in contract.candidates or default_candidates()}
    wanted = wanted or tuple(listed)
    for name in wanted:
        if name not in listed:
            raise UserError(f"unknown candidate '{name}'", where="candidates", remedy=nearest(name, list(listed)))
    needed = {*wanted, *(member for name in wanted for member in _members(listed, name))}
    left_out = _unavailable([one for one in listed.values() if one.name in needed])
    candidates = tuple(one for one in listed.values() if one.name in needed and one.name not in left_out)
    if not {one.name for one in candidates} & set(wanted):
        name, reason = next(iter(left_out.items()))
        raise UserError(f"no candidate can be tried here; {name} is {reason}", where="candidates")
    return Pool(candidates, frozenset(needed - set(wanted)), left_out)


def _members(listed: dict[str, Candidate], name: str) -> tuple[str, ...]:
    for member in listed[name].members:
        if listed[member].ensemble:
            problem = f"its member '{member}' is an ensemble itself"
            raise UserError(problem, where=f"candidate {name}", remedy="name that one's members")
    return listed[name].members


def _unavailable(candidates: Sequence[Candidate]) -> dict[str, str]:
    reasons = {one.name: estimators.unavailable(one) for one in candidates if not one.ensemble}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    for one in candidates:
        lacking = [member for member in one.members if member in left_out]
        if lacking:
            left_out[one.name] = f"left out: its member {lacking[0]} is"
    return left_out
