"""A shop whose champion answers: predictions in the log as the predictor would write them, and what became of whom."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from churn.domain.contract import Contract
from churn.stores import objects, outcomes
from churn.stores.database import migrate
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.records import Logged, LogOptions, new_record
from churn.stores.settings import Settings
from tests.bundles import THRESHOLD, publish, shop, training_rows

NAMES = Pseudonyms(b"k" * 32)
DAY = dt.timedelta(days=1)
AS_OF = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
"""A Monday."""


@dataclass
class Shop:
    """A home with a champion of version 1, and a log."""

    settings: Settings
    contract: Contract = field(default_factory=shop)

    @classmethod
    def open(cls, home: Path, database: str = "") -> Shop:
        """Publishes the champion; the log and the outcomes lie in `database`, by default a file in the home."""
        given = {"CHURN_HOME": str(home)} | ({"CHURN_DATABASE": database} if database else {})
        settings = Settings.load(given).prepare()
        migrate(settings.database)
        made = cls(settings)
        publish(settings, made.contract)
        return made

    def log(self, rows: int, at: dt.datetime, seed: int = 0, **changes: Any) -> np.ndarray:
        """Logs answers to customers `c0`, `c1`, … with the columns the champion was trained on, a row a minute before
        `at`; gives the probabilities. `shift` is added to the column `spend`; other changes are the record's."""
        columns = np.concatenate([training_rows(self.contract, seed + part)[0] for part in range(-(-rows // 400))])[
            :rows
        ]
        columns[:, self.contract.raw.index("spend")] += changes.pop("shift", 0.0)
        named = changes.pop("named", True)
        p = changes.pop("probabilities", None)
        p = self.probabilities(columns) if p is None else p
        values: dict[str, Any] = {
            "record": new_record(), "request_id": "r", "at": at.timestamp() - 60, "model": self.contract.name,
            "version": 1, "variant": "champion", "shadow": False, "threshold": THRESHOLD, "latency_ms": 1.0,
            "layout": "", "customers": [NAMES.pseudonym(f"c{row}") for row in range(rows)] if named else None,
            "probabilities": p.astype("<f8").tobytes(), "risks": bytes(rows),
            "features": columns.astype("<f8").tobytes(),
        }  # fmt: skip
        log = PredictionLog(LogOptions(self.settings.database, self.settings.home / "spool", ship_s=0.01))
        values["layout"] = log.describe(changes.pop("contract", self.contract))
        log.append(Logged(**{**values, **changes}))
        assert log.close(60)
        return p

    def probabilities(self, columns: np.ndarray) -> np.ndarray:
        """What the champion says."""
        from churn.domain import bundle
        from churn.stores.traffic_store import open_traffic

        traffic = open_traffic(self.settings).read(self.contract.name)
        assert traffic is not None
        folder = objects.open_store(self.settings).fetch_folder(traffic.champion.bundle)
        return bundle.load(folder).predict(columns)

    def became(self, rows: dict[str, dt.datetime | None], known_until: dt.datetime) -> outcomes.Loaded:
        """Loads outcomes: when each left, or None."""
        table = pa.Table.from_pylist(
            [{"customer": NAMES.pseudonym(name), "left_at": left, "known_until": known_until}
             for name, left in rows.items()],
            schema=outcomes.GIVEN,
        )  # fmt: skip
        return outcomes.load(self.settings.database, self.contract.name, [table], known_until)


def decoded(path: Path) -> Any:
    """A JSON file."""
    return msgspec.json.decode(path.read_bytes())
