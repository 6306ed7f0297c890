"""PagerDuty: an event of the Events API v2, by whose key an incident is opened once, and resolved.

Source: PagerDuty's documentation of the Events API v2 and of the Common Event Format: 1,024 characters in the summary,
255 in the key, 512 KB in all; 202 says that the event was accepted, 429 and 5xx to ask again."""

from __future__ import annotations

import hashlib
from typing import Any

from churn.notices.delivery import post
from churn.notices.notice import Message, one_line

_SUMMARY, _KEY, _LINE, _LINES = 1024, 255, 1024, 100


def deliver(message: Message, url: str, routing_key: str) -> None:
    """Sends it. Raises UndeliveredError."""
    post(url, payload(message, routing_key), 202)


def payload(message: Message, routing_key: str) -> dict[str, Any]:
    """The event: a trigger, or for what is well again a resolution, which closes the incident of the same key."""
    notice = message.notice
    event = {"routing_key": routing_key, "dedup_key": dedup_key(notice.key)}
    if notice.kind == "recovered":
        return event | {"event_action": "resolve"}
    details = {"facts": [one_line(line, _LINE) for line in message.facts[:_LINES]], "seen": message.seen}
    return event | {
        "event_action": "trigger",
        "client": "churn",
        "payload": {
            "summary": one_line(notice.title, _SUMMARY),
            "source": f"churn/{notice.model}",
            "severity": notice.severity,
            "timestamp": notice.at.isoformat(),
            "component": notice.model,
            "class": notice.kind,
            "custom_details": details,
        },
    }


def dedup_key(key: str) -> str:
    """The key, or its hash where PagerDuty would not take it."""
    given = f"churn/{key}"
    return given if len(given) <= _KEY and given.isprintable() else f"churn/{hashlib.sha256(key.encode()).hexdigest()}"
