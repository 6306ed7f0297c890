"""Each channel against a receiver that is a real server, and what is said when that does not take a message."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from churn.notices import carrying
from churn.notices.channels import load
from churn.notices.notice import Message
from tests.integration.notices.conftest import START, Write, notice, over
from tests.receivers import ROUTING_KEY, WEBHOOK, mail_server, pagerduty_receiver, slack_receiver
from tests.servers import free_port

HOSTILE = "<!channel> & spend\r\nBcc: everybody@example.org\r\n\r\n<https://evil.example|x>"


def told(env: dict[str, str], *messages: Message) -> str:
    """What was wrong with the one channel, or nothing."""
    channels = load(env)
    [channel] = channels.all
    return carrying.probe(channels, channel, messages or (message(),), env)


def message(**changes: Any) -> Message:
    return Message(notice=notice(**changes), seen=1, first_seen=START)


def test_slack_takes_a_message(write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        assert told(write(slack(receiver))) == ""
    assert receiver.came[0]["text"].endswith("shop: spend has drifted")


def test_slack_takes_hostile_text(write: Write, slack: Any) -> None:
    with slack_receiver() as receiver:
        assert told(write(slack(receiver)), message(title=HOSTILE * 9, lines=(HOSTILE,) * 500, next=HOSTILE)) == ""
    assert len(receiver.came) == 1


def test_pagerduty_opens_an_incident_once_and_resolves_it(write: Write, pagerduty: Any) -> None:
    with pagerduty_receiver() as receiver:
        env = write(pagerduty(receiver))
        assert told(env, message(), message(hours=1, title=HOSTILE * 99)) == ""
        assert receiver.open_incidents == {"churn/shop/drift"}
        assert told(env, Message(notice=over(2), seen=2, first_seen=START)) == ""
    assert receiver.open_incidents == set()
    assert [event["event_action"] for event in receiver.came] == ["trigger", "trigger", "resolve"]


@pytest.mark.parametrize("fault", ["500", "502", "429 0", "429", "hang up", "hang"])
def test_what_passes_is_tried_again(write: Write, slack: Any, fault: str) -> None:
    with slack_receiver([fault]) as receiver:
        assert told(write(slack(receiver))) == ""
        assert (receiver.asked, len(receiver.came)) == (2, 1)


@pytest.mark.parametrize("fault", ["400", "403", "404", "410"])
def test_what_is_refused_for_good_is_not_tried_again(write: Write, slack: Any, fault: str) -> None:
    with slack_receiver([fault]) as receiver:
        assert told(write(slack(receiver))).startswith(f"it answered {fault}: no: ")
        assert receiver.asked == 1


def test_who_asks_for_a_long_pause_is_left_alone(write: Write, slack: Any) -> None:
    with slack_receiver(["429 3600"]) as receiver:
        assert told(write(slack(receiver))).startswith("it answered 429")
        assert receiver.asked == 1


def test_a_server_that_stays_silent_is_told_and_given_up(write: Write, slack: Any) -> None:
    with slack_receiver(["hang"] * 3) as receiver:
        assert told(write(slack(receiver))) == "it did not answer within 1 s"
        assert receiver.asked == 3


def test_nobody_there_is_told(write: Write, slack: Any) -> None:
    assert told(write(slack(f"http://127.0.0.1:{free_port()}{WEBHOOK}"))) == "it was not reached: Connection refused"


def test_a_secret_follows_no_redirection(write: Write, slack: Any) -> None:
    with slack_receiver() as elsewhere, slack_receiver([f"307 to {elsewhere.address}"]) as receiver:
        assert told(write(slack(receiver))).startswith("it answered 307")
        assert elsewhere.asked == 0


def test_what_a_server_quotes_is_shown_without_the_secret(
    write: Write, slack: Any, pagerduty: Any, tmp_path: Path
) -> None:
    with slack_receiver(["400"]) as receiver:
        problem = told(write(slack(receiver)))
    assert problem == "it answered 400: no: /***"
    with pagerduty_receiver() as receiver:
        env = write(pagerduty(receiver))
        (tmp_path / "duty").write_text(ROUTING_KEY[::-1])
        assert told(env) == "it answered 400: no integration ***"


def test_a_receiver_refuses_what_slack_and_pagerduty_would(write: Write, slack: Any, pagerduty: Any) -> None:
    """Else the tests above would show nothing."""
    from churn.notices.delivery import UndeliveredError, post

    with slack_receiver() as receiver, pagerduty_receiver() as duty:
        for document in (
            {"blocks": []},
            {"text": "<!channel>"},
            {"text": "a & b"},
            {"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]},
        ):
            with pytest.raises(UndeliveredError, match="400"):
                post(receiver.address, document, 200)
        for event in ({}, {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "x", "payload": {}}):
            with pytest.raises(UndeliveredError, match="invalid event"):
                post(duty.address, event, 202)


def mail(port: int, scheme: str = "smtp", **more: Any) -> dict[str, Any]:
    return {
        "name": "mail", "kind": "mail", "server": f"{scheme}://127.0.0.1:{port}", "from": "churn@example.org",
        "to": ["a@example.org", "b@example.org"], **more,
    }  # fmt: skip


@pytest.fixture
def login(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "smtp").write_text("sesame-not-a-secret")
    return {"user": "churn", "password": {"file": "smtp"}}


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it does not see that smtps:// is TLS from the first byte
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_goes_over_tls_with_a_password(write: Write, tls: ssl.SSLContext, login: Any, scheme: str) -> None:
    with mail_server(tls, starttls=scheme == "smtp", user="churn", password="sesame-not-a-secret") as server:
        assert told(write(mail(server.port, scheme, **login)), message(title=f"shop: {HOSTILE}")) == ""
    [letter] = server.letters
    assert server.encrypted == [True]
    assert server.recipients == [["a@example.org", "b@example.org"]]
    assert letter["Subject"].startswith("[warning] shop: <!channel> & spend Bcc: everybody@example.org")
    assert letter["Bcc"] is None


def test_a_wrong_password_is_told_and_not_shown(write: Write, tls: ssl.SSLContext, login: Any) -> None:
    with mail_server(tls, user="churn", password="another") as server:
        problem = told(write(mail(server.port, **login)))
    assert problem == "it does not know the user or the password (535)"
    assert server.letters == []


def test_a_certificate_of_a_stranger_is_refused(
    write: Write, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server(tls, starttls=False) as server:
        assert told(write(mail(server.port, "smtps"))).startswith("its certificate is not trusted")
    assert server.letters == []


def test_mail_to_this_machine_may_do_without_tls(write: Write) -> None:
    with mail_server() as server:
        assert told(write(mail(server.port))) == ""
    assert (len(server.letters), server.encrypted) == (1, [False])


def test_mail_that_is_refused_for_now_is_tried_again(write: Write) -> None:
    with mail_server() as server:
        server.faults += ["451 try again later"]
        assert told(write(mail(server.port))) == ""
    assert len(server.letters) == 1


def test_mail_that_is_refused_for_good_is_told(write: Write) -> None:
    with mail_server() as server:
        server.faults += ["554 looks like spam"]
        assert told(write(mail(server.port))) == "it answered 554: looks like spam"
        server.refused = {"a@example.org", "b@example.org"}
        assert told(write(mail(server.port))) == "it refused every recipient (550)"
    assert server.letters == []


def test_a_recipient_who_is_refused_is_told_and_the_others_get_it(write: Write) -> None:
    with mail_server() as server:
        server.refused = {"b@example.org"}
        assert told(write(mail(server.port))) == "it refused 1 of 2 recipients"
    assert server.recipients == [["a@example.org"]]


def test_a_mail_server_that_is_away_is_told(write: Write) -> None:
    assert told(write(mail(free_port()))) == "it was not reached: Connection refused"
