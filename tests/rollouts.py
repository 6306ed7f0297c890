"""Two versions of the shop's model that decide differently about the same customer, and a log of what they said."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper

from churn.domain import bundle as domain_bundle
from churn.domain.bundle import MANIFEST, Manifest
from churn.stores import objects, outcomes
from churn.stores.database import migrate
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.records import Logged, LogOptions, new_record
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant, challenged, encode, promoted
from churn.stores.traffic_store import open_traffic
from tests import bundles
from tests.bundles import THRESHOLD

Fault = Literal["", "breaks", "slow"]
CONTACTS, LEAVES_ALONE = 7, 0
"""Seeds of versions that contact `bundles.CUSTOMER`, and that do not."""

ODD_VISITS = 200
"""From so many visits on, a version that `breaks` does."""

DAY = dt.timedelta(days=1)


@dataclass
class Stage:
    """A home with a champion of version 1, which contacts everybody, and a challenger that is not on yet."""

    settings: Settings
    names: Pseudonyms
    champion: Variant = field(init=False)

    @classmethod
    def open(cls, home: Path, database: str = "") -> Stage:
        given = {"CHURN_HOME": str(home)} | ({"CHURN_DATABASE": database} if database else {})
        settings = Settings.load(given).prepare()
        migrate(settings.database)
        made = cls(settings, Pseudonyms.load(settings.home / "keys" / "log"))
        made.champion = made.variant(1, CONTACTS)
        open_traffic(settings).write(promoted(None, "shop", made.champion), 0)
        return made

    def variant(self, number: int, seed: int = LEAVES_ALONE, fault: Fault = "") -> Variant:
        """A version in the store; nothing serves it yet."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "bundle")
            digest = bundles.write_bundle(folder, bundles.shop(), seed)
            if fault:
                digest = _spoil(folder, fault)
            address = objects.open_store(self.settings).put_folder(folder, f"bundles/{digest}")
        return Variant(number, digest, address)

    @property
    def document(self) -> Traffic:
        found = open_traffic(self.settings).read("shop")
        assert found is not None
        return found

    def put(self, document: Traffic) -> Traffic:
        """Writes a document, as somebody else might."""
        return open_traffic(self.settings).write(document, self.document.revision)

    def challenge(self, variant: Variant, share: float = 0.5, mode: Literal["split", "shadow"] = "split") -> Traffic:
        return self.put(challenged(self.document, variant, share, mode))

    def since(self, at: dt.datetime, **changes: Any) -> None:
        """As if the line-up had been so since then."""
        document = msgspec.structs.replace(self.document, lineup_since=at, **changes)
        Path(self.settings.traffic, "shop.yaml").write_bytes(encode(document))

    def log(self, version: int, customers: Sequence[str], at: dt.datetime, contacts: bool, **changes: Any) -> None:
        """Logs that a version was asked about customers, one a second from `at` on, and whether it said to contact."""
        writer = PredictionLog(LogOptions(self.settings.database, self.settings.home / "spool", ship_s=0.01))
        layout = writer.describe(bundles.shop())
        probability = np.array([0.7 if contacts else 0.1])
        columns = bundles.training_rows(bundles.shop(), 0)[0][:1]
        requests = changes.pop("requests", None) or [f"{version}-{name}" for name in customers]
        for place, (name, request) in enumerate(zip(customers, requests, strict=True)):
            values = {
                "record": new_record(), "request_id": request, "at": at.timestamp() + place, "model": "shop",
                "version": version, "variant": "champion" if version == 1 else "challenger", "shadow": False,
                "threshold": THRESHOLD, "latency_ms": 1.0, "layout": layout,
                "customers": [self.names.pseudonym(name)], "probabilities": probability.tobytes(), "risks": b"\0",
                "features": columns.astype("<f8").tobytes(),
            }  # fmt: skip
            writer.append(Logged(**{**values, **changes}))
        assert writer.close(60)

    def became(self, leavers: Iterable[str], stayers: Iterable[str], left: dt.datetime, known: dt.datetime) -> None:
        """Loads outcomes."""
        rows = [{"customer": self.names.pseudonym(name), "left_at": at, "known_until": known}
                for names, at in ((leavers, left), (stayers, None)) for name in names]  # fmt: skip
        table = pa.Table.from_pylist(rows, schema=outcomes.GIVEN)
        outcomes.load(self.settings.database, "shop", [table], known)


def _spoil(folder: Path, fault: Fault) -> str:
    """Makes a bundle fail, or slow, on purpose."""
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    probability = next(one.name for one in graph.output if one.name == "probability")
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == probability:
                node.output[place] = "honest"
    place = bundles.shop().raw.index("visits")
    constants = {
        "at": np.array([place]),
        "bound": np.array([ODD_VISITS], np.float64),
        "one": np.array([0.0], np.float32),
    }
    for name, value in constants.items():
        graph.initializer.append(onnx.numpy_helper.from_array(value, f"spoilt_{name}"))
    graph.node.append(helper.make_node("Gather", ["columns", "spoilt_at"], ["spoilt_visits"], axis=1))
    graph.node.append(helper.make_node("ReduceMax", ["spoilt_visits"], ["spoilt_most"], keepdims=0))
    if fault == "breaks":
        graph.node.extend([
            helper.make_node("GreaterOrEqual", ["spoilt_most", "spoilt_bound"], ["spoilt_odd"]),
            helper.make_node("Cast", ["spoilt_odd"], ["spoilt_index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["spoilt_one", "spoilt_index"], ["spoilt_nothing"]),  # nothing stands at 1
        ])  # fmt: skip
    else:
        side = onnx.numpy_helper.from_array(np.array([300, 300]), "spoilt_side")
        graph.initializer.append(side)
        graph.node.extend([
            helper.make_node("Cast", ["spoilt_most"], ["spoilt_value"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["spoilt_value", "spoilt_one"], ["spoilt_zero"]),
            helper.make_node("Expand", ["spoilt_zero", "spoilt_side"], ["spoilt_0"]),
            *(helper.make_node("MatMul", [f"spoilt_{n}", f"spoilt_{n}"], [f"spoilt_{n + 1}"]) for n in range(20)),
            helper.make_node("ReduceMax", ["spoilt_20"], ["spoilt_nothing"], keepdims=0),
        ])  # fmt: skip
    graph.node.append(helper.make_node("Add", ["honest", "spoilt_nothing"], [probability]))
    onnx.save(model, folder / "model.onnx")
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    (folder / MANIFEST).unlink()
    return domain_bundle.write(folder, manifest)


def wait_until(done: Any, patience_s: float = 120.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
