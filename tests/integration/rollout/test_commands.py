"""`churn rollout` as a person and as a program has it, and whom it tells."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.stores.traffic import promoted
from local import main
from tests.receivers import Receiver, slack_receiver
from tests.rollouts import DAY, Stage

Churn = Callable[..., tuple[int, str, str]]
START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@pytest.fixture
def churn(home: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    """`churn rollout` with these arguments about the shop: exit code, stdout, stderr."""
    monkeypatch.setenv("CHURN_HOME", str(home.settings.home))

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        code = main._run(["rollout", command, *arguments, "--model", "shop"])
        return code, *capsys.readouterr()

    return run


def lose(stage: Stage) -> None:
    """The challenger brings less: half of all leave, and it contacts nobody."""
    stage.challenge(stage.variant(2))
    stage.log(2, ["the-first"], START - DAY, contacts=False)
    groups = {version: [f"{version}-{place}" for place in range(300)] for version in (1, 2)}
    for version, names in groups.items():
        stage.log(version, names, START, contacts=version == 1)
    everybody = [name for names in groups.values() for name in names]
    stage.became(everybody[::2], everybody[1::2], START + DAY, START + 40 * DAY)


def test_who_serves_is_told_in_a_sentence_and_as_a_document(home: Stage, churn: Churn) -> None:
    home.put(promoted(home.document, "shop", home.variant(2)))
    home.challenge(home.variant(3, seed=1), 0.2)
    code, out, _ = churn("status")
    assert (code, out.strip()) == (
        0,
        "Version 2 of shop is the champion, version 3 gets 20% of the customers; before it was version 1.",
    )
    found = json.loads(churn("status", "--json")[1])
    assert (found["traffic"]["share"], found["decisions"]) == (0.2, [])


def test_who_serves_is_told_while_the_database_is_away(churn: Churn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_DATABASE", "postgresql://nobody@127.0.0.1:9/nothing")
    code, out, err = churn("status")
    assert (code, out.strip()) == (0, "Version 1 of shop is the champion.")
    assert "what was done before is not known" in err


def test_a_decision_is_said_and_only_done_when_it_is_to_be(home: Stage, churn: Churn) -> None:
    lose(home)
    as_of = ("--as-of", "2026-05-01")
    code, out, err = churn("decide", *as_of)
    assert code == 0
    assert out.startswith("version 2 is rolled back: it brings 20.")
    assert "600 customers, 300 of them met the challenger; 600 have an outcome" in out
    assert "nothing was changed; --apply does it" in err
    found = json.loads(churn("decide", *as_of, "--json")[1])
    assert (found["action"], found["applied"], found["traffic"]["challenger"]["version"]) == ("roll back", False, 2)
    found = json.loads(churn("decide", *as_of, "--apply", "--json")[1])
    assert (found["applied"], found["traffic"]["challenger"]) == (True, None)
    assert home.document.challenger is None
    (row,) = json.loads(churn("status", "--json")[1])["decisions"]
    assert (row["action"], row["by"], row["reason"]) == ("roll back", "decide", found["reason"])
    code, _, err = churn("decide")
    assert (code, "has no challenger" in err) == (2, True)


def test_back_and_stop_say_what_serves_now(home: Stage, churn: Churn) -> None:
    home.put(promoted(home.document, "shop", home.variant(2)))
    home.challenge(home.variant(3, seed=1))
    assert "Version 2 of shop is the champion; before it was version 1." in churn("stop")[1]
    assert churn("back")[1].startswith("version 1 was put back in the place of version 2 by hand. Version 1 of shop")
    code, out, _ = churn("back", "--json")
    assert (code, json.loads(out)["error"]["problem"]) == (2, "version 1 has no predecessor to return to")


def test_a_version_that_is_not_registered_does_not_start(churn: Churn) -> None:
    code, _, err = churn("start", "8", "--share", "0.1")
    assert (code, "has no version 8" in err) == (2, True)


def test_a_rollback_is_told(home: Stage, churn: Churn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(home)
    with slack_receiver() as receiver:
        _name(receiver, tmp_path, monkeypatch)
        churn("decide", "--as-of", "2026-05-01", "--apply")
    (message,) = receiver.came
    assert "shop: version 2 is rolled back: it brings" in json.dumps(message)


def _name(receiver: Receiver, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slack").write_text(receiver.address)
    (folder / "notices.yaml").write_text("channels: [{name: team, kind: slack, webhook: {file: slack}}]\n")
    monkeypatch.setenv("CHURN_NOTICES", str(folder / "notices.yaml"))
