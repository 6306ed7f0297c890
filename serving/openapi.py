"""Placeholder until the description of requests is written."""

from __future__ import annotations

from serving.version import Version


def render(model: str, version: Version) -> bytes:
    return b"{}"


def page(model: str, version: Version) -> str:
    return ""
