"""A challenger that comes and goes, the predecessor that returns, and two who act at once."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from churn.domain.errors import UserError
from churn.stores import objects, rollout_decisions
from churn.stores.errors import ConflictError
from churn.stores.registry import Registry
from churn.stores.traffic import Variant, challenged, promoted, returned
from local.rollout import acting
from local.rollout.acting import Wanted, Why
from tests import bundles
from tests.predictors import ROOT, environment
from tests.rollouts import Stage


def promote(stage: Stage, variant: Variant) -> None:
    stage.put(promoted(stage.document, "shop", variant))


def acts(stage: Stage) -> list[tuple[str, str, int, int | None]]:
    found = rollout_decisions.latest(stage.settings.database, "shop")
    return [(one.action, one.by, one.champion, one.challenger) for one in found]


@pytest.fixture
def registered(home: Stage, tmp_path: Path) -> int:
    """Three registered versions; the last is the champion, and the first, whose number this is, serves nobody."""
    registry = Registry(home.settings)
    for number in (1, 2, 3):
        folder = tmp_path / f"{number}"
        digest = bundles.write_bundle(folder, bundles.shop(), 10 + number)
        with registry.run("shop") as run:
            run.log_bundle(folder, digest, np.zeros((1, len(bundles.shop().raw))))
        assert registry.register("shop", run.id, digest) == number
        address = objects.open_store(home.settings).put_folder(folder, f"bundles/{digest}")
        promote(home, Variant(number, digest, address))
    return 1


def test_a_registered_version_gets_its_share_grows_and_is_stopped(home: Stage, registered: int) -> None:
    start = acting.start(home.settings, {}, "shop", Wanted(registered, 0.1))
    assert home.document == start.document
    assert start.problems == ()
    challenger = start.document.challenger
    assert challenger is not None
    assert (challenger.version, start.document.share, start.document.mode) == (registered, 0.1, "split")
    acting.start(home.settings, {}, "shop", Wanted(registered, 1.0, "shadow"))
    assert (home.document.share, home.document.mode) == (1.0, "shadow")
    aliases = {one.version: one.aliases for one in Registry(home.settings).versions("shop")}
    assert aliases[registered] == ("challenger",)
    acting.stop(home.settings, {}, "shop")
    assert (home.document.challenger, home.document.champion.version) == (None, 3)
    assert [one[0] for one in acts(home)] == ["stop", "start", "start"]
    with pytest.raises(UserError, match="no challenger to stop"):
        acting.stop(home.settings, {}, "shop")


def test_versions_that_cannot_be_are_no_challengers(home: Stage, registered: int) -> None:
    before = home.document
    with pytest.raises(UserError, match=r"has no version 9 \(there are: 3, 2, 1\)"):
        acting.start(home.settings, {}, "shop", Wanted(9, 0.1))
    with pytest.raises(UserError, match="is the champion already"):
        acting.start(home.settings, {}, "shop", Wanted(3, 0.1))
    with pytest.raises(UserError, match="no share"):
        acting.start(home.settings, {}, "shop", Wanted(registered, 0.0))
    assert home.document == before


def test_a_damaged_bundle_is_put_in_charge_of_nobody(home: Stage) -> None:
    second = home.variant(2)
    promote(home, second)
    (Path(home.champion.bundle) / "model.onnx").write_bytes(b"changed")
    before = home.document
    why = Why("roll back", "watch", "too slow")
    for act in (lambda: acting.back(home.settings, {}, "shop"),
                lambda: acting.start(home.settings, {}, "shop", Wanted(1, 0.5)),
                lambda: acting.put(home.settings, {}, before, returned(before), why)):  # fmt: skip
        with pytest.raises(UserError, match="missing or has changed"):
            act()
    assert home.document == before


def test_what_nobody_foresaw_after_the_switch_is_told_and_fails_nothing(
    home: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.challenge(home.variant(2))

    def broken(*_: object) -> None:
        raise OverflowError("int too large")

    monkeypatch.setattr(rollout_decisions, "record", broken)
    monkeypatch.setattr(acting, "send", broken)
    done = acting.stop(home.settings, {}, "shop")
    assert home.document.challenger is None
    assert done.problems[:2] == ("it is not written down: OverflowError", "nobody was told: OverflowError")


def test_the_predecessor_returns_once(stage: Stage) -> None:
    promote(stage, stage.variant(2))
    done = acting.back(stage.settings, {}, "shop")
    assert (stage.document.champion, stage.document.previous) == (stage.champion, None)
    assert done.decision.reason == "version 1 was put back in the place of version 2 by hand"
    assert acts(stage) == [("back", "person", 1, None)]
    with pytest.raises(UserError, match="no predecessor"):
        acting.back(stage.settings, {}, "shop")


def test_the_predecessor_returns_in_the_middle_of_a_split_and_the_challenger_leaves(home: Stage) -> None:
    promote(home, home.variant(2))
    home.challenge(home.variant(3, seed=1))
    acting.back(home.settings, {}, "shop")
    assert (home.document.champion.version, home.document.challenger, home.document.share) == (1, None, 0.0)


def test_who_acts_on_what_somebody_has_changed_changes_nothing(home: Stage) -> None:
    promote(home, home.variant(2))
    seen = home.document
    theirs = home.challenge(home.variant(3, seed=1))
    why = Why("roll back", "watch", "too slow")
    with pytest.raises(ConflictError, match="nothing was changed by this one"):
        acting.put(home.settings, {}, seen, promoted(seen, "shop", home.champion), why)
    assert home.document == theirs
    assert acts(home) == []


RACE = """
import os, sys
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from churn.stores.traffic import promoted, Variant
from churn.stores.errors import ConflictError
from local.rollout import acting
settings, store = Settings.load(), open_traffic(Settings.load())
before = store.read("shop")
print("ready", flush=True)
sys.stdin.readline()
try:
    if sys.argv[1] == "promotion":
        store.write(promoted(before, "shop", Variant(9, "9" * 64, "bundle")), before.revision)
    else:
        after = promoted(before, "shop", before.challenger)
        acting.put(settings, {}, before, after, acting.Why("promote", "decide", "x"))
    print("won")
