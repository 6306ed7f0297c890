"""The verdict on a challenger, from what the log, the outcomes and Prometheus know of it now."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping

import msgspec

from churn.domain import bundle as bundles
from churn.domain.bundle import Bundle
from churn.domain.errors import UserError
from churn.domain.rollout.evidence import Evidence, Rules
from churn.domain.rollout.verdict import Pair, Sides, Verdict, verdict
from churn.stores import objects
from churn.stores.live_metrics import ADDRESS, NoFiguresError, Prometheus, Window
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant, checked_model
from churn.stores.traffic_store import open_traffic
from local.rollout import options
from local.rollout.observed import observe

RECENT_S, LONG_S = 300.0, 86_400.0
"""Bounds are held against the last five minutes, so that what breaks is seen at once, and against a day."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict on the challenger of `document`, with what it rests on: `live` has figures of a short window and of a
    long one, and where there are none `silence` says why."""

    document: Traffic
    verdict: Verdict
    evidence: Evidence
    live: tuple[Pair, ...]
    silence: str


def document_of(settings: Settings, model: str) -> Traffic:
    """What serves a model. Raises UserError when nothing does."""
    found = open_traffic(settings).read(checked_model(model))
    if found is None:
        raise UserError("has no champion", f"model {model}", "train and promote one: churn run training")
    return found


def judge(settings: Settings, env: Mapping[str, str], model: str, as_of: dt.datetime | None = None) -> Judged:
    """Judges the challenger by what is known up to `as_of` (now), and by Prometheus' figures of now; changes nothing.

    Raises UserError when there is no challenger, for a bound that cannot be, and when a store is away; Prometheus away
    is no error: without it nobody is promoted."""
    bounds = options.bounds(env)
    prometheus = Prometheus.load(env)
    document = document_of(settings, model)
    if document.challenger is None:
        remedy = "start one with `churn rollout start`, or retrain with a share"
        raise UserError("has no challenger, so that there is nothing to decide", f"model {model}", remedy)
    contract = bundle_of(settings, document.champion).contract
    rules = Rules(contract.costs, contract.target.horizon_days, bounds.level)
    found = observe(settings.database, document, rules, as_of or dt.datetime.now(dt.UTC))
    live, silence = live_figures(prometheus, document)
    sides = Sides(document.champion.version, document.challenger.version, document.share, document.mode)
    said = verdict(sides, found, live, silence, bounds)
    return Judged(document=document, verdict=said, evidence=found, live=live, silence=silence)


def live_figures(prometheus: Prometheus | None, document: Traffic) -> tuple[tuple[Pair, ...], str]:
    """Requests of challenger and champion in the last minutes and in the last day, both since the challenger began; or
    none, and why."""
    if prometheus is None:
        return (), f"errors and latency are not known: {ADDRESS} names no Prometheus"
    try:
        return tuple(
            prometheus.challenger(document.model, document.mode, window)
            for window in windows(time.time(), document.lineup_since)
        ), ""
    except NoFiguresError as error:
        return (), f"errors and latency are not known: {error}"


def windows(now: float, since: dt.datetime | None) -> tuple[Window, ...]:
    """The short window and the long one, neither of which begins before `since`; one, where they are the same."""
    age = LONG_S if since is None else max(now - since.timestamp(), 1.0)
    return tuple(Window(now, seconds) for seconds in sorted({min(RECENT_S, age), min(LONG_S, age)}))


def bundle_of(settings: Settings, variant: Variant) -> Bundle:
    """A variant's bundle, verified. Raises UserError when it is gone or damaged."""
    store = objects.open_store(settings, objects.root_of(variant.bundle))
    return bundles.load(store.fetch_folder(variant.bundle), variant.digest)
