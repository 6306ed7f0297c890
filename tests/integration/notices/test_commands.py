"""`churn notices`, as people type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from churn.notices.send import send
from churn.stores.settings import Settings
from local import main
from tests.integration.notices.conftest import Write, notice, over
from tests.receivers import WEBHOOK, mail_server, pagerduty_receiver, slack_receiver
from tests.servers import free_port

Churn = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def churn(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    def churn(env: dict[str, str], *arguments: str) -> tuple[int, str]:
        for name, value in (settings.environment() | env).items():
            monkeypatch.setenv(name, value)
        code = main._run(["notices", *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return churn


def test_each_channel_is_tried_and_leaves_no_incident(churn: Churn, write: Write, slack: Any, pagerduty: Any) -> None:
    with slack_receiver() as team, pagerduty_receiver() as duty, mail_server() as server:
        mail = {"name": "mail", "kind": "mail", "server": f"smtp://127.0.0.1:{server.port}",
                "from": "a@example.org", "to": ["b@example.org"]}  # fmt: skip
        code, said = churn(write(slack(team), pagerduty(duty), mail), "test")
    assert (code, said.splitlines()) == (
        0, ["team (slack): took it", "duty (pagerduty): took it", "mail (mail): took it"],
    )  # fmt: skip
    assert "a test of this channel" in team.came[0]["text"]
    assert duty.open_incidents == set()
    assert len(server.letters) == 1


def test_one_channel_is_tried_alone(churn: Churn, write: Write, slack: Any) -> None:
    with slack_receiver() as team, slack_receiver() as other:
        code, said = churn(write(slack(team), slack(other, "other")), "test", "--channel", "other")
    assert (code, said, team.came, len(other.came)) == (0, "other (slack): took it\n", [], 1)


def test_a_channel_that_takes_nothing_is_a_failure_without_its_secret(churn: Churn, write: Write, slack: Any) -> None:
    env = write(slack(f"http://127.0.0.1:{free_port()}{WEBHOOK}"))
    code, said = churn(env, "test")
    assert code == 2
    assert "team (slack): it was not reached: Connection refused" in said
    assert "notasecret" not in said
    code, said = churn(env, "test", "--json")
    assert (code, json.loads(said)[0]["channel"]) == (2, "team")


def test_a_channel_that_is_not_there_and_no_channel_at_all_are_told(churn: Churn, write: Write, slack: Any) -> None:
    code, said = churn({"CHURN_NOTICES": ""}, "test")
    assert code == 2
    assert "there are no channels" in said
    code, said = churn(write(slack("https://slack.example")), "test", "--channel", "taem")
    assert code == 2
    assert "there is no channel 'taem'" in said
    assert "team" in said


def test_what_was_told_is_listed_with_what_waits(churn: Churn, settings: Settings, write: Write, slack: Any) -> None:
    assert churn({}, "list") == (0, "nothing was told yet\n")
    with slack_receiver() as receiver:
        env = write(slack(receiver), slack(f"http://127.0.0.1:{free_port()}{WEBHOOK}", "away"))
        for one in (notice(key="shop/drift"), notice(1), notice(2, key="old"), over(3, key="old")):
            send(settings, one, env)
    code, said = churn(env, "list", "--json")
    drift, old = json.loads(said)
    assert code == 0
    assert (drift["key"], drift["seen"], drift["channels"]) == ("shop/drift", 2, ["team", "away"])
    assert drift["waiting"] == {"away": "it was not reached: Connection refused"}
    assert (old["key"], old["recovered_at"]) == ("old", "2026-03-02T09:00:00Z")
    code, said = churn(env, "list")
    assert "goes on; away waits" in said
    assert "over since 2026-03-02" in said
