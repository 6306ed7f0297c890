"""Following the traffic document: a new champion takes over without a restart, a broken one never does."""

from __future__ import annotations

import asyncio
import logging

from churn.stores.settings import Settings
from churn.stores.traffic_store import TrafficStore
from serving import champion
from serving.model import ChurnModel

log = logging.getLogger(__name__)

INTERVAL_S = 1.0


async def follow(settings: Settings, traffic: TrafficStore, model: ChurnModel) -> None:
    """Reads the document every second, for good, and switches `model` to the champion it names.

    What cannot be loaded is tried again each time, and said once; the former champion serves on."""
    said = ""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            switched = await asyncio.to_thread(_catch_up, settings, traffic, model)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one serves on
            problem = f"{type(error).__name__}: {error}"
            if problem != said:
                log.warning("version %d of %s serves on: %s", model.champion.variant.version, model.name, problem)
            said = problem
            continue
        said = ""
        if switched:
            log.info("version %d of %s serves now", model.champion.variant.version, model.name)


def _catch_up(settings: Settings, traffic: TrafficStore, model: ChurnModel) -> bool:
    """Loads and tests the document's champion, unless it serves already, and puts it in place; whether it did."""
    document = traffic.read(model.name)
    if document is None or document.champion == model.champion.variant:
        return False
    loaded = champion.load(settings, model.name, document.champion)
    loaded.stored.warm()
    model.champion = loaded
    return True
