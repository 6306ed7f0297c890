"""The KServe model: takes requests of both protocols, and lets the champion of the moment answer."""

from __future__ import annotations

import asyncio
from typing import Any

from serving import v1, v2
from serving.asked import Asked
from serving.champion import Champion
from serving.errors import NotSupportedError, UnavailableError
from serving.stock import InferRequest, InferResponse, Model


class ChurnModel(Model):  # type: ignore[misc]
    """Ready from the start, because there is none without a loaded champion, until it is stopped.

    A request keeps the champion it began with: each answer comes from one version, also during a switch."""

    def __init__(self, name: str, champion: Champion) -> None:
        super().__init__(name)
        self.champion = champion
        self.ready = True

    def load(self) -> bool:
        """What KServe calls for a model that is not ready; what serves is loaded by whoever follows the document."""
        return bool(self.ready)

    def start(self) -> None:
        """Nothing is left to be done."""

    async def preprocess(self, payload: object, _headers: dict[str, str] | None = None) -> Asked:
        """What is asked. Raises RequestError."""
        return v2.decode(payload) if isinstance(payload, InferRequest) else v1.decode(payload)

    async def predict(
        self, payload: Asked, _headers: dict[str, str] | None = None, _answered: dict[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        """The answers, in the protocol of the request. Raises RequestError."""
        if not self.ready:
            raise UnavailableError("the server is stopping")
        return payload.render(await asyncio.to_thread(self.champion.answer, payload))

    async def explain(self, _payload: Asked, _headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Raises NotSupportedError."""
        raise NotSupportedError("this server does not explain")

    def get_input_types(self) -> list[dict[str, Any]]:
        """The input tensors."""
        return v2.inputs(self.champion.bundle.contract)

    def get_output_types(self) -> list[dict[str, Any]]:
        """The output tensors."""
        return v2.outputs()
