"""Following the traffic document: what it says takes effect without a restart; what cannot be loaded never does."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from churn.domain.errors import UserError
from churn.stores.traffic import Traffic, Variant
from churn.stores.traffic_store import TrafficStore
from serving import trial
from serving.answering import Answering
from serving.aside import aside
from serving.errors import UnavailableError
from serving.lineup import Lineup
from serving.metrics import Metrics
from serving.version import Loader, Version

log = logging.getLogger(__name__)

INTERVAL_S = 1.0


class Follower:
    """Keeps `answering` at what the document of its model says; `load` builds the first line-up."""

    def __init__(self, store: TrafficStore, loader: Loader, metrics: Metrics) -> None:
        self._store, self._loader, self._metrics = store, loader, metrics
        self._turn = asyncio.Lock()
        self._said: dict[str, str] = {}

    def load(self, model: str, document: Traffic) -> Lineup:
        """The first line-up; a challenger that cannot be loaded is left out. Blocks.

        What only large batches and reasons need is not loaded: `finish` does that once requests are taken.

        Raises UserError when there is no champion to be had."""
        champion = self._loader.load(model, document.champion, whole=False)
        return self._lineup(model, document, champion, None)

    async def finish(self, answering: Answering) -> None:
        """Loads and tries what `load` has left out. Until then, and where it fails, the graph scores every batch."""
        lineup = answering.lineup
        for one in lineup.versions:
            try:
                await asyncio.to_thread(trial.pass_by, one)
            except Exception as error:  # noqa: BLE001 - it serves, and answers its example by the graph
                self._metrics.load_failures.labels("champion" if one is lineup.champion else "challenger").inc()
                problem = f"{type(error).__name__}: {error}"
                log.error("version %d of %s serves in part: %s", one.variant.version, answering.model, problem)  # noqa: TRY400
            await one.warm()

    async def follow(self, answering: Answering) -> None:
        """Reads the document every second, for good. What cannot be loaded is tried again each time, and said once."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.catch_up(answering)
                self._said.pop("champion", None)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one serves on
                self._complain("champion", answering, error)

    async def reload(self, answering: Answering) -> None:
        """Reads the document now. Raises UnavailableError when what it names cannot be loaded."""
        try:
            await self.catch_up(answering)
        except Exception as error:
            self._complain("champion", answering, error)
            raise UnavailableError(
                "what the traffic document names cannot be loaded; the former version serves"
            ) from error

    async def catch_up(self, answering: Answering) -> None:
        """Puts the document's line-up in charge, unless it is; those who are no longer in it are closed later.

        Whatever can fail, or takes its time, is over before the switch."""
        async with self._turn:
            former = answering.lineup
            document = await aside(self._store.read, answering.model)
            if document is None:
                raise UserError("the traffic document is gone")
            if _is_as(document, former):
                if document.revision != former.revision:
                    answering.lineup = replace(former, revision=document.revision)
                return
            lineup = await aside(self._next, answering.model, document, former)
            if lineup == former:
                return
            for one in lineup.versions:
                if one not in former.versions:
                    await one.warm()
            answering.lineup = lineup
            try:
                self.announce(answering.model, lineup)
            finally:
                for one in former.versions:
                    if one not in lineup.versions:
                        _close_later(one)

    def announce(self, model: str, lineup: Lineup) -> None:
        """Says who serves, to people and to Prometheus."""
        champion, challenger = lineup.champion.variant, lineup.challenger.variant if lineup.challenger else None
        served = {"champion": (champion.version, champion.digest)}
        beside = ""
        if challenger is not None:
            served["challenger"] = (challenger.version, challenger.digest)
            beside = f", version {challenger.version} gets {lineup.share:.0%} ({lineup.mode})"
        self._metrics.serving(model, served)
        log.info("version %d of %s serves now%s", champion.version, model, beside)

    def _next(self, model: str, document: Traffic, former: Lineup) -> Lineup:
        return self._lineup(model, document, self._kept_or_loaded(model, document.champion, former), former)

    def _lineup(self, model: str, document: Traffic, champion: Version, former: Lineup | None) -> Lineup:
        challenger = None
        if document.challenger is not None:
            try:
                challenger = self._kept_or_loaded(model, document.challenger, former)
                self._said.pop("challenger", None)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the champion does not wait for it
                self._metrics.load_failures.labels("challenger").inc()
                problem = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                if self._said.get("challenger") != problem:
                    log.warning("%s is served without its challenger: %s", model, problem)
                self._said["challenger"] = problem
        return Lineup(champion, challenger, document.share, document.mode, document.revision)

    def _kept_or_loaded(self, model: str, wanted: Variant, former: Lineup | None) -> Version:
        for one in former.versions if former else ():
            if one.variant == wanted:
                return one
        return self._loader.load(model, wanted, whole=former is not None)

    def _complain(self, role: str, answering: Answering, error: Exception) -> None:
        self._metrics.load_failures.labels(role).inc()
        problem = f"{type(error).__name__}: {error}"
        if problem != self._said.get(role):
            number = answering.lineup.champion.variant.version
            log.warning("version %d of %s serves on: %s", number, answering.model, problem)
        self._said[role] = problem


def _is_as(document: Traffic, lineup: Lineup) -> bool:
    """Whether the line-up is what the document says. One without its challenger is not: loading it is tried again."""
    challenger = lineup.challenger.variant if lineup.challenger else None
    return (document.champion, document.challenger, document.share, document.mode) == (
        lineup.champion.variant,
        challenger,
        lineup.share,
        lineup.mode,
    )


_RETIRES_AFTER_S = 30.0
_retiring: set[asyncio.Task[None]] = set()


def _close_later(one: Version) -> None:
    """Requests in flight still read by it."""

    async def close() -> None:
        await asyncio.sleep(_RETIRES_AFTER_S)
        one.close()

    task = asyncio.create_task(close())
    _retiring.add(task)
    task.add_done_callback(_retiring.discard)
