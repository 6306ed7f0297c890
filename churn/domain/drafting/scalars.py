"""Values as YAML, so that the reader of contracts reads back the same value of the same type."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from churn.domain.contract import Text

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*([ ./()-]+[A-Za-z0-9_()]+)*")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def scalar(value: Text) -> str:
    """A text, number or truth value on one line; text in quotes where YAML would take it for something else."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    style = '"' if isinstance(value, str) else None
    return str(yaml.safe_dump(value, default_style=style, allow_unicode=True, width=2**30)).split("\n", 1)[0]


def sequence(values: Iterable[Text]) -> str:
    """A list on one line."""
    return f"[{', '.join(scalar(value) for value in values)}]"


def mapping(pairs: Iterable[tuple[str, Text]]) -> str:
    """A mapping on one line."""
    return f"{{{', '.join(f'{scalar(key)}: {scalar(value)}' for key, value in pairs)}}}"


def quoted(text: str, most: int = 60) -> str:
    """A text for a comment: in quotes, on one line, not too long."""
    shown = text if len(text) <= most else f"{text[:most]}..."
    return f"'{shown}'" if shown.isprintable() else repr(shown)
