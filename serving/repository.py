"""KServe's repository extension as far as it makes sense here: the traffic document decides what serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.access.admission import Access
from serving.call import Call
from serving.errors import ForbiddenError, UnknownModelError


class Repository:
    """`load` reads the document again, now; `unload` is refused. Both are written down."""

    def __init__(self, model: str, reload: Callable[[], Awaitable[None]], access: Access) -> None:
        self._model, self._reload, self._access = model, reload, access

    async def load(self, name: str, call: Call) -> None:
        """Reads the traffic document, and serves what it says before this comes back.

        Raises UnknownModelError, or UnavailableError when what it names cannot be loaded: the old one serves on."""
        outcome = "failed"
        try:
            self._known(name)
            await self._reload()
            outcome = "done"
        finally:
            self._written_down("load", outcome, call)

    def unload(self, name: str, call: Call) -> None:
        """Raises ForbiddenError, or UnknownModelError."""
        self._written_down("unload", "refused", call)
        self._known(name)
        raise ForbiddenError("what serves is decided by a promotion, not by a request")

    async def load_route(self, request: Request) -> Response:
        """`load` over HTTP."""
        await self.load(request.path_params["model_name"], request.scope["churn.call"])
        return Response(msgspec.json.encode({"name": self._model, "load": True}), media_type="application/json")

    async def unload_route(self, request: Request) -> Response:
        """`unload` over HTTP."""
        self.unload(request.path_params["model_name"], request.scope["churn.call"])
        raise AssertionError

    def _written_down(self, act: str, outcome: str, call: Call) -> None:
        if call.caller is not None:
            self._access.acted(act, outcome, call.caller, call.credentials, call.peer, call.trace)

    def _known(self, name: str) -> None:
        if name != self._model:
            raise UnknownModelError("this server has no model of that name")
