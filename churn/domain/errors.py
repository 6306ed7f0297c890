"""The one exception that means: the input is at fault, and here is what its owner can do."""

from __future__ import annotations


class UserError(Exception):
    """What was wrong, where, and what to do; `str()` is one message that says all three."""

    def __init__(self, problem: str, where: str = "", remedy: str = "") -> None:
        super().__init__(problem, where, remedy)
        self.problem = problem
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.problem}{advice}"
