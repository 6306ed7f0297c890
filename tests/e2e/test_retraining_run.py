"""The retraining pipeline through KFP, beside real stores: each way it may end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from churn.domain.errors import UserError
from churn.stores import files, leases, retrainings
from churn.stores.registry import Registry
from churn.stores.traffic_store import open_traffic
from components.decide.step import lease_of
from local import models, retraining
from local.retraining import Request, Retraining
from tests.bundles import publish
from tests.monitored import AS_OF, DAY, Shop

LONG_AGO = AS_OF - 35 * DAY
ASKED: dict[str, Any] = {"as_of": AS_OF.isoformat(), "candidates": "logistic-regression"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose settings are this process's, and in which 500 outcomes are enough to learn from."""
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHURN_RETRAIN_ROWS", "500")
    return Shop.open(tmp_path / "home")


@pytest.fixture
def retrain() -> Callable[..., Retraining]:
    return lambda **changes: retraining.run(Request.parse("shop", **{**ASKED, **changes}))


def lived_through(shop: Shop, rows: int = 1200, **log: Any) -> None:
    """Customers were asked about, and most of those with a low score left: the champion is wrong about them."""
    p = shop.log(rows, LONG_AGO, seed=5, **log)
    leaves = np.random.default_rng(1).random(rows) < 0.85 - 0.7 * p
    shop.became({f"c{row}": LONG_AGO + 5 * DAY if leaves[row] else None for row in range(rows)}, AS_OF)


def champion(shop: Shop) -> int:
    traffic = open_traffic(shop.settings).read("shop")
    assert traffic is not None
    return traffic.champion.version


def names(done: Retraining) -> list[str]:
    """The tasks, without the one that tells of the judgement while the others go on."""
    found = [task.removeprefix(f"{done.run_id}/") for task in done.tasks]
    assert "monitor-notify" in found
    return [name for name in found if name != "monitor-notify"]


WATCHED = ["monitor-assemble", "monitor-judge", "monitor-record", "decide"]
TRAINED = [*WATCHED, "assemble", "transform", "train", "evaluate"]


def test_where_nothing_has_changed_it_looks_decides_and_stops(shop: Shop, retrain: Callable[..., Retraining]) -> None:
    shop.log(800, AS_OF)
    done = retrain()
    assert (done.retrain, done.outcome, done.version, done.reason) == (False, "none", None, "")
    assert done.because == "not retrained: quiet: nothing has drifted"
    assert names(done) == [*WATCHED, "notify"]
    assert (done.monitoring["status"], done.monitoring["rows"]) == ("quiet", 800)
    assert champion(shop) == 1


def test_a_better_model_takes_over_and_every_place_says_why(shop: Shop, retrain: Callable[..., Retraining]) -> None:
    lived_through(shop, shift=120.0)
    shop.log(800, AS_OF, seed=9, shift=120.0)
    done = retrain()
    assert done.because.startswith("drifted: spend by 0.")
    assert (done.retrain, done.outcome) == (True, "promoted")
    assert "better than version 1: log-loss better by" in done.reason
    assert names(done) == [*TRAINED, "materialise", "promote", "conclude", "notify"]
    assert done.version is not None
    assert champion(shop) == done.version

    (known,) = retrainings.every(shop.settings.database, "shop")
    assert (known.because, known.reason, known.outcome, known.new_version) == (
        done.because, done.reason, "promoted", done.version,
    )  # fmt: skip
    (registered,) = Registry(shop.settings).versions("shop")
    assert registered.description == done.reason
    tags = Registry(shop.settings)._client.get_run(registered.run_id).data.tags
    assert tags["retraining.because"] == done.because
    assert (tags["retraining.outcome"], tags["retraining.reason"]) == ("promoted", done.reason)
    page = Path(done.artifacts["evaluation"]).read_text(encoding="utf-8")
    assert "Retrained because:" in page
    assert "drifted: spend by 0." in page
    assert leases.current(shop.settings.database, lease_of("shop")) is None

    assert models.retrainings("shop") == [known]
    assert [column.header for column in models.decisions([known]).columns][:2] == ["as of", "version"]
    again = retrain(as_of=(AS_OF + DAY).isoformat(), force=True)
    assert again.because.endswith("no outcome is known that the last training did not know")


