"""One process that watches new champions and challengers, and rolls back what exceeds its bounds."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping

from churn.domain.errors import UserError
from churn.domain.rollout.bounds import breach
from churn.stores import leases
from churn.stores.addresses import redacted
from churn.stores.errors import ConflictError
from churn.stores.live_metrics import ADDRESS, Prometheus, Window
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, checked_model, returned, withdrawn
from churn.stores.traffic_store import open_traffic
from local.rollout import acting, judging, options
from local.rollout.acting import Why

Tell = Callable[[str], None]

_LEASE_TURNS = 4
"""The lease outlasts so many rounds: a slow one does not lose it."""
_SHORTEST_LEASE_S = 60.0


class Watch:
    """Watches one model. Of several processes one does, by a lease; it acts only while it holds that."""

    def __init__(self, settings: Settings, env: Mapping[str, str], model: str, every_s: float, tell: Tell) -> None:
        """Raises UserError when no Prometheus is named, and for a bound or a pause that cannot be."""
        if not 0 < every_s <= 3600:
            raise UserError(f"{every_s:g} seconds are no pause", where="--every", remedy="give 1 to 3600")
        prometheus = Prometheus.load(env)
        if prometheus is None:
            remedy = f"set {ADDRESS}"
            raise UserError("no Prometheus is named, so that there is nothing to watch by", ADDRESS, remedy)
        self._settings, self._env, self._prometheus, self._tell = settings, env, prometheus, tell
        self.model, self._every_s = checked_model(model), every_s
        self._bounds = options.bounds(env)
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._said = ""

    @property
    def lease(self) -> str:
        """The lease's name."""
        return f"rollout/{self.model}"

    def run(self, ended: threading.Event, *, standby: bool = False) -> None:
        """Watches until `ended` is set; then the lease is given back. In `standby` it waits while another watches.

        Raises UserError when another does, be it from the start or because this process was away for too long."""
        try:
            while not ended.is_set():
                self._turn(standby=standby)
                ended.wait(self._every_s)
        finally:
            self._release()

    def _turn(self, *, standby: bool) -> None:
        """One look. What cannot be had now is said, and had later: a watch that ends watches nothing."""
        other = ""
        try:
            if self._holds():
                self.look()
            else:
                other = self._other()
        except UserError as error:
            self._say(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a store's client comes up with
            self._say(redacted(f"{type(error).__name__}: {error}"))
        if other and standby:
            self._say(f"{other} watches {self.model}; waiting")
        elif other:
            remedy = "end that one, or wait for it with --standby"
            raise UserError(f"{other} watches it already", f"model {self.model}", remedy)

    def look(self) -> None:
        """Holds what is new against its bounds, and rolls it back when they are exceeded."""
        document = open_traffic(self._settings).read(self.model)
        if document is None:
            self._say(f"{self.model} has no champion yet")
            return
        watched = []
        for looked_at in (self._champion, self._challenger):
            found = looked_at(document)
            if found is None:
                continue
            after, why = found
            if after is not None:
                self._act(document, after, why)
                return
            watched.append(why.reason)
        self._say("; ".join(watched) or f"nothing new about {self.model} to watch")

    def _champion(self, document: Traffic) -> tuple[Traffic | None, Why] | None:
        """What to do about a champion that is new, held against the one before it."""
        since = document.champion_since
        age = time.time() - since.timestamp() if since else self._bounds.watch_seconds
        if document.previous is None or since is None or age >= self._bounds.watch_seconds:
            return None
        before = Window(since.timestamp(), self._bounds.watch_seconds)
        who = f"version {document.champion.version}"
        for window in judging.windows(time.time(), since):
            pair = self._prometheus.champion(self.model, window, before)
            problem = breach(pair.new, pair.other, self._bounds, excused=pair.other.error_rate or 0.0)
            if problem:
                reason = f"{who} is rolled back to version {document.previous.version}: {problem}"
                return returned(document), Why("roll back", "watch", reason)
        return None, Why("roll back", "watch", f"{who} is watched until {_clock(since, self._bounds.watch_seconds)}")

    def _challenger(self, document: Traffic) -> tuple[Traffic | None, Why] | None:
        """What to do about a challenger, held against the champion."""
        if document.challenger is None:
            return None
        who = f"version {document.challenger.version}"
        for window in judging.windows(time.time(), document.lineup_since):
            pair = self._prometheus.challenger(self.model, document.mode, window)
            problem = breach(pair.new, pair.other, self._bounds)
            if problem:
                return withdrawn(document), Why("roll back", "watch", f"{who} is rolled back: {problem}")
        return None, Why("roll back", "watch", f"{who} is watched beside version {document.champion.version}")

    def _act(self, before: Traffic, after: Traffic, why: Why) -> None:
        """Rolls back, if this process still is the one that may."""
        if not self._holds():
            self._say(f"{self._other()} watches {self.model} by now; nothing was done by this one")
            return
        try:
            done = acting.put(self._settings, self._env, before, after, why)
        except ConflictError as error:
            self._say(f"{error}")
            return
        self._say(why.reason)
        for problem in done.problems:
            self._tell(problem)

    def _holds(self) -> bool:
        """Takes or renews the lease."""
        seconds = max(_LEASE_TURNS * self._every_s, _SHORTEST_LEASE_S)
        return leases.acquire(self._settings.database, self.lease, self.holder, seconds) is not None

    def _other(self) -> str:
        found = leases.current(self._settings.database, self.lease)
        return f"{found.holder} (until {found.until:%H:%M:%S} UTC)" if found else "another process"

    def _release(self) -> None:
        try:
            leases.release(self._settings.database, self.lease, self.holder)
        except UserError as error:
            self._tell(f"the lease runs out by itself: {error}")

    def _say(self, text: str) -> None:
        """Says what is new; the same again is none."""
        if text != self._said:
            self._tell(text)
        self._said = text


def _clock(since: dt.datetime, seconds: float) -> str:
    return f"{since + dt.timedelta(seconds=seconds):%H:%M} UTC"
