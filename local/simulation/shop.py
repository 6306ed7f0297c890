"""The shop: the predictor's own code answers each month's customers in this process, and logs on simulated dates."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic

if TYPE_CHECKING:
    from serving.answering import Answering

_AT_ONCE = 1_000


@dataclass(frozen=True)
class Answered:
    """What n customers were answered: `probability` (n,), NaN of who was refused; whom to contact (n,); by which
    version."""

    probability: npt.NDArray[np.float64]
    contacted: npt.NDArray[np.bool_]
    version: int

    @property
    def refused(self) -> int:
        """Customers whose values the contract does not allow."""
        return int(np.isnan(self.probability).sum())


def answer(settings: Settings, contract: Contract, customers: pa.Table, day: dt.date) -> Answered:
    """Asks about everyone at the beginning of `day`, by id and with all values. Raises UserError without a champion."""
    key = contract.key
    assert key is not None
    names = {contract.source_of(name): name for name in (*contract.raw, key.column)}
    rows = customers.select(list(names)).rename_columns(list(names.values())).to_pylist()
    at = dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()
    with _predictor(settings, contract.name, at) as predictor:
        return asyncio.run(_ask(predictor, rows))


async def _ask(predictor: Answering, rows: list[dict[str, object]]) -> Answered:
    from serving.asked import Options
    from serving.call import Call, request_id
    from serving.v1 import Instances

    probability: list[float] = []
    contacted: list[bool] = []
    for start in range(0, len(rows), _AT_ONCE):
        asked = Instances(rows[start : start + _AT_ONCE], Options(partial=True))
        answers = await predictor.answer(asked, Call("simulation", request_id("")))
        probability += answers.probability
        contacted += [acts and row not in answers.failures for row, acts in enumerate(answers.decision)]
    return Answered(np.array(probability), np.array(contacted), predictor.lineup.champion.variant.version)


@contextmanager
def _predictor(settings: Settings, model: str, at: float) -> Iterator[Answering]:
    """What answers inside a server, by the traffic document of now, with a clock that stands still."""
    from serving.access.admission import Access
    from serving.access.options import AccessOptions
    from serving.answering import Answering
    from serving.logbook import Logbook
    from serving.metrics import Metrics
    from serving.recording import Recorder
    from serving.settings import ServingSettings
    from serving.version import Loader
    from serving.watch import Follower

    serving, metrics, store = ServingSettings.load(os.environ, settings), Metrics(), open_traffic(settings)
    document = store.read(model)
    if document is None:
        raise UserError(f"no version of '{model}' has been promoted", where=settings.traffic)
    access, logbook = Access(AccessOptions.load(os.environ)), Logbook(settings, serving, metrics)
    try:
        loader = Loader(settings, serving, metrics, logbook.describe)
        lineup = Follower(store, loader, metrics).load(model, document)
        try:
            yield Answering(model, lineup, Recorder(metrics, logbook.log, access, lambda: at), serving.limits.batch)
        finally:
            for version in lineup.versions:
                version.close()
    finally:
        logbook.close()
        access.close()