def test_a_model_that_is_not_proven_better_is_left(shop: Shop, retrain: Callable[..., Retraining]) -> None:
    shop.log(1200, LONG_AGO, seed=5)
    by_chance = np.random.default_rng(3).random(1200) < 0.4
    shop.became({f"c{row}": LONG_AGO + 5 * DAY if by_chance[row] else None for row in range(1200)}, AS_OF)
    done = retrain(force=True)
    assert (done.because, done.retrain, done.outcome, done.version) == ("it was asked for", True, "refused", None)
    assert done.reason.startswith("refused: roc_auc 0.")
    assert names(done) == [*TRAINED, "conclude-2", "notify"]
    assert champion(shop) == 1
    assert retrainings.every(shop.settings.database, "shop")[0].outcome == "refused"


def test_with_a_share_the_better_model_begins_as_challenger(shop: Shop, retrain: Callable[..., Retraining]) -> None:
    lived_through(shop)
    shop.log(300, AS_OF)
    done = retrain(force=True, share=0.2)
    assert done.outcome == "challenger"
    assert f"version {done.version} meets 20 % of the customers beside version 1: roc_auc" in done.reason
    traffic = open_traffic(shop.settings).read("shop")
    assert traffic is not None
    assert traffic.challenger is not None
    assert (traffic.champion.version, traffic.challenger.version, traffic.share) == (1, done.version, 0.2)
    (registered,) = Registry(shop.settings).versions("shop")
    assert "challenger" in registered.aliases


def test_a_promotion_that_was_faster_is_no_loss(
    shop: Shop, retrain: Callable[..., Retraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the gate and the switch somebody else promotes: the run fails, says so, and the other one stays."""
    lived_through(shop)
    shop.log(300, AS_OF)

    def another(event: Any) -> None:
        if event.step == "materialise" and event.kind == "finished":
            publish(shop.settings, shop.contract, version=7, seed=3)

    with pytest.raises(UserError, match="another promotion was faster"):
        retraining.run(Request.parse("shop", **ASKED, force=True), another)
    assert champion(shop) == 7
    (known,) = retrainings.every(shop.settings.database, "shop")
    assert (known.outcome, known.reason) == ("failed", "the run came to no end")
    assert leases.current(shop.settings.database, lease_of("shop")) is None


def test_a_run_that_fails_leaves_its_turn_to_the_next(shop: Shop, retrain: Callable[..., Retraining]) -> None:
    (bundle,) = (shop.settings.home / "objects" / "bundles").iterdir()
    hidden = bundle.rename(bundle.with_name("elsewhere"))
    with pytest.raises(UserError, match=bundle.name):
        retrain()
    hidden.rename(bundle)
    shop.log(800, AS_OF)
    assert retrain().outcome == "none"


def test_of_two_runs_at_once_the_second_is_refused(shop: Shop, retrain: Callable[..., Retraining]) -> None:
    lock = shop.settings.home / "locks" / "retraining-shop"
    with files.locked(lock), pytest.raises(UserError, match=r"another retraining is under way.*wait for it"):
        retrain()
    leases.acquire(shop.settings.database, lease_of("shop"), "killed", 3600)
    shop.log(800, AS_OF)
    assert retrain().outcome == "none", "who was killed on this machine holds nothing any more"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"as_of": "yesterday"}, "'yesterday' is not a date"),
        ({"days": 0}, "0 days are no window"),
        ({"window_days": 10_000}, "10000 days are no window"),
        ({"comparison": "inferior"}, "'inferior' is no rule"),
        ({"share": 1.0}, "1 is no share of the customers"),
        ({"runner": "vnev"}, "there is no runner 'vnev'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        Request.parse("shop", **asked)
