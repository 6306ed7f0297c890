"""What a year leaves behind: the picture, the page, and last the JSON, each of them whole or not there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from churn.stores import files
from local.simulation import page, picture
from local.simulation.run import Year


def written(year: Year, folder: Path) -> Year:
    """Writes `year.png`, `year.html` and `year.json`; gives the year with their paths."""
    places = {
        name: folder / f"year.{suffix}" for name, suffix in (("picture", "png"), ("page", "html"), ("json", "json"))
    }
    year = msgspec.structs.replace(year, artifacts={name: str(place) for name, place in places.items()})
    with TemporaryDirectory() as temporary:
        drawn = Path(temporary, "year.png")
        picture.draw(year, drawn)
        image = drawn.read_bytes()
    _appear(places["picture"], image)
    _appear(places["page"], page.render(year, image).encode())
    _appear(places["json"], msgspec.json.format(msgspec.json.encode(year), indent=2))
    return year


def _appear(file: Path, content: bytes) -> None:
    with files.staged(file.parent / "home" / ".staging") as temporary:
        temporary.write_bytes(content)
        files.publish(temporary, file)
