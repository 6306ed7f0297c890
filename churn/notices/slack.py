"""Slack: a message to an incoming webhook, in blocks of plain text.

Sources: Slack's documentation of incoming webhooks, of Block Kit (150 characters in a header, 3,000 in a section) and
of formatting: `&`, `<` and `>` are the characters that may not stand for themselves."""

from __future__ import annotations

import re
from typing import Any

from churn.notices.delivery import post
from churn.notices.notice import Message, one_line

_HEADER, _SECTION, _LINE = 150, 3000, 600
_SIGNS = {
    "info": "\N{WHITE HEAVY CHECK MARK}",
    "warning": "\N{WARNING SIGN}",
    "critical": "\N{POLICE CARS REVOLVING LIGHT}",
}
_EVERYBODY = re.compile(r"@(?=channel|here|everyone|group)", re.IGNORECASE)
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def deliver(message: Message, webhook: str) -> None:
    """Posts it. Raises UndeliveredError."""
    post(webhook, payload(message), 200)


def payload(message: Message) -> dict[str, Any]:
    """The document. Text is plain, so that a name like `*x*` says what it says and a link is none.

    `text` is what a notification on a telephone shows, where the blocks are not."""
    notice = message.notice
    sign = "\N{WHITE HEAVY CHECK MARK}" if notice.kind == "recovered" else _SIGNS[notice.severity]
    title = _escaped(f"{sign} {one_line(notice.title, _HEADER)}", _HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title)}]
    blocks += [{"type": "section", "text": _plain(part)} for part in _parts(message.facts)]
    return {"text": title, "mrkdwn": False, "blocks": blocks}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _parts(lines: tuple[str, ...]) -> list[str]:
    """As many lines in a section as it holds; what a fiftieth block would begin with is left out."""
    found = [""]
    for line in (_escaped(one_line(line, _LINE), _SECTION) for line in lines):
        if len(found[-1]) + len(line) + 1 > _SECTION:
            found.append("")
        found[-1] = f"{found[-1]}\n{line}".lstrip("\n")
    return found[:40]


def _escaped(text: str, most: int) -> str:
    """`text` in entities, and at most so long with them; no `@` that calls everybody."""
    calm = _EVERYBODY.sub("@\N{ZERO WIDTH SPACE}", text)
    while len(shown := calm.translate(_ENTITIES)) > most:
        calm = calm[: -max(1, (len(shown) - most) // 5)]
    return shown