except ConflictError:
    print("lost")
"""


def test_of_a_promotion_and_a_rollout_at_once_one_wins_and_the_other_says_so(home: Stage) -> None:
    home.challenge(home.variant(2))
    kinds = ["promotion", "rollout"] * 2
    runners = [
        subprocess.Popen([sys.executable, "-c", RACE, kind], cwd=ROOT, env=environment(home.settings.home), text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for kind in kinds
    ]  # fmt: skip
    for runner in runners:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
    said = [runner.communicate("go\n")[0].strip() for runner in runners]
    assert sorted(said) == ["lost", "lost", "lost", "won"]
    winner = kinds[said.index("won")]
    assert home.document.champion.version == (9 if winner == "promotion" else 2)
    assert home.document.revision == 3
    assert len(acts(home)) == (winner == "rollout")


def test_what_only_follows_the_switch_does_not_fail_it(home: Stage) -> None:
    home.challenge(home.variant(2))
    away = "postgresql://nobody@127.0.0.1:9/nothing"
    settings = msgspec.structs.replace(home.settings, database=away, mlflow_uri="http://127.0.0.1:9")
    done = acting.put(settings, {}, home.document, challenged(home.document, home.variant(2), 0.9),
                      Why("start", "person", "x"))  # fmt: skip
    assert home.document.share == 0.9
    assert len(done.problems) >= 2
    assert any("not written down" in one for one in done.problems)
    assert any("MLflow's aliases" in one for one in done.problems)


def test_decisions_are_read_newest_first(home: Stage) -> None:
    url, at = home.settings.database, datetime(2026, 3, 1, tzinfo=UTC)
    for place in range(3):
        one = rollout_decisions.Decision(
            model="shop", at=at + dt.timedelta(hours=place), action="start", by="person", reason=f"{place}",
            champion=1, challenger=2, share=0.5, revision=place,
        )  # fmt: skip
        rollout_decisions.record(url, one)
    assert [one.reason for one in rollout_decisions.latest(url, "shop", 2)] == ["2", "1"]
    assert rollout_decisions.latest(url, "garage") == []
