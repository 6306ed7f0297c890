"""What the services get: as their documentation demands, whatever a name or a title holds."""

from __future__ import annotations

import datetime as dt
from email import message_from_bytes
from email.policy import default
from typing import Any

import msgspec
import pytest

from churn.notices import mail, pagerduty, slack
from churn.notices.channels import Mail
from churn.notices.notice import Message, Notice, key

AT = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
CHANNEL = Mail(
    name="mail", server="smtp://localhost", sender="churn@example.org", to=["a@example.org", "b@example.org"]
)
HOSTILE = "<!channel> @here & *bold* `x`\r\nBcc: everybody@example.org\r\n\r\n<https://evil.example|click>\u2028\x00"


def message(seen: int = 1, **changes: Any) -> Message:
    values: dict[str, Any] = {
        "kind": "drift", "model": "shop", "key": "shop/drift", "severity": "warning",
        "title": "shop: spend has drifted",
        "lines": ("spend by 0.21 (mean 54 to 63)",), "about": ("spend",), "next": "retraining decides", "at": AT,
    }  # fmt: skip
    return Message(notice=Notice(**(values | changes)), seen=seen, first_seen=AT)


def letter(one: Message) -> Any:
    return message_from_bytes(mail.compose(one, CHANNEL).as_bytes(), policy=default)


def test_slack_is_told_what_since_when_and_what_happens_next() -> None:
    told = slack.payload(message())
    header, body = (block["text"]["text"] for block in told["blocks"])
    assert header.endswith("shop: spend has drifted")
    assert told["text"] == header
    assert body.split("\n") == [
        "spend by 0.21 (mean 54 to 63)", "Since 2026-03-02 06:00 UTC.", "Next: retraining decides",
    ]  # fmt: skip


def test_slack_gets_hostile_text_as_text() -> None:
    told = slack.payload(message(title=HOSTILE, lines=(HOSTILE,) * 3, next=HOSTILE))
    for text in (told["text"], *(block["text"]["text"] for block in told["blocks"])):
        assert "<" not in text
        assert "&lt;!channel&gt; @\u200bhere &amp; *bold*" in text
    assert len(told["blocks"][1]["text"]["text"].split("\n")) == 5, "no line of a name becomes a line of its own"
    assert {block["text"]["type"] for block in told["blocks"]} == {"plain_text"}
    assert told["mrkdwn"] is False


@pytest.mark.parametrize("text", ["x", "<", "&amp;"])
def test_slack_gets_no_more_than_a_block_holds(text: str) -> None:
    told = slack.payload(message(title=text * 500, lines=(text * 5000,) * 200))
    assert len(told["blocks"]) <= 50
    assert len(told["blocks"][0]["text"]["text"]) <= 150
    assert all(0 < len(block["text"]["text"]) <= 3000 for block in told["blocks"])


def test_pagerduty_gets_an_event_with_the_key_of_the_notice() -> None:
    assert pagerduty.payload(message(seen=3), "k" * 32) == {
        "routing_key": "k" * 32,
        "event_action": "trigger",
        "dedup_key": "churn/shop/drift",
        "client": "churn",
        "payload": {
            "summary": "shop: spend has drifted",
            "source": "churn/shop",
            "severity": "warning",
            "timestamp": "2026-03-02T06:00:00+00:00",
            "component": "shop",
            "class": "drift",
            "custom_details": {
                "facts": [
                    "spend by 0.21 (mean 54 to 63)", "Since 2026-03-02 06:00 UTC, seen 3 times.",
                    "Next: retraining decides",
                ],
                "seen": 3,
            },
        },
    }  # fmt: skip


def test_pagerduty_resolves_what_is_well_again_under_the_same_key() -> None:
    resolved = pagerduty.payload(message(kind="recovered"), "k" * 32)
    assert resolved == {"routing_key": "k" * 32, "event_action": "resolve", "dedup_key": "churn/shop/drift"}


def test_pagerduty_gets_no_more_than_it_takes() -> None:
    event = pagerduty.payload(message(title="t" * 5000, lines=("l" * 9000,) * 900, key="k" * 300), "k" * 32)
    assert len(event["payload"]["summary"]) == 1024
    assert len(event["dedup_key"]) <= 255
    assert event["dedup_key"] != pagerduty.dedup_key("k" * 301)
    assert len(msgspec.json.encode(event)) < 512 * 1024


def test_a_letter_says_what_since_when_and_what_happens_next() -> None:
    found = letter(message())
    assert found["Subject"] == "[warning] shop: spend has drifted"
    assert (found["From"], found["To"]) == ("churn@example.org", "a@example.org, b@example.org")
    assert found["Auto-Submitted"] == "auto-generated"
    assert found.get_content().splitlines() == [
        "shop: spend has drifted", "", "spend by 0.21 (mean 54 to 63)", "Since 2026-03-02 06:00 UTC.",
        "Next: retraining decides",
    ]  # fmt: skip


def test_a_hostile_title_adds_no_header_and_no_body() -> None:
    found = letter(message(title=HOSTILE, lines=(HOSTILE,)))
    assert set(found.keys()) == set(letter(message()).keys())
    assert found["Bcc"] is None
    assert len(found.get_content().splitlines()) == 5
    assert len(found["Subject"]) <= 200


def test_letters_of_one_thing_are_one_thread_and_each_is_a_letter_of_its_own() -> None:
    first, again, other = letter(message()), letter(message(seen=2)), letter(message(key="shop/performance"))
    assert first["References"] == again["References"] != other["References"]
    assert first["Message-ID"] != again["Message-ID"]


def test_a_letter_in_another_script_arrives_as_it_is() -> None:
    found = letter(message(title="Umsatz: größer als früher 📈"))
    assert found["Subject"] == "[warning] Umsatz: größer als früher 📈"
    assert found.get_content().startswith("Umsatz: größer als früher 📈\r\n")


def test_a_key_is_made_of_model_kind_and_subject() -> None:
    assert key("shop", "drift") == "shop/drift"
    assert key("shop", "failure", "retraining") == "shop/failure/retraining"
