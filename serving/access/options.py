"""Access control as it is configured: read from the environment once, checked, and frozen."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from churn.domain.errors import UserError
from serving.access.limits import Rate
from serving.access.networks import Networks, address_of
from serving.access.tokens import TokenOptions
from serving.access.watch import WatchOptions

log = logging.getLogger(__name__)

KEYS, RATE = "CHURN_API_KEYS", "CHURN_RATE_LIMIT"
ANONYMOUS = "CHURN_ALLOW_ANONYMOUS"
NETWORKS, PROXIES = "CHURN_ALLOWED_NETWORKS", "CHURN_TRUSTED_PROXIES"
AUDIT, ADDRESSES = "CHURN_AUDIT_FILE", "CHURN_AUDIT_ADDRESSES"


class AccessOptions(msgspec.Struct, frozen=True):
    """Without keys and tokens, everybody is let in as anonymous; without networks, from everywhere.

    `rate` is for each key that has none of its own, each subject of a token, or each address of anonymous callers.
    `audit` of None is stderr; `addresses` says how much of a client's address is written there."""

    keys: Path | None = None
    tokens: TokenOptions | None = None
    anonymous: bool = False
    rate: Rate | None = None
    networks: Networks | None = None
    proxies: Networks | None = None
    audit: Path | None = None
    addresses: Literal["network", "full"] = "network"
    watch: WatchOptions = WatchOptions()

    @classmethod
    def load(cls, env: Mapping[str, str]) -> AccessOptions:
        """Reads the environment. Raises UserError naming the variable and the remedy for a value that cannot be."""
        keys = _path(env, KEYS)
        tokens = TokenOptions.load(env)
        anonymous = flag(env, ANONYMOUS)
        if anonymous and (keys or tokens):
            problem = "is set, and so are keys or tokens: with them nobody is anonymous"
            raise UserError(problem, where=ANONYMOUS, remedy="unset one of them")
        return cls(
            keys=keys,
            tokens=tokens,
            anonymous=anonymous,
            rate=Rate.parse(env[RATE], RATE) if env.get(RATE) else None,
            networks=_networks(env, NETWORKS),
            proxies=_networks(env, PROXIES),
            audit=_path(env, AUDIT),
            addresses=_addresses(env),
            watch=WatchOptions.load(env),
        )

    @property
    def closed(self) -> bool:
        """Whether callers must say who they are."""
        return self.keys is not None or self.tokens is not None

    def require_safe(self, host: str, *, tls: bool) -> None:
        """Raises UserError when everybody who reaches `host` could ask, and nobody said that this is meant.

        Keys without TLS are allowed, with a warning: in a cluster the mesh or the ingress encrypts, and this process
        cannot see that."""
        if is_loopback(host):
            return
        if not self.closed and not self.anonymous:
            raise UserError(
                f"the server would answer everybody who reaches {host}: there are no API keys and no tokens",
                where=KEYS,
                remedy=f"make keys with `churn keys create`, set CHURN_JWT_KEYS, or allow it with {ANONYMOUS}=true",
            )
        if self.closed and not tls:
            log.warning(
                "keys and tokens cross the network to %s in the clear, unless a mesh or an ingress encrypts", host
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on. A name other than localhost is taken as reachable."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def flag(env: Mapping[str, str], name: str) -> bool:
    """true or false; false when it is not set. Raises UserError for another word."""
    value = env.get(name, "") or "false"
    if value not in ("true", "false"):
        raise UserError(f"'{value[:40]}' is neither true nor false", where=name, remedy="write true or false")
    return value == "true"


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]).expanduser().absolute() if env.get(name) else None


def _networks(env: Mapping[str, str], name: str) -> Networks | None:
    given = env.get(name, "")
    texts = [text.strip() for text in given.split(",") if text.strip()]
    if given and not texts:
        raise UserError("holds no network", where=name, remedy="write some, with commas between them, or leave it out")
    return Networks.parse(texts, name) if texts else None


def _addresses(env: Mapping[str, str]) -> Literal["network", "full"]:
    value = env.get(ADDRESSES) or "network"
    if value == "network":
        return "network"
    if value == "full":
        return "full"
    raise UserError(f"'{value[:40]}' is no way to write addresses", where=ADDRESSES, remedy="write network or full")
