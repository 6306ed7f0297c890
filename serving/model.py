"""The KServe model: what every protocol asks, and what KServe's own routes show of it."""

from __future__ import annotations

from typing import Any

from kserve.model import InferenceVerb

from serving import info, v1, v2_grpc
from serving.answering import Answering
from serving.answers import Answers
from serving.asked import Asked
from serving.call import Call, request_id
from serving.errors import UnavailableError
from serving.lineup import Lineup
from serving.stock import InferRequest, InferResponse, Model


class ChurnModel(Model):  # type: ignore[misc]
    """Ready from the start, because there is none without a loaded champion, until the server drains.

    A request keeps the line-up it began with: each answer comes from one version, also during a switch."""

    def __init__(self, name: str, answering: Answering) -> None:
        super().__init__(name)
        self.answering = answering
        self.ready = True

    @property
    def lineup(self) -> Lineup:
        """Who answers now."""
        return self.answering.lineup

    async def answer(self, asked: Asked, call: Call) -> Answers:
        """What the routes of all protocols call. Raises RequestError."""
        return await self.answering.answer(asked, call)

    async def __call__(
        self,
        body: dict[str, Any] | InferRequest,
        headers: dict[str, str] | None = None,
        verb: InferenceVerb = InferenceVerb.PREDICT,
    ) -> tuple[dict[str, Any] | InferResponse, dict[str, str]]:
        """KServe's way in, for callers in this process: a v1 document or a v2 request. Raises RequestError."""
        if not self.ready:
            raise UnavailableError("the server is stopping")
        call = Call("in process", request_id((headers or {}).get("x-request-id", "")))
        if isinstance(body, InferRequest):
            asked = v2_grpc.read(body.to_grpc())
            response = v2_grpc.render(await self.answer(asked, call), asked)
            return InferResponse.from_grpc(response), {}
        instances = v1.decode(body)
        if verb == InferenceVerb.EXPLAIN:
            instances.options = v1.explaining(instances.options)
            return v1.render_explanations(await self.answer(instances, call)), {}
        return v1.render(await self.answer(instances, call)), {}

    def load(self) -> bool:
        """What KServe calls for a model that is not ready; what serves is loaded by whoever follows the document."""
        return bool(self.ready)

    def start(self) -> None:
        """Nothing is left to be done."""

    def get_input_types(self) -> list[dict[str, Any]]:
        """The input tensors."""
        return info.inputs(self.lineup.champion.contract)

    def get_output_types(self) -> list[dict[str, Any]]:
        """The output tensors."""
        return info.outputs()
