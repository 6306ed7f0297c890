"""The prediction log's place in a worker: opened when it serves, measured when asked, flushed when it leaves."""

from __future__ import annotations

import logging
from threading import Lock

from churn.domain.contract import Contract
from churn.stores.settings import Settings
from serving.metrics import Metrics
from serving.settings import Log, ServingSettings

log = logging.getLogger(__name__)

CLOSES_WITHIN_S = 10.0


class Logbook:
    """`log` is None where the prediction log is off."""

    def __init__(self, settings: Settings, serving: ServingSettings, metrics: Metrics) -> None:
        """Raises UserError when the key of the customers' names cannot be had, or is not the log's."""
        self._metrics = metrics
        self._written = self._lost = 0
        self._measuring = Lock()
        self.log: Log | None = None
        if serving.durability == "off":
            return
        from churn.stores.prediction_log import fingerprints
        from churn.stores.prediction_log.log import PredictionLog
        from churn.stores.prediction_log.pseudonyms import Pseudonyms
        from churn.stores.prediction_log.records import LogOptions
        from churn.stores.prediction_log.sinks import Away

        options = LogOptions(
            database=settings.database,
            spool=serving.spool,
            durability=serving.durability,
            spool_limit_bytes=serving.spool_bytes,
        )
        pseudonyms = Pseudonyms.load(serving.log_key)
        try:
            fingerprints.keep(settings.database, pseudonyms, serving.log_key)
        except Away as error:  # predictions wait in the spool meanwhile
            log.warning("prediction log: the database does not say whose key it knows customers by (%s)", error)
        self._writer = PredictionLog(options)
        self.log = Log(self._writer, pseudonyms)

    def describe(self, contract: Contract) -> None:
        """Makes known what the columns of a version are, before its first record."""
        if self.log is not None:
            self._writer.describe(contract)

    def measure(self) -> None:
        """Tells Prometheus where the log stands. From any thread: what is new is counted once."""
        if self.log is None:
            return
        with self._measuring:
            status = self._writer.status()
            self._metrics.log_rows.labels("queued").set(status.queued_rows)
            self._metrics.log_rows.labels("spooled").set(status.spooled_rows)
            self._metrics.log_lag.set(status.lag_s)
            errors = {"spool": status.spool_error, "database": status.database_error, "left": status.left_error}
            for place, error in errors.items():
                self._metrics.log_stuck.labels(place).set(bool(error))
            self._metrics.log_written.inc(max(0, status.written_rows - self._written))
            self._metrics.log_lost.inc(max(0, status.lost_rows - self._lost))
            self._written, self._lost = status.written_rows, status.lost_rows

    def close(self) -> None:
        """Brings everything to the database, or at least to the spool. Blocks for some seconds at most."""
        if self.log is not None:
            self.measure()
            self._writer.close(CLOSES_WITHIN_S)
