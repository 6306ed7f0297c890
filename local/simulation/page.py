"""A simulated year as one HTML page: no scripts, nothing fetched from elsewhere, light and dark."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from local.simulation import words
from local.simulation.accounts import SYSTEMS
from local.simulation.run import Year


def render(year: Year, picture: bytes) -> str:
    """The whole page with the PNG in it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": words.money, "auc": words.auc, "percent": words.percent, "moment": words.moment}
    return environment.get_template("page.html.j2").render(
        year=year, found=year.summary, systems=SYSTEMS, picture=base64.b64encode(picture).decode()
    )
