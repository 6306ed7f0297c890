"""Which channels there are: one strict YAML file, and where the secrets lie that it names and never holds."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from churn.domain import strict_yaml
from churn.domain.errors import UserError
from churn.notices.notice import Severity

NOTICES = "CHURN_NOTICES"
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"

_MOST_CHANNELS, _MOST_RECIPIENTS = 50, 100
_SECRET_BYTES = 4096
_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
Address = Annotated[str, msgspec.Meta(max_length=254)]


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret lies: in a file (a relative one beside the YAML), or in an environment variable."""

    file: str = ""
    env: str = ""


class Slack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="slack"):
    """An incoming webhook, whose whole address is the secret."""

    name: Name
    webhook: Secret
    least: Severity = "warning"

    @property
    def secret(self) -> Secret | None:
        """What nobody may see."""
        return self.webhook


class PagerDuty(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pagerduty"):
    """A service's integration of the Events API v2."""

    name: Name
    routing_key: Secret
    least: Severity = "critical"
    url: str = PAGERDUTY

    @property
    def secret(self) -> Secret | None:
        """What nobody may see."""
        return self.routing_key


class Mail(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mail", rename={"sender": "from"}
):
    """A mail server, `smtps://host[:465]` or `smtp://host[:587]`; the latter must speak STARTTLS."""

    name: Name
    server: str
    sender: Address
    to: Annotated[list[Address], msgspec.Meta(min_length=1, max_length=_MOST_RECIPIENTS)]
    least: Severity = "warning"
    user: str = ""
    password: Secret | None = None

    @property
    def secret(self) -> Secret | None:
        """What nobody may see."""
        return self.password


Channel = Slack | PagerDuty | Mail


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. Within `quiet_hours` the same is not told again, unless it gets worse."""

    channels: Annotated[list[Channel], msgspec.Meta(max_length=_MOST_CHANNELS)]
    quiet_hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 366)] = 24.0


class Channels(msgspec.Struct, frozen=True):
    """The channels, ready to be used, and the file they stand in."""

    all: tuple[Channel, ...]
    quiet: dt.timedelta
    path: Path

    def secret(self, channel: Channel, env: Mapping[str, str]) -> str:
        """A channel's secret, read anew, so that a renewed one is taken over; empty where there is none.

        Raises UserError when it is not there or cannot be one; never with the secret in it."""
        if channel.secret is None:
            return ""
        where = f"{self.path}: {channel.name}"
        value = _read(channel.secret, self.path.parent, env, where)
        if isinstance(channel, Slack):
            web_address(value, where, "the webhook's address")
        if isinstance(channel, PagerDuty) and len(value) != 32:
            raise UserError("the routing key has not 32 characters", where, "copy it from the service's integration")
        return value


def load(env: Mapping[str, str]) -> Channels:
    """Reads the file that `CHURN_NOTICES` names; without one there are no channels.

    Raises UserError naming the place of the first fault. Whether the secrets are there says `check`."""
    given = env.get(NOTICES, "")
    path = Path(given).expanduser().absolute()
    if not given:
        return Channels((), dt.timedelta(hours=24), path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise UserError(f"cannot be read: {reason}", str(path), f"check {NOTICES}") from error
    document = _converted(strict_yaml.parse(text, str(path)), path)
    seen: set[str] = set()
    for number, channel in enumerate(document.channels):
        where = f"{path}: channels[{number}]"
        if channel.name in seen:
            raise UserError(f"there are two channels '{channel.name}'", where, "give each a name of its own")
        seen.add(channel.name)
        _check(channel, where)
    return Channels(tuple(document.channels), dt.timedelta(hours=document.quiet_hours), path)


def check(env: Mapping[str, str]) -> Channels:
    """Reads the file and every secret that it names. Raises UserError for the first fault of either."""
    channels = load(env)
    for channel in channels.all:
        channels.secret(channel, env)
    return channels


def web_address(value: str, where: str, what: str) -> None:
    """Raises UserError for what is no https address; plain http is for this machine alone. `value` is not shown."""
    parts = _parts(value, where, what)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise UserError(f"{what} is no https address", where, "like https://hooks.slack.com/services/…")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UserError(f"{what} is plain http, which is for this machine alone", where, "use https://")


def mail_server(value: str, where: str = "") -> tuple[str, int, bool]:
    """Host, port, and whether TLS begins with the connection. Raises UserError for what is no mail server."""
    parts = _parts(value, where, "server")
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or "@" in parts.netloc:
        raise UserError("server is no address of a mail server", where, "like smtps://mail.example.org")
    is_tls = parts.scheme == "smtps"
    return parts.hostname, parts.port or (465 if is_tls else 587), is_tls


def is_loopback(host: str) -> bool:
    """Whether it is this machine, by a name or a number that nobody else has."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _converted(document: Any, path: Path) -> Document:
    try:
        return msgspec.convert(document, Document)
    except msgspec.ValidationError as error:
        found = _PLACE.fullmatch(str(error))
        assert found
        place = f"{path}: {found['place']}" if found["place"] else str(path)
        raise UserError(found["problem"], place, "see 'Who is told' in the README") from error


def _check(channel: Channel, where: str) -> None:
    secret = channel.secret
    if secret is not None:
        _check_secret(secret, where)
    if isinstance(channel, PagerDuty):
        web_address(channel.url, where, "url")
    if isinstance(channel, Mail):
        mail_server(channel.server, where)
        if bool(channel.user) != (channel.password is not None):
            raise UserError("user and password go together", where, "give both or neither")
        for address in (channel.sender, *channel.to):
            if not _ADDRESS.fullmatch(address):
                raise UserError("from and to hold what is no mail address", where, "like team@example.org")


def _check_secret(secret: Secret, where: str) -> None:
    if bool(secret.file) == bool(secret.env):
        raise UserError("a secret is named by one of file and env", where, "like {file: /run/secrets/slack}")
    if secret.env.startswith("CHURN_"):
        remedy = "name it differently: CHURN_ begins the settings of this project"
        raise UserError(f"'{secret.env}' cannot hold a secret", where, remedy)


def _read(secret: Secret, folder: Path, env: Mapping[str, str], where: str) -> str:
    if secret.env:
        value = env.get(secret.env, "").strip()
        source = f"the variable {secret.env}"
    else:
        source = f"the file {secret.file}"
        try:
            content = (folder / Path(secret.file).expanduser()).read_bytes()[:_SECRET_BYTES]
            value = content.decode().strip()
        except (OSError, ValueError) as error:
            raise UserError(f"{source} cannot be read: {getattr(error, 'strerror', 'no text')}", where) from error
    if not value or not value.isascii() or not value.isprintable():
        raise UserError(f"{source} holds no secret", where, "write it there, in one line")
    return value


def _parts(value: str, where: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise UserError(f"{what} is no address", where) from None
    return parts
