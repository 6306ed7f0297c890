"""A limit: Starlette on the same uvicorn, which reads a request and answers with an empty body."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def answer(request: Request) -> Response:
    await request.body()
    return Response(b"")


async def health(_: Request) -> Response:
    return Response(b"ok")


app = Starlette(routes=[Route("/empty", answer, methods=["POST"]), Route("/health", health)])
