"""The file of channels: what it may say, and that every fault of it is told with its place."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.notices.channels import Mail, PagerDuty, Slack, check, load

WHOLE = """
quiet_hours: 6
channels:
  - {name: team, kind: slack, webhook: {file: slack}}
  - {name: duty, kind: pagerduty, routing_key: {env: DUTY_KEY}}
  - name: mail
    kind: mail
    least: info
    server: smtps://mail.example.org
    from: churn@example.org
    to: [team@example.org, lead@example.org]
    user: churn
    password: {file: smtp}
"""
SECRET = "https://hooks.slack.com/services/T0/B0/not-to-be-seen"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "slack").write_text(f"{SECRET}\n")
    (tmp_path / "smtp").write_text("not-to-be-seen")
    return tmp_path / "notices.yaml"


def environment(file: Path, text: str) -> dict[str, str]:
    file.write_text(text)
    return {"CHURN_NOTICES": str(file), "DUTY_KEY": "k" * 32}


def test_without_a_file_there_are_no_channels() -> None:
    assert load({}).all == ()


def test_a_file_names_channels_and_where_their_secrets_lie(file: Path) -> None:
    env = environment(file, WHOLE)
    channels = check(env)
    team, duty, mail = channels.all
    assert channels.quiet == dt.timedelta(hours=6)
    assert isinstance(team, Slack)
    assert isinstance(duty, PagerDuty)
    assert isinstance(mail, Mail)
    assert [one.least for one in channels.all] == ["warning", "critical", "info"]
    assert [channels.secret(one, env) for one in channels.all] == [SECRET, "k" * 32, "not-to-be-seen"]
    assert "not-to-be-seen" not in repr(channels)


def test_the_example_of_the_readme_is_read(file: Path) -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
    [example] = [part for part in readme.split("```") if part.startswith("\nquiet_hours:")]
    channels = load(environment(file, example))
    assert [one.name for one in channels.all] == ["team", "duty", "mail"]
    assert channels.quiet == dt.timedelta(hours=24)


SLACK = "{name: team, kind: slack, webhook: {file: slack}}"
MAIL = "name: m, kind: mail, server: smtp://mail.example.org, from: a@example.org, to: [b@example.org]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("channels: [", "not valid YAML"),
        ("", "Expected `object`, got `null`"),
        ("channels: []\nquiet: 3", "unknown field `quiet`"),
        ("channels: []\nquiet_hours: 0", "quiet_hours"),
        ("channels: [{name: team, kind: fax}]", "channels[0].kind"),
        ("channels: [{name: Team!, kind: slack, webhook: {file: slack}}]", "channels[0].name"),
        (f"channels: [{SLACK}, {SLACK}]", "channels[1]: there are two channels 'team'"),
        (f"channels: [{{name: team, kind: slack, webhook: {SECRET}}}]", "channels[0].webhook"),
        ("channels: [{name: team, kind: slack, webhook: {}}]", "channels[0]: a secret is named by one of"),
        ("channels: [{name: team, kind: slack, webhook: {file: slack, env: X}}]", "channels[0]: a secret is named by"),
        ("channels: [{name: team, kind: slack, webhook: {env: CHURN_HOOK}}]", "channels[0]: 'CHURN_HOOK' cannot hold"),
        ("channels: [{name: team, kind: slack, least: loud, webhook: {file: slack}}]", "channels[0].least"),
        ("channels: [{name: team, kind: slack, webhook: {file: nowhere}}]", "team: the file nowhere cannot be read"),
        ("channels: [{name: team, kind: slack, webhook: {file: smtp}}]", "team: the webhook's address is no https"),
        ("channels: [{name: duty, kind: pagerduty, routing_key: {env: NOBODY}}]", "duty: the variable NOBODY holds no"),
        ("channels: [{name: duty, kind: pagerduty, routing_key: {file: smtp}}]", "duty: the routing key has not 32"),
        (
            "channels: [{name: duty, kind: pagerduty, routing_key: {env: DUTY_KEY}, url: 'http://pager.example.org/'}]",
            "channels[0]: url is plain http",
        ),
        (
            "channels: [{name: duty, kind: pagerduty, routing_key: {env: DUTY_KEY}, url: 'ftp://127.0.0.1/'}]",
            "channels[0]: url is no https address",
        ),
        (f"channels: [{{{MAIL}, user: churn}}]", "channels[0]: user and password go together"),
        (f"channels: [{{{MAIL.replace('smtp://', 'http://')}}}]", "channels[0]: server is no address of a mail server"),
        (f"channels: [{{{MAIL.replace('example.org,', 'example.org:port,', 1)}}}]", "channels[0]: server is no"),
        (f"channels: [{{{MAIL.replace('b@example.org', '')}}}]", "channels[0].to"),
        (f"channels: [{{{MAIL.replace('b@example.org', 'nobody')}}}]", "channels[0]: from and to hold what is no mail"),
    ],
)  # fmt: skip
def test_every_fault_is_told_with_its_place_and_without_a_secret(file: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as raised:
        check(environment(file, text))
    assert str(file) in raised.value.where
    assert told in str(raised.value)
    assert "not-to-be-seen" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("https://hooks.slack.com/services/x", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://hooks.slack.com/services/x", False),
        ("http://127.0.0.1.example.org/x", False),
        ("https://user:word@hooks.slack.com/x", False),
        ("https:///x", False),
        ("file:///etc/passwd", False),
        ("https://hooks.slack.com:port/x", False),
    ],
)
def test_plain_http_is_for_this_machine_alone(file: Path, address: str, fine: bool) -> None:
    env = environment(file, f"channels: [{SLACK}]")
    (file.parent / "slack").write_text(address)
    if fine:
        check(env)
    else:
        with pytest.raises(UserError, match="webhook's address"):
            check(env)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="CHURN_NOTICES"):
        load({"CHURN_NOTICES": "/nowhere/notices.yaml"})


def test_a_secret_of_several_lines_is_none(file: Path) -> None:
    env = environment(file, f"channels: [{SLACK}]")
    (file.parent / "slack").write_text("https://a\nhttps://b")
    with pytest.raises(UserError, match="holds no secret"):
        check(env)
