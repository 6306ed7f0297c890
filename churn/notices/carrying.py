"""Bringing messages to their channels: side by side, each tried a few times, and all together in bounded time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from churn.domain.errors import UserError
from churn.notices import mail, pagerduty, slack
from churn.notices.channels import Channel, Channels, PagerDuty, Slack
from churn.notices.delivery import UndeliveredError
from churn.notices.ledger import Waiting
from churn.notices.notice import Message

DEADLINE_S = 60.0
"""What all channels together may take."""

PAUSE_S = 0.5
"""The longest pause before the first repetition; it doubles."""

_ATTEMPTS = 3
_PATIENCE_S = 5.0
_SHORTEST = 8


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message. Of one that is `unknown` its channel has not said anything yet."""

    waiting: Waiting
    delivered: bool = False
    unknown: bool = False
    problem: str = ""


def carry(channels: Channels, waiting: Iterable[Waiting], env: Mapping[str, str]) -> list[Carried]:
    """Brings every message to its channel; raises nothing for a channel that does not take it."""
    rounds = [_Round(channels, one, [w for w in waiting if w.channel == one.name], env) for one in channels.all]
    rounds = [one for one in rounds if one.waiting]
    for one in rounds:
        one.start()
    until = time.monotonic() + DEADLINE_S
    for one in rounds:
        one.join(max(0.0, until - time.monotonic()))
    return [carried for one in rounds for carried in one.results()]


def probe(channels: Channels, channel: Channel, messages: Sequence[Message], env: Mapping[str, str]) -> str:
    """Sends messages to one channel past all grouping; gives what was wrong, or nothing."""
    for message in messages:
        delivered, problem, _ = _attempts(channels, channel, message, env)
        if problem or not delivered:
            return problem
    return ""


class _Round(threading.Thread):
    """One channel's messages, in their order. A daemon: a server that never ends an answer keeps no process alive."""

    def __init__(self, channels: Channels, channel: Channel, waiting: list[Waiting], env: Mapping[str, str]) -> None:
        super().__init__(daemon=True, name=f"notices to {channel.name}")
        self._channels, self._channel, self._env = channels, channel, env
        self.waiting = waiting
        self._done: dict[str, Carried] = {}

    def run(self) -> None:
        """After the first message for which the channel is away, the others wait too."""
        away = ""
        for one in self.waiting:
            if away:
                self._done[one.id] = Carried(waiting=one, problem=away)
                continue
            delivered, problem, is_away = _attempts(self._channels, self._channel, one.message, self._env)
            self._done[one.id] = Carried(waiting=one, delivered=delivered, problem=problem)
            away = problem if is_away else ""

    def results(self) -> list[Carried]:
        """What is known by now."""
        late = f"it did not answer within {DEADLINE_S:g} s"
        return [self._done.get(one.id) or Carried(waiting=one, unknown=True, problem=late) for one in self.waiting]


def _attempts(channels: Channels, channel: Channel, message: Message, env: Mapping[str, str]) -> tuple[bool, str, bool]:
    """Whether it was delivered, what was wrong, and whether the channel is away."""
    try:
        secret = channels.secret(channel, env)
    except UserError as error:
        return False, str(error), True
    for attempt in range(_ATTEMPTS):
        try:
            return True, _hidden(_deliver(channel, message, secret), secret), False
        except UndeliveredError as error:
            problem = _hidden(error.problem, secret)
            if error.again_s is None:
                return False, problem, False
            if error.again_s > _PATIENCE_S or attempt == _ATTEMPTS - 1:
                break
            time.sleep(error.again_s + random.uniform(0, PAUSE_S * 2**attempt))  # noqa: S311 - not for secrecy
        except Exception as error:  # noqa: BLE001 - a channel that fails in a new way must not silence the others
            return False, f"{type(error).__name__} while it was told", False
    return False, problem, True


def _deliver(channel: Channel, message: Message, secret: str) -> str:
    if isinstance(channel, Slack):
        slack.deliver(message, secret)
        return ""
    if isinstance(channel, PagerDuty):
        pagerduty.deliver(message, channel.url, secret)
        return ""
    return mail.deliver(message, channel, secret)


def _hidden(text: str, secret: str) -> str:
    """Without the secret, or a part of an address that is one, should a server have quoted it."""
    path = urlsplit(secret).path.strip("/")
    for part in sorted({secret, path, *path.split("/")}, key=len, reverse=True):
        if len(part) >= _SHORTEST or part == secret != "":
            text = text.replace(part, "***")
    return text
