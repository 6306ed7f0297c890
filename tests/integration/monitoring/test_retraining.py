"""Deciding and assembling beside the real stores: the log, the outcomes, what was decided before, and leases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.contract import Key
from churn.domain.errors import UserError
from churn.domain.retraining import Bounds, Decision, Window
from churn.stores import leases, retrainings
from churn.stores.prediction_log.pseudonyms import entity_key
from churn.stores.retrainings import Result
from churn.stores.traffic import challenged
from churn.stores.traffic_store import open_traffic
from components.assemble.step import Assembled, Files, Wanted, assemble
from components.decide.bounds import bounds
from components.decide.step import Asked, decide, lease_of, leave
from components.files import write_json
from components.monitor_judge.report import Monitoring
from components.monitor_record.step import Recorded, record
from components.validate.step import valid_schema
from tests.bundles import publish, shop
from tests.monitored import AS_OF, DAY, NAMES, Shop

Watch = Callable[..., Monitoring]
LONG_AGO = AS_OF - 35 * DAY
FEW = Bounds(rows=100, leavers=10)


@pytest.fixture
def ask(open_shop: Shop, watch: Watch, tmp_path: Path) -> Callable[..., Decision]:
    """Monitors, records, and decides."""

    def ask(run: str = "run-1", **changes: Any) -> Decision:
        seen = kept(open_shop, watch(open_shop), tmp_path)
        newest = max(tmp_path.glob("assembled-*"), key=lambda one: int(one.name.partition("-")[2]))
        return decide(open_shop.settings, seen, newest / "predictions.parquet", Asked(run, **changes), FEW)

    return ask


def kept(shop: Shop, found: Monitoring, folder: Path) -> Recorded:
    write_json(folder / "judgement.json", found)
    return record(shop.settings, folder / "judgement.json")


def came_true(shop: Shop, rows: int, at: dt.datetime = LONG_AGO, share: float = 0.3) -> None:
    """Of the customers who were asked about at a time, so many left ten days later."""
    left = {f"c{row}": at + 10 * DAY if row < share * rows else None for row in range(rows)}
    shop.became(left, AS_OF)


def test_a_drift_is_answered_and_written_down(open_shop: Shop, ask: Callable[..., Decision]) -> None:
    open_shop.log(400, LONG_AGO, shift=100.0)
    came_true(open_shop, 400)
    open_shop.log(400, AS_OF, seed=1, shift=100.0)
    found = ask()
    assert (found.retrain, found.cause) == (True, "drift")
    (known,) = retrainings.every(open_shop.settings.database, "shop")
    assert (known.run, known.retrain, known.because, known.outcome) == ("run-1", True, found.because, "running")
    assert (known.as_of, known.since, known.version) == (AS_OF, found.since, 1)


def test_no_is_written_down_too_and_takes_nobodys_turn(open_shop: Shop, ask: Callable[..., Decision]) -> None:
    open_shop.log(400, AS_OF)
    found = ask()
    assert (found.retrain, found.because) == (False, "not retrained: quiet: nothing has drifted")
    (known,) = retrainings.every(open_shop.settings.database, "shop")
    assert (known.retrain, known.because, known.outcome, known.since) == (False, found.because, "none", None)
    assert leases.current(open_shop.settings.database, lease_of("shop")) is None


def test_of_two_at_once_the_second_is_told_who_is_first(open_shop: Shop, ask: Callable[..., Decision]) -> None:
    open_shop.log(400, LONG_AGO)
    came_true(open_shop, 400)
    assert ask("first", force=True).retrain
    with pytest.raises(UserError, match=r"another retraining is under way.*wait for it"):
        ask("second", force=True)
    (known,) = retrainings.every(open_shop.settings.database, "shop")
    assert known.run == "first", "the second has changed nothing"

    leave(open_shop.settings, "shop", "second")
    with pytest.raises(UserError, match="another retraining"):
        ask("second", force=True)
    leave(open_shop.settings, "shop", "first")
    assert retrainings.every(open_shop.settings.database, "shop")[0].outcome == "failed", "it came to no result"
    assert ask("second", force=True).retrain


def test_outcomes_that_a_refused_try_knew_are_not_new(open_shop: Shop, ask: Callable[..., Decision]) -> None:
    open_shop.log(400, LONG_AGO)
    came_true(open_shop, 400)
    tried = retrainings.Retraining(
        model="shop", as_of=AS_OF - DAY, run="before", version=1, retrain=True, because="x", outcome="refused"
    )
    retrainings.decide(open_shop.settings.database, tried)
    found = ask(force=True)
    assert not found.retrain
    assert found.because.endswith("no outcome is known that the last training did not know")
    older = msgspec.structs.replace(tried, as_of=AS_OF - 20 * DAY, run="long before")
    retrainings.decide(open_shop.settings.database, msgspec.structs.replace(tried, retrain=False, outcome="none"))
    retrainings.decide(open_shop.settings.database, older)
    assert ask(force=True).retrain


def test_outcomes_that_a_run_knew_which_failed_are_still_to_be_learned_from(
    open_shop: Shop, ask: Callable[..., Decision]
) -> None:
    open_shop.log(400, LONG_AGO)
    came_true(open_shop, 400)
    tried = retrainings.Retraining(
        model="shop", as_of=AS_OF - DAY, run="before", version=1, retrain=True, because="x", outcome="failed"
    )
    retrainings.decide(open_shop.settings.database, tried)
    assert ask(force=True).retrain


@pytest.mark.parametrize("force", [True, False])
def test_a_run_that_was_killed_is_known_to_have_failed_by_the_next(
    open_shop: Shop, ask: Callable[..., Decision], force: bool
) -> None:
    open_shop.log(400, LONG_AGO)
    came_true(open_shop, 400)
    assert ask("killed", force=True).retrain
    leases.release(open_shop.settings.database, lease_of("shop"), "killed")
    before = msgspec.structs.replace(
        retrainings.every(open_shop.settings.database, "shop")[0], as_of=AS_OF - DAY, run="long dead"
    )
    retrainings.decide(open_shop.settings.database, before)
    assert ask("next", force=force).retrain == force
    known = {one.run: one.outcome for one in retrainings.every(open_shop.settings.database, "shop")}
    assert known == {"next": "running" if force else "none", "long dead": "failed"}


def test_while_one_trains_another_that_only_looks_leaves_its_decision_alone(
    open_shop: Shop, ask: Callable[..., Decision]
) -> None:
    open_shop.log(400, LONG_AGO)
    came_true(open_shop, 400)
    assert ask("first", force=True).retrain
    with pytest.raises(UserError, match="as of the same time is under way"):
        ask("second")
    retrainings.conclude(open_shop.settings.database, "shop", "first", Result("promoted", "better", 2))


def test_rows_that_no_training_set_would_hold_are_not_counted(open_shop: Shop, ask: Callable[..., Decision]) -> None:
    came_true(open_shop, 400, share=0.1)
    open_shop.log(90, LONG_AGO)
    open_shop.log(400, LONG_AGO, shadow=True, version=2, variant="challenger")
    open_shop.log(400, LONG_AGO, contract=shop(description="another"), version=3)
    found = ask(force=True)
    assert not found.retrain
    assert found.because.endswith("90 outcomes are known, and 100 are needed")


def test_a_challenger_has_to_be_decided_first(open_shop: Shop, ask: Callable[..., Decision]) -> None:
    open_shop.log(400, LONG_AGO, shift=100.0)
    came_true(open_shop, 400)
    open_shop.log(400, AS_OF, seed=1, shift=100.0)
    store = open_traffic(open_shop.settings)
    serving = store.read("shop")
    assert serving is not None
    rival = msgspec.structs.replace(serving.champion, version=2, digest="f" * 64)
    store.write(challenged(serving, rival, 0.2), serving.revision)
    found = ask()
    assert not found.retrain
    assert found.because.endswith("version 2 is being tried: decide that rollout first, or force it")


def test_of_a_long_window_every_outcome_counts(open_shop: Shop, watch: Watch, tmp_path: Path) -> None:
    for days in (300, 35):
        open_shop.log(400, AS_OF - days * DAY)
    open_shop.became({f"c{row}": AS_OF - 25 * DAY if row < 100 else None for row in range(400)}, AS_OF)
    found = watch(open_shop, known_days=365)
    seen = kept(open_shop, found, tmp_path)
    (folder,) = tmp_path.glob("assembled-*")
    needed = Bounds(rows=800, leavers=100)
    asked = Asked("run-1", window_days=365, force=True)
    assert decide(open_shop.settings, seen, folder / "predictions.parquet", asked, needed).retrain


@pytest.mark.parametrize("days", [0, 3651, 10**6])
def test_a_window_that_cannot_be_is_refused(open_shop: Shop, watch: Watch, ask: Any, days: int) -> None:
    with pytest.raises(UserError, match=f"{days} days are no window"):
        watch(open_shop, days=days)
    with pytest.raises(UserError, match=f"{days} days are no window"):
        ask(window_days=days)


def test_windows_in_which_a_column_was_broken_are_not_trained_on_later(
    open_shop: Shop, watch: Watch, ask: Callable[..., Decision], tmp_path: Path
) -> None:
    broken = AS_OF - 33 * DAY
    open_shop.log(400, broken, shift=9000.0)
    came_true(open_shop, 400, broken)
    assert "spend" in [
        one.name for one in kept(open_shop, watch(open_shop, as_of=broken), tmp_path).judgement.drift.drifted
    ]
    assert not ask(force=True).retrain

    good = AS_OF - 31 * DAY
    open_shop.log(400, good, named=True)
    came_true(open_shop, 400, good)
    found = ask(force=True)
    assert (found.retrain, found.excluded) == (True, (Window(broken - DAY, broken),))
    rows = assembled(open_shop, tmp_path, found)[1]
    assert len(rows) == 400
    assert max(rows["spend"].to_pylist()) < 1000


def assembled(
    open_shop: Shop, folder: Path, decision: Decision | None = None, **changes: Any
) -> tuple[Assembled, pa.Table]:
    files = Files(folder / "out/valid.parquet", folder / "out/quarantine.parquet", folder / "out/report.json")
    decision = decision or Decision(retrain=True, because="asked", since=AS_OF - 90 * DAY)
    done = assemble(
        open_shop.settings,
        Wanted(**{"contract": open_shop.contract, "decision": decision, "as_of": AS_OF, **changes}),
        files,
    )
    return done, pq.read_table(files.valid)


def test_rows_of_the_log_become_a_training_set(open_shop: Shop, tmp_path: Path) -> None:
    open_shop.log(400, LONG_AGO)
    came_true(open_shop, 300)
    open_shop.log(400, AS_OF - DAY)  # nobody knows yet
    done, rows = assembled(open_shop, tmp_path)
    assert (done.valid, done.logged, done.source) == (300, True, "prediction log")
    assert rows.schema.equals(valid_schema(open_shop.contract))
    by_key = {row["customer_id"]: row for row in rows.to_pylist()}
    for number in (0, 89, 90, 299):
        row = by_key[entity_key(NAMES.pseudonym(f"c{number}"), integer=False)]
        assert row["gone"] == (number < 90)
        assert row["event_timestamp"] < LONG_AGO
    snapshot = pq.read_table(done.address)
    assert {"Kunde", "Plan", "Spend in EUR", "event_timestamp", "gone"} <= set(snapshot.column_names)
    again, same = assembled(open_shop, tmp_path / "again")
    assert again.digest == done.digest
    assert same.equals(rows)


def test_of_a_week_the_last_row_of_a_customer_counts(open_shop: Shop, tmp_path: Path) -> None:
    monday = AS_OF - 42 * DAY
    for hours in (1, 2, 8 * 24):
        open_shop.log(50, monday + dt.timedelta(hours=hours), seed=hours)
    came_true(open_shop, 50, monday)
    done, rows = assembled(open_shop, tmp_path)
    assert done.valid == 100
    minute = dt.timedelta(minutes=1)
    assert set(rows["event_timestamp"].to_pylist()) == {
        monday + dt.timedelta(hours=hours) - minute for hours in (2, 8 * 24)
    }


def test_who_had_left_before_is_nobody_to_learn_from(open_shop: Shop, tmp_path: Path) -> None:
    open_shop.log(50, LONG_AGO)
    open_shop.became({f"c{row}": LONG_AGO - DAY if row < 20 else None for row in range(50)}, AS_OF)
    done, rows = assembled(open_shop, tmp_path)
    assert (done.valid, sum(rows["gone"].to_pylist())) == (30, 0)


def test_shadows_other_contracts_and_the_nameless_are_left_out(open_shop: Shop, tmp_path: Path) -> None:
    came_true(open_shop, 50)
    open_shop.log(50, LONG_AGO, shadow=True)
    open_shop.log(50, LONG_AGO, named=False)
    open_shop.log(50, LONG_AGO, contract=shop(description="another"))
    with pytest.raises(UserError, match=r"no row with a known outcome.*load outcomes"):
        assembled(open_shop, tmp_path)
    open_shop.log(50, LONG_AGO, variant="challenger", version=2)
    assert assembled(open_shop, tmp_path)[0].valid == 50


def test_columns_may_have_the_names_of_the_logs_own(tmp_path: Path, watch: Watch) -> None:
    columns = dict(shop().columns)
    columns |= {"customer": columns.pop("rating"), "predicted_at": columns.pop("discount")}
    made = Shop(Shop.open(tmp_path / "home").settings, shop(name="odd", columns=columns))
    publish(made.settings, made.contract)
    made.log(50, LONG_AGO)
    came_true(made, 50)
    assert watch(made, model="odd", days=60).facts.rows == 50
    rows = assembled(made, tmp_path)[1]
    assert rows["predicted_at"].type == pa.float64()
    assert rows["event_timestamp"].type == pa.timestamp("us", tz="UTC")


def test_keys_that_are_numbers_are_numbers(open_shop: Shop, tmp_path: Path) -> None:
    numbered = shop(key=Key("customer_id", "Kunde", "integer"))
    open_shop.log(50, LONG_AGO, contract=numbered)
    came_true(open_shop, 50)
    keys = assembled(open_shop, tmp_path, contract=numbered)[1]["customer_id"]
    assert keys.type == pa.int64()
    assert len(set(keys.to_pylist())) == 50
    assert min(keys.to_pylist()) >= 0


def test_a_table_may_stand_for_the_log(open_shop: Shop, tmp_path: Path) -> None:
    usual = {"region": "north", "visits": 3, "discount": 1.0, "rating": 3.0}
    rows = pa.Table.from_pylist([
        {"Kunde": f"k{row}", "Plan": "basic" if row else "gold", "Spend in EUR": 5.0 + row, **usual,
         "gone": "yes" if row % 2 else "no"} for row in range(60)
    ])  # fmt: skip
    pq.write_table(rows, tmp_path / "table.parquet")
    done, valid = assembled(open_shop, tmp_path, data=str(tmp_path / "table.parquet"))
    assert (done.rows, done.valid, done.quarantined, done.logged) == (60, 59, 1, False)
    assert valid["customer_id"].to_pylist()[:2] == ["k1", "k2"]
    with pytest.raises(UserError, match="there is no such file"):
        assembled(open_shop, tmp_path, data=str(tmp_path / "nowhere.csv"))


def test_bounds_come_from_the_environment() -> None:
    assert bounds({}) == Bounds()
    given = bounds({"CHURN_RETRAIN_ROWS": "200", "CHURN_RETRAIN_AGE_DAYS": "30.5", "CHURN_RETRAIN_IMPORTANCE": "0.2"})
    assert given == Bounds(importance=0.2, age_days=30.5, rows=200, leavers=10)
    for name, value in (("ROWS", "many"), ("AGE_DAYS", "-1"), ("IMPORTANCE", "1.5"), ("ROWS", "nan"), ("ROWS", "0")):
        with pytest.raises(UserError, match=f"CHURN_RETRAIN_{name}"):
            bounds({f"CHURN_RETRAIN_{name}": value})


def test_a_result_needs_a_decision(open_shop: Shop) -> None:
    with pytest.raises(UserError, match="no such retraining"):
        retrainings.conclude(open_shop.settings.database, "shop", "nobody", Result("promoted", "x", 2))
    leave(open_shop.settings, "shop", "nobody")
