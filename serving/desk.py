"""What HTTP and gRPC have in common: who is let in, what is answered, and what is said of how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from serving.access.admission import Access
from serving.access.caller import Scope
from serving.answers import Answers
from serving.asked import Asked
from serving.call import Call
from serving.errors import RequestError
from serving.journal import Journal
from serving.metrics import Metrics
from serving.model import ChurnModel
from serving.recording import Recorder
from serving.translation import translate

log = logging.getLogger(__name__)

A = TypeVar("A", bound=Asked)
R = TypeVar("R")

HEAVY_BYTES = 256 * 1024
"""Up to here a request is read between two turns of the event loop; a larger one in a thread."""

WRITTEN_INLINE, EXPLAINED_INLINE = 2000, 100
"""Customers whose answers are written between two turns of the event loop; those with reasons are longer."""

_AT_THE_DOOR = (401, 403, 429)


@dataclass(frozen=True)
class Desk:
    """The model, and what stands around it."""

    model: ChurnModel
    access: Access
    metrics: Metrics
    recorder: Recorder
    journal: Journal

    def admit(self, call: Call, scope: Scope) -> None:
        """Finds out who asks. Raises UnauthenticatedError, ForbiddenError or TooManyRequestsError."""
        call.caller = self.access.admit(call.credentials, call.peer, scope, call.trace)

    async def read(self, make: Callable[[], A], size: int) -> A:
        """What a request of so many bytes asks; `make` reads it, in a thread where that takes long."""
        if size <= HEAVY_BYTES:
            return make()
        readers = self.model.lineup.champion.plain

        def prepared() -> A:
            asked = make()
            if asked.count <= self.model.answering.batch_limit:
                asked.prepare(readers)
            return asked

        return await asyncio.to_thread(prepared)

    async def rendered(self, render: Callable[[], R], answers: Answers) -> R:
        """An answer in its protocol; a large one is written in a thread."""
        most = EXPLAINED_INLINE if answers.explanations else WRITTEN_INLINE
        return await asyncio.to_thread(render) if answers.count > most else render()

    async def answer(self, call: Call, asked: Asked) -> Answers:
        """The answers to an admitted request. Raises RequestError."""
        if call.caller is not None:
            if asked.count > 1:
                self.model.answering.refuse_too_many(asked)  # a rate does not pay for what a shape merely claims
                self.access.charge(call.caller, asked.count, call.credentials, call.peer, call.trace)
            if asked.options.explain:
                self.access.require(call.caller, "explain", call.credentials, call.peer, call.trace)
        return await self.model.answer(asked, call)

    def refuse(self, call: Call, error: Exception) -> RequestError:
        """What the caller is told of an exception; what nobody foresaw is told in full to the log alone."""
        refusal = translate(error)
        if type(refusal) is RequestError:
            log.error("a request to %s failed", call.route, exc_info=error)
        if refusal.status in _AT_THE_DOOR:
            self.metrics.refused.labels(refusal.code).inc()
        return refusal

    def ended(self, call: Call, status: int, variant: str = "") -> None:
        """Counts a request that is about to be answered; `status` is HTTP's."""
        self.metrics.request(call.route, status, variant, call.elapsed)
        self.journal.request(call, status)
