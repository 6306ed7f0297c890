"""Any other online store, read by Feast itself in threads: its import takes seconds, and happens in one of them."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churn.domain.bundle import Online
from churn.domain.contract import Contract
from churn.stores.addresses import redacted
from churn.stores.settings import Settings
from feature_repo import names
from feature_repo.direct.errors import RefusedError
from feature_repo.direct.keys import Keys
from feature_repo.direct.values import Raw

if TYPE_CHECKING:
    from feature_repo.online import OnlineFeatures

THREADS = 4

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # at which nothing is stale yet: the reader judges that


class FeastStore:
    """One view, through `OnlineFeatures`."""

    def __init__(self, settings: Settings, contract: Contract, online: Online, deadline: float) -> None:
        self.keys = Keys(online)
        self._settings, self._contract, self._deadline = settings, contract, deadline
        self._layout = names.Layout(project=online.project, view=online.view)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="online-store")
        self._opening = threading.Lock()
        self._features: OnlineFeatures | None = None

    async def fetch(self, keys: Sequence[bytes]) -> Sequence[Any]:
        """Feast's answer to each key. Raises TimeoutError, RefusedError."""
        reading = asyncio.get_running_loop().run_in_executor(self._pool, self._read, keys)
        done, _ = await asyncio.wait((reading,), timeout=self._deadline * (1 + len(keys) // 1000))
        if not done:
            reading.cancel()
            raise TimeoutError("no answer within the deadline")
        return reading.result()

    def row(self, answer: Any) -> tuple[float, Sequence[Raw]]:
        """When a customer's values were true (epoch seconds, NaN for nobody), and the values by column."""
        stamp = getattr(answer, "event_timestamp", None)
        raw = getattr(answer, "raw", {})
        return math.nan if stamp is None else stamp.timestamp(), [_raw(raw.get(name)) for name in self._contract.raw]

    async def warm(self) -> None:
        """Imports Feast and opens the store, however long it takes. Raises RefusedError."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._read, [])

    def close(self) -> None:
        """Lets the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, keys: Sequence[bytes]) -> Sequence[Any]:
        try:
            return self._opened().read([self.keys.decode(key) for key in keys], _BEGINNING)
        except Exception as error:  # noqa: BLE001 - what drivers raise knows no bounds
            text = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise RefusedError(redacted(text)) from None

    def _opened(self) -> OnlineFeatures:
        from feature_repo.online import OnlineFeatures

        with self._opening:
            if self._features is None:
                self._features = OnlineFeatures(self._settings, self._contract, self._layout)
            return self._features


def _raw(value: float | str | None) -> Raw:
    from feature_repo.quiet import Value

    if value is None:
        return None
    field = "string_val" if isinstance(value, str) else "int64_val" if isinstance(value, int) else "double_val"
    message = Value()
    setattr(message, field, value)
    return bytes(message.SerializeToString())
