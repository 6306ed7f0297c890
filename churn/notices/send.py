"""The one notifier: writes down what has happened, and tells whom it concerns."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence

import msgspec

from churn.domain.errors import UserError
from churn.notices import ledger
from churn.notices.carrying import Carried, carry
from churn.notices.channels import Channels, load
from churn.notices.ledger import Noted, Waiting
from churn.notices.notice import Message, Notice, rank
from churn.stores.settings import Settings


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """`told` are the channels that took a message, `news` the titles of what was told now; `grouped` says that nothing
    was new. `problems` name the channels that did not take it: they hear of it with the next sending.

    `channels` is how many there are."""

    told: tuple[str, ...] = ()
    news: tuple[str, ...] = ()
    grouped: bool = False
    problems: tuple[str, ...] = ()
    channels: int = 0

    def said(self) -> str:
        """In one line, what came of it."""
        if not self.channels:
            return "nobody was told: CHURN_NOTICES names no channels"
        told = f"told: {', '.join(self.told)}" if self.told else "nobody was told"
        why = "; nothing new" if self.grouped else ""
        return f"{told}{why}" + "".join(f"; {problem}" for problem in self.problems)


def send(settings: Settings, notice: Notice, env: Mapping[str, str]) -> Sent:
    """Tells of one thing, as `send_all` does of several."""
    return send_all(settings, [notice], env)


def send_all(settings: Settings, notices: Sequence[Notice], env: Mapping[str, str]) -> Sent:
    """Writes notices down, and tells the channels of `CHURN_NOTICES` what is new and what they missed before.

    A channel that is away is a problem, and no error; so is a database that is away: then nothing is grouped, and what
    is not delivered is not tried again. Raises UserError for a fault of the channels' file."""
    channels = load(env)
    now = dt.datetime.now(dt.UTC)
    # What is of a time to come would silence all that is told until then.
    notices = [msgspec.structs.replace(one, at=min(one.at, now)) for one in notices]
    problems = []
    try:
        noted = ledger.note(settings.database, notices, channels, now)
    except (UserError, OSError) as error:
        problems.append(f"what is told is not remembered: {error}")
        noted = _unremembered(notices, channels, now)
    carried = carry(channels, noted.waiting, env)
    if carried and not problems:
        problems += _settle(settings.database, carried)
    return Sent(
        told=tuple(dict.fromkeys(one.waiting.channel for one in carried if one.delivered)),
        news=tuple(one.title for one in noted.news),
        grouped=bool(notices) and not noted.news,
        problems=(*problems, *dict.fromkeys(f"{one.waiting.channel}: {one.problem}" for one in carried if one.problem)),
        channels=len(channels.all),
    )


def _unremembered(notices: Sequence[Notice], channels: Channels, now: dt.datetime) -> Noted:
    """Rather twice than never; but that something is over is news only for those who heard of it."""
    news = tuple(one for one in notices if one.kind != "recovered")
    waiting = [
        Waiting(uuid.uuid4().hex, channel.name, Message(notice=one, seen=1, first_seen=one.at), now, 0, "")
        for one in news for channel in channels.all if rank(one.severity) >= rank(channel.least)
    ]  # fmt: skip
    return Noted(news, tuple(waiting))


def _settle(database: str, carried: Sequence[Carried]) -> list[str]:
    try:
        ledger.settle(
            database,
            [one.waiting.id for one in carried if one.delivered],
            {one.waiting.id: one.problem for one in carried if not one.delivered},
            [one.waiting.id for one in carried if one.unknown],
        )
    except (UserError, OSError) as error:
        return [f"what was delivered is not remembered, and may be told again: {error}"]
    return []
