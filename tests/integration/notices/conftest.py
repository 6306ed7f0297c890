from __future__ import annotations

import datetime as dt
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from churn.notices import carrying, delivery
from churn.notices.notice import Notice
from churn.stores.database import migrate
from churn.stores.settings import Settings
from tests.certificates import Authority
from tests.receivers import ROUTING_KEY, Receiver
from tests.servers import empty_database, postgres_server

START = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)

Write = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A home, on either database."""
    given = {"CHURN_HOME": str(tmp_path / "home")}
    if request.param == "postgres":
        given["CHURN_DATABASE"] = empty_database(request.getfixturevalue("postgres"))
        migrate(given["CHURN_DATABASE"])
    return Settings.load(given).prepare()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on this machine that is silent for a second will be for ten."""
    monkeypatch.setattr(delivery, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(carrying, "PAUSE_S", 0.01)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of channels with their secrets beside it; gives the environment that names it."""

    def write(*channels: dict[str, Any], quiet_hours: float = 24) -> dict[str, str]:
        path = tmp_path / "notices.yaml"
        path.write_text(json.dumps({"quiet_hours": quiet_hours, "channels": list(channels)}))
        return {"CHURN_NOTICES": str(path)}

    return write


@pytest.fixture
def slack(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A channel to a receiver, or to an address."""

    def slack(to: Receiver | str, name: str = "team", **more: Any) -> dict[str, Any]:
        (tmp_path / name).write_text(to if isinstance(to, str) else to.address)
        return {"name": name, "kind": "slack", "webhook": {"file": name}, **more}

    return slack


@pytest.fixture
def pagerduty(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def pagerduty(to: Receiver, name: str = "duty", **more: Any) -> dict[str, Any]:
        (tmp_path / name).write_text(ROUTING_KEY)
        return {"name": name, "kind": "pagerduty", "routing_key": {"file": name}, "url": to.address, **more}

    return pagerduty


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server of 127.0.0.1 shows, whose authority this process trusts."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(tmp_path))
    return context


def notice(hours: float = 0, **changes: Any) -> Notice:
    values: dict[str, Any] = {
        "kind": "drift", "model": "shop", "key": "shop/drift", "severity": "warning",
        "title": "shop: spend has drifted", "lines": ("spend by 0.21 (mean 54 to 63)",), "about": ("spend",),
        "next": "retraining decides", "at": START + hours * HOUR,
    }  # fmt: skip
    return Notice(**(values | changes))


def over(hours: float, **changes: Any) -> Notice:
    return notice(
        hours, kind="recovered", severity="info", title="shop: nothing has drifted any more", about=(), **changes
    )
