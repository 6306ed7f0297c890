"""HTML pages for people: each step that makes one has its template beside it, complete in itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def template(beside: str, name: str, **filters: Callable[..., str]) -> Template:
    """The template `name` in the folder of the module `beside` (its `__file__`), with filters of its own.

    What it is given is escaped, and what it was not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(beside).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
