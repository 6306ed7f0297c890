"""What the online store holds of customers, as the graph's columns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.domain import encoding
from churn.domain.bundle import Bundle
from churn.stores.settings import Settings
from feature_repo.names import Layout
from feature_repo.online import Answer, Known, OnlineFeatures, Unknown
from serving.errors import Fault, StaleCustomerError, UnavailableError, UnknownCustomerError

log = logging.getLogger(__name__)

UNKNOWN = "names no known customer"


class StoredFeatures:
    """A model's view of the online store, opened when it is first needed: importing Feast takes seconds."""

    def __init__(self, settings: Settings, bundle: Bundle) -> None:
        self._settings = settings
        self._contract = bundle.contract
        self._layout = Layout(project=bundle.manifest.online.project, view=bundle.manifest.online.view)
        self._opening = threading.Lock()
        self._features: OnlineFeatures | None = None

    def warm(self) -> None:
        """Opens the store, so that the first request need not; what fails now is tried again then."""
        try:
            self._opened()
        except Exception as error:  # noqa: BLE001 - a store that is away must not keep the model from serving
            log.warning("predictions by id wait for the online store: %s", error)

    def read(self, ids: Sequence[str | int], path: Callable[[int], str]) -> npt.NDArray[np.float64]:
        """Columns (m, k) of m customers; `path` names the place of each in the request. Blocks.

        Raises UnknownCustomerError, StaleCustomerError, or UnavailableError when the store does not answer."""
        try:
            answers = self._opened().read(ids)
        except Exception as error:
            log.warning("the online store does not answer: %s", error)
            raise UnavailableError("the online store does not answer; send all features, or ask later") from error
        self._refuse(answers, path)
        known = [answer.raw for answer in answers if isinstance(answer, Known)]
        columns = {name: [values[name] for values in known] for name in self._contract.raw}
        table = pa.table(columns, schema=encoding.feature_schema(self._contract, self._contract.raw))
        return encoding.encode(self._contract, table)

    def _opened(self) -> OnlineFeatures:
        with self._opening:
            if self._features is None:
                self._features = OnlineFeatures(self._settings, self._contract, self._layout)
            return self._features

    def _refuse(self, answers: Sequence[Answer], path: Callable[[int], str]) -> None:
        stale = f"names a customer whose stored values are older than {self._contract.ttl_days} days; send them anew"
        faults = [
            Fault(path(row), UNKNOWN if isinstance(answer, Unknown) else stale)
            for row, answer in enumerate(answers)
            if not isinstance(answer, Known)
        ]
        if any(isinstance(answer, Unknown) for answer in answers):
            raise UnknownCustomerError(faults)
        if faults:
            raise StaleCustomerError(faults)
