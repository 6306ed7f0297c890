"""Parts that the descriptions of all addresses are put together from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serving.openapi import refusals
from serving.openapi.fields import Schema

Operation = dict[str, Any]

JSON = "application/json"


def operation(name: str, tag: str, summary: str, responses: dict[str, Any], **more: Any) -> Operation:
    """One method of one address."""
    return {"operationId": name, "tags": [tag], "summary": summary, **more, "responses": responses}


def responses(answer: Schema | None, refused: Iterable[int], *, inference: bool = False) -> dict[str, Any]:
    """What may come back: the answer, and refusals in the form of v1 or of open `inference`."""
    found = {"200": answer} if answer else {}
    return found | refusals.of({*refusals.ANYWHERE, *refused}, inference=inference)


def answer(schema: Schema, media: str = JSON) -> Schema:
    """What comes back when all is well."""
    return {"description": "Done.", "headers": refusals.usual(), "content": {media: {"schema": schema}}}


def closed(properties: dict[str, Any]) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def header(name: str, said: str, kind: str = "string") -> dict[str, Any]:
    """A header that a request may have."""
    return {"name": name, "in": "header", "required": False, "description": said, "schema": {"type": kind}}
