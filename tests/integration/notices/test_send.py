"""The notifier on both databases: whom it tells, what it groups, what it keeps for later."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn.domain.errors import UserError
from churn.notices import carrying, delivery, ledger
from churn.notices.channels import load
from churn.notices.send import Sent, send, send_all
from churn.stores.database import engine
from churn.stores.settings import Settings
from tests.integration.notices.conftest import Write, notice, over
from tests.receivers import WEBHOOK, Receiver, pagerduty_receiver, slack_receiver
from tests.servers import free_port


def bodies(receiver: Receiver) -> list[str]:
    return [one["blocks"][1]["text"]["text"] for one in receiver.came]


def test_without_channels_it_is_written_down_and_said(settings: Settings) -> None:
    sent = send(settings, notice(), {})
    assert sent == Sent(news=("shop: spend has drifted",), channels=0)
    assert sent.said() == "nobody was told: CHURN_NOTICES names no channels"
    assert send(settings, notice(1), {}).grouped
    [course] = ledger.courses(settings.database)
    assert (course.seen, course.notice, course.channels) == (2, notice(1), ())


def test_the_same_again_is_not_sent_again_and_the_reminder_says_how_often_and_since_when(
    settings: Settings, write: Write, slack: Any
) -> None:
    with slack_receiver() as receiver:
        env = write(slack(receiver))
        sent = [send(settings, notice(hours), env) for hours in (0, 6, 12, 24)]
    assert [one.told for one in sent] == [("team",), (), (), ("team",)]
    assert [one.grouped for one in sent] == [False, True, True, False]
    assert "Since 2026-03-02 06:00 UTC." in bodies(receiver)[0]
    assert "Since 2026-03-02 06:00 UTC, seen 4 times." in bodies(receiver)[1]


def test_another_column_and_a_rising_severity_are_sent_at_once(settings: Settings, write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        env = write(slack(receiver))
        for one in (notice(), notice(1, about=("spend", "age")), notice(2, severity="critical"), notice(3)):
            send(settings, one, env)
    assert len(receiver.came) == 3


def test_a_notice_of_a_time_to_come_silences_nothing(settings: Settings, write: Write, slack: Any) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=9999)
    with slack_receiver() as receiver:
        env = write(slack(receiver))
        send(settings, msgspec.structs.replace(notice(), at=later), env)
        now = msgspec.structs.replace(notice(about=("age",)), at=dt.datetime.now(dt.UTC))
        assert send(settings, now, env).told == ("team",)
    assert len(receiver.came) == 2


def test_things_that_differ_are_not_grouped(settings: Settings, write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        sent = send_all(
            settings, [notice(), notice(key="shop/performance"), notice(key="else/drift")], write(slack(receiver))
        )
    assert (sent.told, len(sent.news), len(receiver.came)) == (("team",), 3, 3)


def test_a_notice_goes_to_the_channels_that_are_meant_for_it(
    settings: Settings, write: Write, slack: Any, pagerduty: Any
) -> None:
    with slack_receiver() as all_of_it, slack_receiver() as team, pagerduty_receiver() as duty:
        env = write(slack(all_of_it, "all", least="info"), slack(team), pagerduty(duty))
        told = [
            send(settings, notice(severity=one, key=f"shop/{one}"), env).told for one in ("info", "warning", "critical")
        ]
    assert told == [("all",), ("all", "team"), ("all", "team", "duty")]


def test_that_it_is_over_is_told_once_to_those_who_heard_of_it_and_closes_the_incident(
    settings: Settings, write: Write, slack: Any, pagerduty: Any
) -> None:
    with slack_receiver() as team, slack_receiver() as late, pagerduty_receiver() as duty:
        env = write(slack(team), pagerduty(duty), slack(late, "late", least="critical"))
        assert send(settings, over(-1), env) == Sent(grouped=True, channels=3)
        send(settings, notice(), env)
        assert duty.open_incidents == set()
        send(settings, notice(1, severity="critical"), env)
        assert duty.open_incidents == {"churn/shop/drift"}
        late.came.clear()
        assert set(send(settings, over(2), env).told) == {"team", "duty", "late"}
        assert send(settings, over(3), env).told == ()
    assert duty.open_incidents == set()
    assert "Since 2026-03-02 06:00 UTC, until 2026-03-02 08:00 UTC, seen 2 times." in bodies(team)[-1]


def test_a_channel_that_is_away_is_told_with_the_next_sending_and_the_others_at_once(
    settings: Settings, write: Write, slack: Any
) -> None:
    with slack_receiver() as team, slack_receiver(["500"] * 3) as away:
        env = write(slack(team), slack(away, "away"))
        first = send(settings, notice(), env)
        assert (first.told, away.came) == (("team",), [])
        assert first.problems == ("away: it answered 500: no: /***",)
        [waiting] = ledger.waiting(settings.database)
        assert (waiting.channel, waiting.attempts, waiting.problem) == ("away", 1, "it answered 500: no: /***")
        second = send(settings, notice(1), env)
        assert (second.told, second.grouped, second.problems) == (("away",), True, ())
        assert send(settings, notice(2), env).told == ()
    assert (len(team.came), len(away.came)) == (1, 1)
    assert ledger.waiting(settings.database) == []


def test_a_channel_that_never_ends_its_answer_keeps_nobody_waiting_and_is_left_to_it(
    settings: Settings, write: Write, slack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(carrying, "DEADLINE_S", 0.5)
    with slack_receiver() as team, slack_receiver(["hang"]) as endless:
        env = write(slack(team), slack(endless, "endless"))
        sent = send(settings, notice(), env)
        assert sent.problems[-1] == "endless: it did not answer within 0.5 s"
        [waiting] = [one for one in ledger.waiting(settings.database) if one.channel == "endless"]
        assert waiting.problem == "it did not answer within 0.5 s"
        assert "endless" not in send(settings, notice(1), env).told, "it may still take it: that would be twice"
        assert endless.asked == 1


def test_of_one_thing_only_the_newest_waits(settings: Settings, write: Write, slack: Any) -> None:
    nobody = write(slack(f"http://127.0.0.1:{free_port()}{WEBHOOK}"))
    for hours in (0, 24, 48):
        assert send(settings, notice(hours), nobody).problems == ("team: it was not reached: Connection refused",)
    with slack_receiver() as receiver:
        assert send_all(settings, [], write(slack(receiver))).told == ("team",)
    [body] = bodies(receiver)
    assert "seen 3 times" in body


def test_what_waits_for_a_channel_that_is_no_more_is_kept(settings: Settings, write: Write, slack: Any) -> None:
    send(settings, notice(), write(slack(f"http://127.0.0.1:{free_port()}{WEBHOOK}", "former")))
    send(settings, notice(1), write())
    assert [one.channel for one in ledger.waiting(settings.database)] == ["former"]


def test_a_secret_that_is_gone_silences_its_channel_alone(
    settings: Settings, write: Write, slack: Any, tmp_path: Path
) -> None:
    with slack_receiver() as team, slack_receiver() as other:
        env = write(slack(team), slack(other, "other"))
        (tmp_path / "other").unlink()
        sent = send(settings, notice(), env)
        assert sent.told == ("team",)
        assert "other: the file other cannot be read" in sent.problems[0]
        slack(other, "other")
        assert send(settings, notice(1), env).told == ("other",)


def test_a_database_that_is_away_keeps_nobody_from_being_told(tmp_path: Path, write: Write, slack: Any) -> None:
    settings = Settings.load({
        "CHURN_HOME": str(tmp_path), "CHURN_DATABASE": f"postgresql://churn:sesame@127.0.0.1:{free_port()}/churn",
    })  # fmt: skip
    with slack_receiver() as receiver:
        sent = send_all(settings, [notice(kind="failure"), over(0)], write(slack(receiver, least="info")))
    assert (sent.told, len(receiver.came)) == (("team",), 1)
    assert sent.problems[0].startswith("what is told is not remembered: ")
    assert "sesame" not in sent.said()


def test_a_fault_in_the_file_is_the_users(settings: Settings, write: Write) -> None:
    with pytest.raises(UserError, match=r"channels\[0\]"):
        send(settings, notice(), write({"name": "team", "kind": "fax"}))


def test_neither_database_nor_answer_holds_a_secret(
    settings: Settings, write: Write, slack: Any, pagerduty: Any
) -> None:
    with slack_receiver(["500"] * 3) as team, pagerduty_receiver(["400"]) as duty:
        sent = send(settings, notice(severity="critical"), write(slack(team), pagerduty(duty)))
    assert len(sent.problems) == 2
    with engine(settings.database).connect() as connection:
        kept = [list(connection.execute(sa.text(f"SELECT * FROM {table}"))) for table in ("notices", "notice_queue")]
    assert len(kept[1]) == 2
    for text in (str(kept), sent.said(), repr(sent)):
        assert "notasecret" not in text
        assert "0123456789abcdef" not in text


SENDER = """
import os, sys
import msgspec
import sqlalchemy, alembic.command, alembic.config
from churn.notices.notice import Notice
from churn.notices.send import send_all
from churn.stores.settings import Settings
notices = msgspec.json.decode(sys.argv[1], type=list[Notice])
print("ready", flush=True)
sys.stdin.readline()
sent = send_all(Settings.load(), notices, os.environ)
print(len(sent.news), *sent.told, *sent.problems)
"""


def test_two_senders_at_once_send_once(settings: Settings, write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        env = os.environ | settings.environment() | write(slack(receiver))
        notices = msgspec.json.encode([notice(), notice(key="shop/performance")]).decode()
        command = [sys.executable, "-c", SENDER, notices]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        senders = [subprocess.Popen(command, env=env, **pipes) for _ in range(3)]
        for one in senders:
            assert one.stdout.readline() == "ready\n"
        for one in senders:
            one.stdin.write("go\n")
            one.stdin.flush()
        said = sorted(one.communicate()[0].strip() for one in senders)
    assert said == ["0", "0", "2 team"]
    assert len(receiver.came) == 2
    assert {one.seen for one in ledger.courses(settings.database)} == {1}


def test_a_sender_that_dies_leaves_its_messages_to_the_next(settings: Settings, write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        env = write(slack(receiver))
        long_ago = dt.datetime.now(dt.UTC) - ledger.TAKEN
        taken = ledger.note(settings.database, [notice()], load(env), long_ago)
        assert len(taken.waiting) == 1
        assert send(settings, notice(1), env).told == ("team",)
        assert send(settings, notice(2), env).told == ()
    assert len(receiver.came) == 1


def test_what_another_is_sending_is_left_to_it(settings: Settings, write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        env = write(slack(receiver))
        taken = ledger.note(settings.database, [notice()], load(env), dt.datetime.now(dt.UTC))
        assert send(settings, notice(1), env).told == ()
        ledger.settle(settings.database, [], {taken.waiting[0].id: "it hung up"})
        assert send(settings, notice(2), env).told == ("team",)


def test_news_that_comes_while_an_older_message_is_on_its_way_is_not_lost(
    settings: Settings, write: Write, slack: Any
) -> None:
    with slack_receiver() as receiver:
        env = write(slack(receiver))
        taken = ledger.note(settings.database, [notice()], load(env), dt.datetime.now(dt.UTC))
        ledger.note(settings.database, [notice(1, severity="critical")], load({}), dt.datetime.now(dt.UTC))
        send(settings, notice(2, about=("spend", "age"), severity="critical"), env)
        ledger.settle(settings.database, [taken.waiting[0].id], {})
    assert len(receiver.came) == 1
