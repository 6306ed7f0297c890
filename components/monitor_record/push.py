"""Metrics to a Pushgateway, where there is one: a step is gone before Prometheus comes by."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from churn.stores import addresses

PUSHGATEWAY = "CHURN_PUSHGATEWAY"

_TIMEOUT_S = 10


def gateway(env: Mapping[str, str]) -> str:
    """The Pushgateway's address; empty for none. Raises UserError for what is no http(s) URL."""
    return addresses.endpoint(PUSHGATEWAY, env.get(PUSHGATEWAY, ""))


def push(address: str, model: str, text: str) -> str:
    """Puts the metrics in the place of the model's former ones; gives what was wrong, or nothing.

    No error: the judgement is in the database, and the next run pushes again."""
    request = Request(  # noqa: S310 - http or https, as `gateway` checked
        f"{address.rstrip('/')}/metrics/job/churn_monitoring/model/{quote(model, safe='')}",
        data=text.encode(),
        headers={"Content-Type": "text/plain; version=0.0.4"},
        method="PUT",
    )
    try:
        with urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - likewise
            return ""
    except (URLError, OSError, http.client.HTTPException) as error:
        return f"the Pushgateway took no metrics: {error}"
