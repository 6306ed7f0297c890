"""The door: every request for a prediction, an explanation or an administrative act comes through `Access.admit`.

In this order: the client's network, who asks, the networks of that key, its scope, its rate."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping

from serving.access.audit import Audit
from serving.access.caller import NO_TRACE, Caller, Credentials, Refused, Scope, Trace, unauthenticated
from serving.access.callers import Callers
from serving.access.following import Followed
from serving.access.keys import Keys, is_key
from serving.access.networks import Proxies
from serving.access.options import AUDIT, KEYS, AccessOptions
from serving.access.tokens import Tokens
from serving.access.watch import Kind, Watch
from serving.errors import ForbiddenError, TooManyRequestsError


class Access:
    """Access control of one worker: make it in the worker, after the fork. One thread calls `admit`; `refresh` may run
    in another.

    `audit` and `watch` are open to use; `problems` says which files' newest content is not in use, and why."""

    def __init__(self, options: AccessOptions, *, workers: int = 1) -> None:
        """Reads the files. Raises UserError naming the setting, or the place in the file, and what to do."""
        self.options = options
        self.watch = Watch(options.watch)
        self._callers = Callers(options.rate, workers)
        self._proxies = Proxies(options.proxies) if options.proxies else None
        self._keys: Followed[Keys] | None = None
        self._tokens: Followed[Tokens] | None = None
        path, given = options.keys, options.tokens
        if path:
            self._keys = Followed((path,), lambda: Keys.read(path, KEYS))
        if given:
            self._tokens = Followed((given.keys,), lambda: Tokens(given))
        self.audit = Audit(options.audit, options.addresses, AUDIT)

    @classmethod
    def load(cls, env: Mapping[str, str], *, workers: int = 1) -> Access:
        """From the environment. Raises UserError."""
        return cls(AccessOptions.load(env), workers=workers)

    def require_safe(self, host: str, *, tls: bool) -> None:
        """Raises UserError when the server must not listen on `host` as it is configured."""
        self.options.require_safe(host, tls=tls)

    def admit(self, credentials: Credentials, peer: str, scope: Scope, trace: Trace = NO_TRACE) -> Caller:
        """Who asks, if that is allowed now; pays for one row. `peer` is the address of the other end, without a port.

        Raises UnauthenticatedError, ForbiddenError or TooManyRequestsError, having written the refusal down."""
        client = self._client(credentials, peer)
        try:
            return self._admit(credentials, client, scope)
        except Refused as refused:
            self._tell(refused, client, scope, trace)
            raise refused.answer from None

    def require(
        self, caller: Caller, scope: Scope, credentials: Credentials, peer: str, trace: Trace = NO_TRACE
    ) -> None:
        """A second scope of an admitted caller, for a request whose body asks for more than its address does.

        Raises ForbiddenError, having written it down."""
        if scope not in caller.scopes:
            refused = _beyond_scope(caller, scope)
            self._tell(refused, self._client(credentials, peer), scope, trace)
            raise refused.answer

    def charge(self, caller: Caller, rows: int, credentials: Credentials, peer: str, trace: Trace = NO_TRACE) -> None:
        """Pays for the rows of an admitted request beyond its first, once they are known and before they are answered.

        Raises TooManyRequestsError when other requests have overdrawn the rate meanwhile."""
        wait = caller.bucket.charge(rows - 1) if caller.bucket is not None and rows > 1 else 0.0
        if wait:
            refused = _too_many(caller, wait)
            self._tell(refused, self._client(credentials, peer), "", trace)
            raise refused.answer

    def acted(  # noqa: PLR0913, PLR0917 - what an audit asks: what, how it ended, who, from where, in which request
        self, act: str, outcome: str, caller: Caller, credentials: Credentials, peer: str, trace: Trace = NO_TRACE
    ) -> None:
        """Writes down an administrative act of an admitted caller: `load` done, `unload` refused, and so on."""
        client = self._client(credentials, peer)
        self.audit.act(act, outcome, caller=caller.name, client=client, trace=trace, key=caller.identity)

    def saw(
        self, caller: Caller, *, ids: Collection[object] = (), unknown_ids: int = 0, rows: int = 0, far_rows: int = 0
    ) -> tuple[Kind, ...]:
        """Counts an answered request for the watch; gives what the caller is suspected of since this one."""
        now = time.monotonic()
        return self.watch.saw(caller, now, ids=ids, unknown_ids=unknown_ids, rows=rows, far_rows=far_rows)

    def refresh(self) -> None:
        """Takes over changed files, at most once a second, and writes what the audit holds back. Call it every second,
        in a thread: a large file takes longer to read than a request may wait."""
        for name, followed in (("keys", self._keys), ("token keys", self._tokens)):
            changed = followed.refresh() if followed else None
            if changed is not None:
                self.audit.act(f"{name} reloaded", "done" if changed else "failed", caller="the server")
        self.audit.reopen()
        self.audit.flush(time.monotonic())

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the newest content of a file is not in use; empty when all is."""
        return tuple(followed.problem for followed in (self._keys, self._tokens) if followed and followed.problem)

    def close(self) -> None:
        """Writes what the audit holds back."""
        self.audit.close()

    def _client(self, credentials: Credentials, peer: str) -> str:
        return self._proxies.client(peer, credentials.forwarded_for) if self._proxies is not None else peer

    def _admit(self, credentials: Credentials, client: str, scope: Scope) -> Caller:
        if self.options.networks is not None and client not in self.options.networks:
            raise Refused("network", ForbiddenError("this network is not allowed"))
        caller = self._identify(credentials, client)
        if scope not in caller.scopes:
            raise _beyond_scope(caller, scope)
        wait = caller.bucket.take(time.monotonic()) if caller.bucket is not None else 0.0
        if wait:
            raise _too_many(caller, wait)
        return caller

    def _identify(self, credentials: Credentials, client: str) -> Caller:
        if not self.options.closed:
            return self._callers.of_address(client)
        if credentials.api_key:
            return self._key(credentials.api_key, client)
        if not credentials.authorization:
            raise unauthenticated("no_credentials", "give an API key or a token")
        scheme, _, presented = credentials.authorization.partition(b" ")
        presented = presented.strip(b" ")
        if scheme.lower() != b"bearer" or not presented:
            raise unauthenticated("malformed_credentials", "give the token as: Authorization: Bearer TOKEN")
        if self._tokens is None or is_key(presented):
            return self._key(presented, client)
        return self._callers.of_token(self._tokens.value.find(presented, time.time()))

    def _key(self, presented: bytes, client: str) -> Caller:
        if self._keys is None:
            raise unauthenticated("no_keys", "this server takes tokens, and no API keys")
        key = self._keys.value.find(presented, time.time())
        if key.networks is not None and client not in key.networks:
            answer = ForbiddenError("this network is not allowed")
            raise Refused("network_of_key", answer, identity=key.id, name=key.name)
        return self._callers.of_key(key)

    def _tell(self, refused: Refused, client: str, scope: str, trace: Trace) -> None:
        self.audit.refused(
            refused.reason,
            time.monotonic(),
            caller=refused.name,
            identity=refused.identity,
            scope=scope,
            client=client,
            trace=trace,
        )


def _beyond_scope(caller: Caller, scope: Scope) -> Refused:
    headers = {"www-authenticate": f'Bearer realm="churn", error="insufficient_scope", scope="{scope}"'}
    answer = ForbiddenError(f"this needs the scope '{scope}'", headers=headers)
    return Refused("scope", answer, identity=caller.identity, name=caller.name)


def _too_many(caller: Caller, wait: float) -> Refused:
    limits = {name.decode(): value.decode() for name, value in caller.rate_headers()}
    headers = {**limits, "retry-after": str(math.ceil(wait))}
    answer = TooManyRequestsError("more rows than the rate allows; the header retry-after says when", headers=headers)
    return Refused("rate", answer, identity=caller.identity, name=caller.name)
