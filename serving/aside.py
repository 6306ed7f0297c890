"""Work that blocks, beside the event loop, and that nobody waits for when the process leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def aside(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What `work` gives or raises, in a thread of its own.

    `asyncio.to_thread` lends threads that the interpreter joins at its end: a store that hangs would hold it up."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(*given, **named))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    Thread(target=run, name="aside", daemon=True).start()
    return await asyncio.wrap_future(future)
