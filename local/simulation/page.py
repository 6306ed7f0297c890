"""A simulated year as one HTML page: no scripts, nothing fetched from elsewhere, light and dark."""

from __future__ import annotations

import base64

from components.pages import template
from local.simulation import words
from local.simulation.accounts import SYSTEMS
from local.simulation.run import Year


def render(year: Year, picture: bytes) -> str:
    """The whole page with the PNG in it."""
    page = template(
        __file__, "page.html.j2", money=words.money, auc=words.auc, percent=words.percent, moment=words.moment
    )
    return page.render(year=year, found=year.summary, systems=SYSTEMS, picture=base64.b64encode(picture).decode())
