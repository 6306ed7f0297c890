"""The year: month by month everyone is answered, outcomes arrive, and the loop runs through KFP on simulated dates."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.domain.bundle import Bundle
from churn.domain.contract import Contract, Costs
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.objects import ObjectStore
from churn.stores.settings import Settings
from feature_repo import names
from local import outcomes
from local.simulation import accounts, rivals, shop, world
from local.simulation.accounts import Alarm, Month, Summary
from local.simulation.alarms import alarms
from local.simulation.home import fresh
from local.simulation.loop import executor
from local.simulation.request import Request
from local.simulation.rivals import Blind
from local.simulation.terms import MODEL, terms

LOOP_AFTER = dt.timedelta(days=3)
"""From a month's snapshot to the loop's run: by then all outcomes of the month before are known, also of February's."""

WINDOW_MONTHS = 3
"""Months that blind retraining learns from; the loop's default window is as long."""

Tell = Callable[[Month], None]


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation gives; `churn simulate --json` prints it. `tasks` are all KFP tasks that ran."""

    scenario: str
    seed: int
    customers: int
    candidates: str
    executor: str
    costs: Costs
    summary: Summary
    alarms: tuple[Alarm, ...]
    months: tuple[Month, ...]
    tasks: tuple[str, ...]
    seconds: float
    artifacts: dict[str, str] = {}


def run(request: Request, tell: Tell = lambda _: None) -> Year:
    """Simulates in a home below `request.out`, which stays. Raises UserError when the first model is refused by its
    gate, StepFailed when a step breaks; when interrupted, nothing is left behind."""
    began = time.monotonic()
    try:
        with fresh(request.out / "home", request.seed) as settings:
            simulation = _Simulation(request, settings, terms(settings))
            for month in world.months(request.customers, request.seed, request.scenario, request.months):
                simulation.live(month, tell)
    except KeyboardInterrupt:
        shutil.rmtree(request.out, ignore_errors=True)
        raise
    return simulation.year(time.monotonic() - began)


class _Simulation:
    def __init__(self, request: Request, settings: Settings, contract: Contract) -> None:
        self._request, self._settings, self._contract = request, settings, contract
        self._lived: list[world.Month] = []
        self._months: list[Month] = []
        self._alarms: list[Alarm] = []
        self._tasks: list[str] = []
        self._executor = executor(request.executor, request.candidates, settings.home / "runs")
        self._never: Bundle | None = None
        self._blind: Blind | None = None

    def live(self, month: world.Month, tell: Tell) -> None:
        """One month; those before the year are only remembered."""
        self._lived.append(month)
        if month.number < 1:
            return
        if self._never is None:
            self._begin(month.day)
        found = self._answer_and_learn(month)
        self._months.append(found)
        tell(found)

    def year(self, seconds: float) -> Year:
        """The whole of it."""
        request, blind = self._request, self._blind
        begins = world.injected(request.scenario)
        return Year(
            scenario=request.scenario,
            seed=request.seed,
            customers=request.customers,
            candidates=request.candidates,
            executor=request.executor,
            costs=self._contract.costs,
            summary=accounts.summary(self._months, self._alarms, begins, blind.trained if blind else 0),
            alarms=tuple(self._alarms),
            months=tuple(self._months),
            tasks=tuple(self._tasks),
            seconds=round(seconds, 1),
        )

    def _begin(self, day: dt.date) -> None:
        """The first champion, by the training pipeline, of the months before the year."""
        folder = self._settings.home / "simulation"
        contract = folder / "contract.yaml"
        folder.mkdir()
        contract.write_text(self._contract.to_yaml(), encoding="utf-8")
        table = self._write("history", self._labelled(self._lived[:-1]))
        done = self._executor.train(table, contract, day)
        if not done.promoted:
            raise UserError(f"the first model is {done.reason}", where="month 1", remedy="take more --customers")
        self._tasks += done.tasks
        self._never, _ = rivals.champion(self._settings, MODEL)
        blind = self._contract.named(f"{MODEL}-blind")
        self._blind = Blind(self._settings, blind, self._never, folder / "blind", self._request.candidates)

    def _answer_and_learn(self, month: world.Month) -> Month:
        never, blind = self._never, self._blind
        assert never is not None
        assert blind is not None
        answered = {
            "never": rivals.answer(never, month.customers),
            "blind": rivals.answer(blind.bundle, month.customers),
            "ours": shop.answer(self._settings, self._contract, month.customers, month.day),
        }
        as_of = month.day + LOOP_AFTER
        if month.number > 1:
            self._learn(self._lived[-2], as_of)
            blind.retrain(self._labelled(self._lived[-1 - WINDOW_MONTHS : -1]), as_of)
        store = objects.open_store(self._settings)
        known = set(store.list("snapshots/"))
        done = self._executor.loop(MODEL, as_of)
        self._tasks += done.tasks
        ours = answered["ours"]
        self._alarms += alarms(month.number, as_of, ours.refused / len(month.left), done.monitoring, self._contract)
        left = month.left
        return Month(
            month=month.number,
            day=month.day,
            customers=len(left),
            leavers=int((left == 1).sum()),
            refused=ours.refused,
            version=ours.version,
            scores={
                name: accounts.score(left, answered[name].probability, answered[name].contacted, self._contract.costs)
                for name in accounts.SYSTEMS
            },
            as_of=as_of,
            retrained=done.retrain,
            because=done.because,
            outcome=done.outcome,
            reason=done.reason,
            promoted=done.version if done.outcome == "promoted" else None,
            learned=_days(store, set(store.list("snapshots/")) - known),
            monitoring=done.monitoring["reason"],
            tasks=tuple(done.tasks),
        )

    def _learn(self, before: world.Month, as_of: dt.date) -> None:
        """Loads what has become of those who were asked about a month ago."""
        contract = self._settings.home / "simulation" / "contract.yaml"
        outcomes.load(
            str(self._write(f"outcomes-{before.day}", before.outcomes)), str(contract), as_of=as_of.isoformat()
        )

    def _labelled(self, months: list[world.Month]) -> pa.Table:
        return pa.concat_tables([month.labelled for month in months])

    def _write(self, name: str, table: pa.Table) -> Path:
        file = self._settings.home / "simulation" / f"{name}.parquet"
        pq.write_table(table, file)
        return file


def _days(store: ObjectStore, snapshots: set[str]) -> tuple[dt.date, ...]:
    """The days of the rows in what a training was given."""
    tables = (pq.read_table(store.fetch(one), columns=[names.EVENT_TIMESTAMP]) for one in snapshots)
    found = {one.date() for table in tables for one in pc.unique(table[names.EVENT_TIMESTAMP]).to_pylist()}
    return tuple(sorted(found))
