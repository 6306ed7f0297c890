"""From a source's names to a contract's: identifiers that a formula, Feast and this project can all use."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

from churn.domain.contract_checks import RESERVED
from churn.domain.formula import FUNCTIONS

_TAKEN = frozenset({*keyword.kwlist, *RESERVED, *FUNCTIONS, "holdout", "fold", "oof", "prediction"})
"""Python's words, formulas' functions, and columns that the steps add to tables of their own."""

_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_LONGEST = 60


def identifiers(sources: Iterable[str]) -> dict[str, str]:
    """A name of its own for each source name: lower case, words joined by underscores, accents dropped."""
    found: dict[str, str] = {}
    for position, source in enumerate(sources, 1):
        name = snake(source) or f"column_{position}"
        base = name = f"{name}_value" if name in _TAKEN else name
        number = 2
        while name in found.values():
            name, number = f"{base}_{number}", number + 1
        found[source] = name
    return found


def snake(text: str) -> str:
    """`Monthly Charges ($)` and `MonthlyCharges` as monthly_charges; empty where no letter or digit is Latin."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", _HUMPS.sub("_", plain).lower()).strip("_")[:_LONGEST].strip("_")
    return f"column_{words}" if words[:1].isdigit() else words


def model_name(text: str) -> str:
    """Lower-case letters, digits and hyphens; `churn` where none are left."""
    return snake(text).replace("_", "-") or "churn"
