"""What a person sees: results on stdout, everything else on stderr; JSON when a program asks."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape

from churn.domain.errors import UserError
from local.runner.records import StepFailed

_PIPED = 120
"""Columns where nobody's terminal sets them."""

out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED)
err = Console(stderr=True, highlight=False)


def tell(text: str) -> None:
    """A line beside the result."""
    err.print(escape(text))


def document(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def fail(error: Exception, *, as_json: bool) -> None:
    """What went wrong, in one message; with its traceback only where nobody foresaw it."""
    if isinstance(error, UserError):
        told = {"problem": error.problem, "where": error.where, "remedy": error.remedy}
    else:
        told = {"problem": _message(error), "where": "", "remedy": ""}
    if as_json:
        document({"status": "FAILED", "error": told})
    if not isinstance(error, UserError | StepFailed):
        err.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True)
    err.print(f"[bold red]error:[/] {escape(_message(error))}", soft_wrap=True)


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, UserError | StepFailed) else f"{type(error).__name__}: {error}"
