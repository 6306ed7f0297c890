"""How to ask this server, for programs (OpenAPI 3.1) and for people: made of the contract and the code that answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import msgspec

from serving.version import Version

T = TypeVar("T")

_documents: WeakKeyDictionary[Version, bytes] = WeakKeyDictionary()
_pages: WeakKeyDictionary[Version, str] = WeakKeyDictionary()


def render(model: str, version: Version) -> bytes:
    """The OpenAPI document, as JSON."""
    from serving.openapi.document import document

    return _once(_documents, version, lambda: msgspec.json.encode(document(model, version)))


def page(model: str, version: Version) -> str:
    """The page for people: HTML without scripts, and without anything from elsewhere."""
    from serving.openapi.html import page as made

    return _once(_pages, version, lambda: made(model, version))


def _once(made: WeakKeyDictionary[Version, T], version: Version, make: Callable[[], T]) -> T:
    found = made.get(version)
    if found is None:
        found = made[version] = make()
    return found
