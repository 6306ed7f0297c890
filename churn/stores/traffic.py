"""The traffic document: what serves a model, in one small YAML file (design, decision 9)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from churn.domain import strict_yaml
from churn.domain.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEADER = "# What serves this model. Written by promotion and rollout, watched by the predictor.\n"

MOST_VERSION, LAST_REVISION = 2**31 - 1, 2**63 - 1
"""A version is what the database's columns hold, a revision what 64 bits do."""

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[dt.datetime, Meta(tz=True)]
Mode = Literal["split", "shadow"]


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registered version: its number, its bundle's digest, and the address of the bundle's folder."""

    version: Annotated[int, Meta(ge=1, le=MOST_VERSION)]
    digest: Digest
    bundle: Annotated[str, Meta(min_length=1)]


class Traffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers. The challenger gets `share` of the customers: their answers (`split`), or a copy (`shadow`).

    `previous` is the champion before this one, for rollback; `revision` counts the writes. `champion_since` is when the
    champion took over, `lineup_since` when anything was last changed of who answers whom: the store sets both."""

    model: str
    champion: Variant
    challenger: Variant | None = None
    share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    mode: Mode = "split"
    previous: Variant | None = None
    revision: Annotated[int, Meta(ge=0, le=LAST_REVISION)] = 0
    champion_since: Moment | None = None
    lineup_since: Moment | None = None

    def __post_init__(self) -> None:
        if self.challenger is None and self.share:
            raise ValueError("`share` is given, but no `challenger`")
        if self.challenger is not None and self.challenger.digest == self.champion.digest:
            raise ValueError("`challenger` and `champion` are the same bundle")


def promoted(current: Traffic | None, model: str, variant: Variant) -> Traffic:
    """The document after a promotion: a new champion, the old one kept for rollback, no challenger.

    A champion promoted again changes nothing, so that a run killed after the switch can be repeated."""
    if current is None:
        return Traffic(model, variant)
    if current.champion.digest == variant.digest:
        return current
    return Traffic(model, variant, previous=current.champion, revision=current.revision)


def challenged(current: Traffic, variant: Variant, share: float, mode: Mode = "split") -> Traffic:
    """The document with a challenger for a share of the customers, in the place of any other.

    Raises UserError for a share of nobody or of more than all, and for the champion itself."""
    if not 0 < share <= 1:
        raise UserError(f"{share:g} is no share of the customers", remedy="give more than 0 and at most 1")
    if variant.digest == current.champion.digest:
        raise UserError(f"version {variant.version} is the champion already", where=f"model {current.model}")
    return replace(current, challenger=variant, share=share, mode=mode)


def withdrawn(current: Traffic) -> Traffic:
    """The document without its challenger."""
    return replace(current, challenger=None, share=0.0, mode="split")


def returned(current: Traffic) -> Traffic:
    """The document with the predecessor in charge again, and nobody beside it.

    It keeps no predecessor of its own: a second return would lead to what was just left.
    Raises UserError when there is no predecessor."""
    if current.previous is None:
        problem = f"version {current.champion.version} has no predecessor to return to"
        remedy = "start another version with `churn rollout start`, or train one"
        raise UserError(problem, where=f"model {current.model}", remedy=remedy)
    return Traffic(current.model, current.previous, revision=current.revision)


def dated(document: Traffic, former: Traffic | None, now: dt.datetime) -> Traffic:
    """`document` with the times since when what it says is so, given the one before it."""
    champion, lineup = (former.champion_since, former.lineup_since) if former else (None, None)
    if former is None or former.champion != document.champion:
        champion = now
    if former is None or _lineup(former) != _lineup(document):
        lineup = now
    return replace(document, champion_since=champion, lineup_since=lineup)


def _lineup(document: Traffic) -> tuple[Variant, Variant | None, float, str]:
    return document.champion, document.challenger, document.share, document.mode


def checked_model(name: str) -> str:
    """`name`, when it can be a file's everywhere. Raises UserError otherwise."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a model", remedy="use letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return name


def file_name(model: str) -> str:
    """The name of a model's document. Raises UserError for a name that cannot be a file's."""
    return f"{checked_model(model)}.yaml"


def encode(document: Traffic) -> bytes:
    """The document as YAML."""
    return _HEADER.encode() + msgspec.yaml.encode(document)


def decode(content: bytes, where: str, model: str) -> Traffic:
    """The document in a YAML text. Raises UserError naming `where` and the field for anything else."""
    try:
        document = msgspec.convert(strict_yaml.parse(content.decode(), where), Traffic)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"is no traffic document: {error}", where, "correct it, or promote a model anew") from error
    if document.model != model:
        raise UserError(f"speaks of the model '{document.model}', not of '{model}'", where)
    return document
