"""How the predictor behaves, read from the environment once, checked, and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

import msgspec

from churn.domain.errors import UserError
from churn.stores.settings import Settings

if TYPE_CHECKING:
    from churn.stores.prediction_log.pseudonyms import Pseudonyms
    from churn.stores.prediction_log.records import Logged

Durability = Literal["batched", "durable", "off"]
Said = Literal["refused", "all", "none"]

MIB = 2**20


class Limits(msgspec.Struct, frozen=True):
    """What one request may cost. Times are in seconds."""

    batch: int = 10_000
    body_bytes: int = 16 * MIB
    receive: float = 10.0
    online: float = 0.25


class ServingSettings(msgspec.Struct, frozen=True):
    """`map_unknown` takes categories that the contract does not know for the column's "other". `drain` is how many
    seconds a server that was told to stop still takes requests, while everybody learns that it is not ready."""

    limits: Limits
    map_unknown: bool
    drain: float
    said: Said
    durability: Durability
    spool: Path
    spool_bytes: int
    log_key: Path

    @classmethod
    def load(cls, env: Mapping[str, str], settings: Settings) -> ServingSettings:
        """Reads the environment. Raises UserError naming the variable and what it can be."""
        return cls(
            limits=Limits(
                batch=_integer(env, "CHURN_BATCH_LIMIT", 10_000, 1, 1_000_000),
                body_bytes=_integer(env, "CHURN_BODY_LIMIT_MB", 16, 1, 1024) * MIB,
                receive=_integer(env, "CHURN_RECEIVE_SECONDS", 10, 1, 3600),
                online=_integer(env, "CHURN_ONLINE_DEADLINE_MS", 250, 1, 60_000) / 1000,
            ),
            map_unknown=_one_of(env, "CHURN_UNKNOWN_CATEGORY", ("refuse", "other")) == "other",
            drain=_integer(env, "CHURN_DRAIN_SECONDS", 1, 0, 600),
            said=cast(Said, _one_of(env, "CHURN_REQUEST_LOG", ("refused", "all", "none"))),
            durability=cast(Durability, _one_of(env, "CHURN_LOG_DURABILITY", ("batched", "durable", "off"))),
            spool=Path(env.get("CHURN_LOG_SPOOL") or settings.home / "spool").expanduser().absolute(),
            spool_bytes=_integer(env, "CHURN_LOG_SPOOL_MB", 1024, 1, 10**6) * MIB,
            log_key=Path(env.get("CHURN_LOG_KEY") or settings.home / "keys" / "log").expanduser().absolute(),
        )

    def require_spool(self) -> None:
        """Raises UserError when answers are to be durable, and the spool that makes them so cannot be written."""
        if self.durability != "durable":
            return
        from churn.stores.prediction_log.spool import try_out

        try:
            try_out(self.spool)
        except OSError as error:
            remedy = "give a folder that can be written, or set CHURN_LOG_DURABILITY=batched"
            problem = f"{self.spool} cannot be written: {error.strerror}"
            raise UserError(problem, where="CHURN_LOG_SPOOL", remedy=remedy) from error


class Writer(Protocol):
    """What takes the records of the prediction log."""

    def append(self, record: Logged) -> None:
        """Takes one; raises nothing."""


@dataclass(frozen=True)
class Log:
    """The prediction log, and the names that customers have in it."""

    writer: Writer
    pseudonyms: Pseudonyms


def _integer(env: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    given = env.get(name) or str(usual)
    if not (given.isascii() and given.isdecimal() and len(given) <= 12 and least <= int(given) <= most):
        raise UserError(f"'{given[:40]}' cannot be", where=name, remedy=f"give a whole number from {least} to {most}")
    return int(given)


def _one_of(env: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    given = env.get(name) or known[0]
    if given not in known:
        raise UserError(f"'{given[:40]}' cannot be", where=name, remedy=f"give one of: {', '.join(known)}")
    return given
