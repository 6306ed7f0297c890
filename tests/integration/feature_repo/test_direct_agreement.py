"""Reading the stores by the frozen layout gives what Feast gives: should Feast change its layout, this fails."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.domain.contract import Contract
from churn.domain.encoding import encode
from churn.stores.settings import Settings
from feature_repo import names, store
from feature_repo.direct.reader import Reader, Stored, open_reader
from feature_repo.frozen import freeze
from feature_repo.materialisation import materialise
from feature_repo.online import Answer, Known, OnlineFeatures, Stale, Unknown
from feature_repo.registration import apply
from feature_repo.values import rows
from tests.integration.feature_repo.samples import DAY, EXACT, NOW, contract, customer, raw_table, write_source

LABELS = ("basic", "extra großes", "it's all", "", "\U0001d52d\0remium", "long" * 40)
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
CUSTOMERS = st.fixed_dictionaries(
    {
        "event_timestamp": MOMENTS,
        "tenure": st.none() | st.integers(-EXACT, EXACT),
        "balance": st.none() | st.sampled_from([0, -1, EXACT, -EXACT, 127, 128]),
        "amount_y": st.none() | st.floats() | st.sampled_from([5e-324, -0.0, 1e308, float("nan")]),
        "rn": st.none() | st.integers(-300, 300),
        "plan": st.none() | st.sampled_from(LABELS),
    }
)


class Both:
    """A contract registered in a store, written to by Feast, read by Feast and by the frozen layout."""

    def __init__(self, online: Settings, made: Contract, folder: Path, runner: asyncio.Runner) -> None:
        apply(online, made, write_source(made, folder, []))
        self.made = made
        self._opened = store.open_online(online, names.project(made))
        self._view = self._opened.get_feature_view(names.raw_view(made))
        self._feast = OnlineFeatures(online, made)
        self._runner = runner
        self.direct: Reader = open_reader(online, made, freeze(made), deadline=10)

    def write(self, customers: Sequence[dict[str, Any]]) -> None:
        """The ids of `customers` may be integers where the contract's are text."""
        kind = int if self.made.key and self.made.key.type == "integer" else str
        table = raw_table(self.made, [row | {"customer_id": kind(row["customer_id"])} for row in customers])
        table = table.rename_columns([names.field(name) for name in table.column_names])
        self._opened.provider.online_write_batch(self._opened.config, self._view, rows(self.made, table), None)

    def agree(self, ids: Sequence[str | int], now: datetime) -> list[Answer]:
        """Holds both answers against each other, bit by bit; gives Feast's."""
        answers = self._feast.read(ids, now)
        stored = self._runner.run(self.direct.read(ids, now.timestamp()))
        for row, answer in enumerate(answers):
            alone = self._runner.run(self.direct.read([ids[row]], now.timestamp()))
            self._agrees(answer, stored, row)
            self._agrees(answer, alone, 0)
        return answers

    def _agrees(self, answer: Answer, stored: Stored, row: int) -> None:
        assert np.isnan(stored.seen[row]) == isinstance(answer, Unknown)
        assert stored.stale[row] == isinstance(answer, Stale)
        if not isinstance(answer, Unknown):
            assert datetime.fromtimestamp(stored.seen[row], UTC) == answer.event_timestamp
        expected = np.full(len(self.made.raw), np.nan)
        if isinstance(answer, Known):
            expected = encode(self.made, raw_table(self.made, [{"customer_id": None} | answer.raw]))[0]
        assert [bits(value) for value in stored.columns[row]] == [bits(value) for value in expected]


def bits(value: float) -> bytes:
    return struct.pack("<d", float("nan") if np.isnan(value) else value)


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    env = {"CHURN_HOME": str(tmp_path / "home")}
    if request.param != "sqlite":
        env["CHURN_ONLINE_STORE"] = request.getfixturevalue(request.param)
    return Settings.load(env)


@pytest.fixture(params=["string", "integer"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def both(request: pytest.FixtureRequest, online: Settings, key: str, tmp_path: Path) -> Iterator[Both]:
    made = contract(name=f"m{abs(hash(request.node.name)):x}", key=key)
    plan = msgspec.structs.replace(made.columns["plan"], categories=LABELS)
    made = msgspec.structs.replace(made, columns=made.columns | {"plan": plan})
    with asyncio.Runner() as runner:
        both = Both(online, made, tmp_path / "run", runner)
        yield both
        both.direct.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("online", ["sqlite", "redis"], indirect=True)
def test_feast_and_the_frozen_layout_agree_on_every_value(both: Both, data: st.DataObject) -> None:
    ids = st.integers(-(2**63), 2**63 - 1) if both.made.key and both.made.key.type == "integer" else st.text()
    written = data.draw(st.dictionaries(ids, CUSTOMERS, max_size=4))
    both.write([{"customer_id": id_} | values for id_, values in written.items()])
    asked = [*data.draw(st.lists(ids, max_size=3)), *written, *written]
    both.agree(asked, data.draw(MOMENTS))


def test_feast_and_the_frozen_layout_agree_on_who_is_stale(both: Both) -> None:
    """To the microsecond: a value is served for the whole of its TTL."""
    both.write([customer(7, NOW - 45 * DAY, tenure=1), customer(8, NOW, tenure=2)])
    tick = timedelta(microseconds=1)
    known, stale = Known, Stale
    for now, kinds in ((NOW, [known, known]), (NOW + tick, [stale, known]), (NOW - tick, [known, known])):
        assert [type(answer) for answer in both.agree([7, 8, 9], now)] == [*kinds, Unknown]


def test_feast_and_the_frozen_layout_agree_on_what_is_written_twice(both: Both) -> None:
    both.write([customer(7, NOW - DAY, tenure=1, plan="basic"), customer(8, NOW - DAY, tenure=1)])
    both.write([customer(7, NOW, tenure=None, balance=5)])
    assert both.agree([7], NOW)[0] == Known(NOW, dict.fromkeys(both.made.raw) | {"balance": 5})


def test_feast_and_the_frozen_layout_agree_on_many(both: Both) -> None:
    both.write([customer(n, NOW, tenure=n, amount_y=n / 7, plan=LABELS[n % 4]) for n in range(0, 600, 2)])
    answers = both.agree(list(range(600)), NOW)
    assert sum(isinstance(answer, Known) for answer in answers) == 300


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("key", ["string"], indirect=True)
def test_feast_and_the_frozen_layout_agree_wherever_the_clock_stands(
    both: Both, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feast's SQLite store writes UTC as if it were local time."""
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        both.write([customer(n, NOW - n * 30 * DAY, tenure=n) for n in range(12)])
        both.agree(list(range(12)), NOW)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_view_that_shares_a_customer_with_another_is_not_mistaken_for_it(
    both: Both, online: Settings, key: str, tmp_path: Path
) -> None:
    both.write([customer(7, NOW, tenure=1)])
    other = contract(name=both.made.name, key=key, ttl=9)
    apply(
        online, other, write_source(other, tmp_path / "other", [customer("8" if key == "string" else 8, NOW, tenure=2)])
    )
    materialise(online, other, NOW)
    assert [type(answer) for answer in both.agree([7, 8], NOW)] == [Known, Unknown]
