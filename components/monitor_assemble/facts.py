"""What is known of a window beside its rows: the shape of `facts.json`, which goes from step to step."""

from __future__ import annotations

import datetime as dt

import msgspec

from churn.domain.drift.verdict import Bounds

CONTRACT = b"churn.contract"
"""The key in a table's schema under which the digest of its contract stands."""


class Share(msgspec.Struct, frozen=True):
    """Rows of the window that a version answered; `shadow` ones were copies, whose answers nobody saw."""

    version: int
    variant: str
    shadow: bool
    rows: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`since` to `as_of` is the window, `trained_to` the time up to which the champion's training saw things.

    `promoted` has each version's hold-out metrics at promotion, `importance` the champion's of each column, both as
    far as they are known. `rows` were logged in the window by customers or without an id, shadows left out; of a
    customer who asked more than once the newest counts. `foreign` rows were of another contract, and `nameless`
    predictions can never meet an outcome. `gone` had left before they were asked about: clocks differ, or somebody
    asks about customers who are no more."""

    model: str
    contract: str
    version: int
    digest: str
    threshold: float
    horizon_days: int
    since: dt.datetime
    as_of: dt.datetime
    trained_to: dt.datetime | None
    promoted: dict[int, dict[str, float]]
    importance: dict[str, float]
    bounds: Bounds
    traffic: tuple[Share, ...]
    rows: int
    foreign: int
    nameless: int
    gone: int
    positive_rate: float | None
    positive_rate_before: float
