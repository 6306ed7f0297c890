"""The exit task in a pipeline that ends well and one that fails, through KFP's local execution.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from churn.notices import ledger
from churn.stores import retrainings
from churn.stores.retrainings import Result, Retraining
from churn.stores.settings import Settings
from components.images import image
from components.notify.component import notify
from local.runner import Run, StepFailed, run
from tests.integration.notices.conftest import START
from tests.receivers import pagerduty_receiver, slack_receiver


@dsl.component(base_image=image("monitoring"), install_kfp_package=False)
def work(fails: bool) -> str:
    if fails:
        raise RuntimeError("customer 4711 is odd")
    return "done"


@dsl.pipeline(name="guarded")
def guarded(fails: bool, run: str):
    told = notify(model="shop", pipeline="retraining", run=run, as_of="2026-03-02")
    told.set_caching_options(enable_caching=False)
    with dsl.ExitHandler(told, name="whatever-happens"):
        work(fails=fails)


def finished(settings: Settings, env: dict[str, str], *, fails: bool, name: str = "run-1") -> Run:
    try:
        return run(
            guarded, {"fails": fails, "run": name}, name="guarded", root=settings.home / "runs",
            environment=settings.environment() | env,
        )  # fmt: skip
    except StepFailed as error:
        failed = error
    assert failed.step == "work"
    assert failed.run is not None
    return failed.run


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_failure_is_told_once_opens_an_incident_and_success_closes_it(
    settings: Settings, write: Any, slack: Any, pagerduty: Any
) -> None:
    with slack_receiver() as team, pagerduty_receiver() as duty:
        env = write(slack(team, least="info"), pagerduty(duty))
        failed = finished(settings, env, fails=True)
        assert failed.step("notify").outputs == {"told": ["team", "duty"], "said": "told: team, duty"}
        assert duty.open_incidents == {"churn/shop/failure/retraining"}
        assert finished(settings, env, fails=True).step("notify").outputs["told"] == []

        decision = Retraining(model="shop", as_of=START, run="run-2", version=4, retrain=True, because="spend drifted")
        retrainings.decide(settings.database, decision)
        retrainings.conclude(settings.database, "shop", "run-2", Result("promoted", "profit 9.1, 8.2 before", 5))
        finished(settings, env, fails=False, name="run-2")
    assert duty.open_incidents == set()
    titles = [one["text"].partition(" ")[2] for one in team.came]
    assert titles == [
        "shop: retraining failed", "shop: retraining runs again", "shop: retrained, version 5 is the champion",
    ]  # fmt: skip
    assert "4711" not in str(team.came) + str(duty.came) + str(ledger.courses(settings.database))


def test_the_exit_task_compiles_and_gets_its_status_from_kfp(tmp_path: Path) -> None:
    compiler.Compiler().compile(guarded, str(tmp_path / "guarded.yaml"))
    text = (tmp_path / "guarded.yaml").read_text()
    assert "taskFinalStatus:" in text
    assert "ALL_UPSTREAM_TASKS_COMPLETED" in text
    assert "churn/data-processing:dev" in text
