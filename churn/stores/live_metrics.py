"""What Prometheus knows of versions that serve: requests, errors and latency, added up over all replicas."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from churn.domain.errors import UserError
from churn.domain.rollout.bounds import Live
from churn.domain.rollout.verdict import Pair
from churn.stores import addresses
from churn.stores.addresses import redacted

ADDRESS = "CHURN_PROMETHEUS"
TOKEN = "CHURN_PROMETHEUS_TOKEN"  # noqa: S105 - a variable's name

STALE_S = 180.0
"""Figures of which the newest sample is older than this are none."""

_DEADLINE_S = 10.0
_LARGEST = 4 << 20

# `increase` alone would extrapolate: where two samples are all there is, it doubles them. So it is taken only of
# counters that started anew within the window. The join keeps other models' predictors out.
_GROWN = "last_over_time({counter}[{window}s]) - min_over_time({counter}[{window}s])"
_OF_MODEL = (
    f"sum{{by}} (({_GROWN} and resets({{counter}}[{{window}}s]) == 0 or increase({{counter}}[{{window}}s])) "
    'and on (job, instance) max_over_time(churn_model_info{{model="{model}"}}[{window}s]))'
)
# 503 is of a store that is away or a server that leaves: no version's fault.
_ERRORS = 'churn_requests_total{status=~"5..",status!="503",route!="shadow"}'
_ANSWERED = 'churn_requests_total{variant=~"champion|mixed",status="200",route!="shadow"}'
_BY_CHALLENGER = {
    "split": 'churn_requests_total{variant=~"challenger|mixed",status="200",route!="shadow"}',
    "shadow": 'churn_requests_total{variant="challenger",status="200",route="shadow"}',
}
_SECONDS = 'churn_scoring_duration_seconds_bucket{{variant="{variant}"}}'


class NoFiguresError(UserError):
    """Nothing that could be judged is known: no figures, old ones, or a Prometheus that does not answer."""


@dataclass(frozen=True)
class Window:
    """`seconds` before `end` (seconds since 1970)."""

    end: float
    seconds: float


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would take the token to whoever it names."""

    def redirect_request(self, *_: Any) -> None:
        """Follows none."""


class Prometheus:
    """Prometheus' HTTP API, with a bearer token from a file where one is set."""

    def __init__(self, address: str, token_file: str = "") -> None:
        self._address, self._token_file = address, token_file

    @classmethod
    def load(cls, env: Mapping[str, str]) -> Prometheus | None:
        """Reads the environment; None where no Prometheus is named. Raises UserError for what is no http(s) URL."""
        address = addresses.endpoint(ADDRESS, env.get(ADDRESS, ""))
        return cls(address, env.get(TOKEN, "")) if address else None

    def challenger(self, model: str, mode: str, window: Window) -> Pair:
        """The challenger's requests and the champion's. Raises NoFiguresError."""
        self._require_fresh(model, window)
        failed = self._sum(f'churn_challenger_failures_total{{kind="{mode}"}}', model, window)
        answered = self._sum(_BY_CHALLENGER[mode], model, window)
        new = Live(answered + failed, failed, self._buckets("challenger", model, window))
        return Pair(new, self._champion(model, window))

    def champion(self, model: str, now: Window, before: Window) -> Pair:
        """The champion's requests now, and those of the champion before it: in windows on either side of its promotion.

        Raises NoFiguresError."""
        self._require_fresh(model, now)
        return Pair(self._champion(model, now), self._champion(model, before))

    def _champion(self, model: str, window: Window) -> Live:
        errors = self._sum(_ERRORS, model, window)
        answered = self._sum(_ANSWERED, model, window)
        return Live(answered + errors, errors, self._buckets("champion", model, window))

    def _require_fresh(self, model: str, window: Window) -> None:
        found = self.query(f'max(timestamp(churn_model_info{{model="{model}"}}))', window.end)
        if not found:
            raise NoFiguresError(f"knows no predictor that serves {model}", self._address, "let it scrape /metrics")
        if window.end - found[0][1] > STALE_S:
            raise NoFiguresError(f"has no figures of {model} from the last {STALE_S:g} s", where=self._address)

    def _sum(self, counter: str, model: str, window: Window) -> float:
        """How much a counter grew, in all replicas together; 0 where nobody has counted it yet."""
        found = self.query(_grown(counter, model, window, ""), window.end)
        return found[0][1] if found else 0.0

    def _buckets(self, variant: str, model: str, window: Window) -> tuple[tuple[float, float], ...]:
        """How long scores took: whole requests wait for each other, a version's for those of the other too."""
        histogram = _SECONDS.format(variant=variant)
        found = self.query(_grown(histogram, model, window, " by (le)"), window.end)
        buckets = sorted((float(labels["le"]), value) for labels, value in found)
        counts = [value for _, value in buckets]
        if buckets and (not math.isinf(buckets[-1][0]) or min(counts) < 0):
            raise NoFiguresError("gives a histogram that is none", where=self._address)
        # Each bucket is extrapolated by itself, which may make a wider one smaller by a hair.
        return tuple((bound, max(counts[: place + 1])) for place, (bound, _) in enumerate(buckets))

    def query(self, promql: str, at: float) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query, with their labels.

        Raises NoFiguresError when Prometheus is away, refuses, takes too long, or gives a value that is no number."""
        try:
            answer = json.loads(self._ask(urlencode({"query": promql, "time": f"{at:.3f}", "timeout": "5s"})))
            if answer["status"] != "success" or answer["data"]["resultType"] != "vector":
                raise NoFiguresError("gives no vector", where=self._address)
            found = [(dict(one["metric"]), float(one["value"][1])) for one in answer["data"]["result"]]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise NoFiguresError("answers what is not Prometheus' API", self._address, f"check {ADDRESS}") from error
        if not all(math.isfinite(value) for _, value in found):
            raise NoFiguresError("gives a figure that is no number", where=self._address)
        return found

    def _ask(self, form: str) -> bytes:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._authorization()}
        request = Request(f"{self._address}/api/v1/query", form.encode(), headers)  # noqa: S310 - http(s), as checked
        until = time.monotonic() + _DEADLINE_S
        try:
            with build_opener(_NoRedirects).open(request, timeout=_DEADLINE_S) as answer:
                content = b""
                while part := answer.read1(1 << 16):
                    content += part
                    if time.monotonic() > until or len(content) > _LARGEST:
                        raise NoFiguresError("answers too slowly, or too much", where=self._address)
                return bytes(content)
        except HTTPError as error:
            with error:
                why = f"answers {error.code}"
            raise NoFiguresError(why, self._address, f"check {ADDRESS} and {TOKEN}") from error
        except (URLError, OSError, http.client.HTTPException) as error:
            reason = redacted(str(getattr(error, "reason", error))) or type(error).__name__
            raise NoFiguresError(f"does not answer: {reason}", self._address, f"check {ADDRESS}") from error

    def _authorization(self) -> dict[str, str]:
        """Read each time: tokens are renewed. Raises UserError for a file that cannot be read."""
        if not self._token_file:
            return {}
        try:
            return {"Authorization": f"Bearer {Path(self._token_file).read_text(encoding='ascii').strip()}"}
        except (OSError, ValueError) as error:
            raise UserError("the token cannot be read", where=self._token_file, remedy=f"check {TOKEN}") from error


def _grown(counter: str, model: str, window: Window, by: str) -> str:
    """PromQL: by how much a counter of a model's predictors grew."""
    return _OF_MODEL.format(by=by, counter=counter, model=model, window=max(1, math.ceil(window.seconds)))
