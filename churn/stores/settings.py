"""Everything that is configured from outside, read from the environment once, checked, and frozen."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from churn.domain.errors import UserError
from churn.stores import addresses
from churn.stores.addresses import redacted
from churn.stores.variables import refuse_unknown


class S3Access(msgspec.Struct, frozen=True):
    """Where S3 is and who asks. Without keys, requests are anonymous; without an endpoint, it is AWS."""

    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""

    @classmethod
    def load(cls, env: Mapping[str, str]) -> S3Access:
        """Reads the standard AWS_* variables. Raises UserError for an endpoint that is no URL, or half a key pair."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        missing = [name for name in names if not env.get(name)]
        if len(missing) == 1:
            raise UserError("is not set although its counterpart is", where=missing[0], remedy="set both, or neither")
        return cls(
            endpoint=addresses.endpoint("AWS_ENDPOINT_URL", env.get("AWS_ENDPOINT_URL", "")),
            region=env.get("AWS_REGION", "") or env.get("AWS_DEFAULT_REGION", ""),
            access_key=env.get(names[0], ""),
            secret_key=env.get(names[1], ""),
            session_token=env.get("AWS_SESSION_TOKEN", ""),
        )

    def __repr__(self) -> str:
        keys = "set" if self.access_key else "none"
        return f"S3Access(endpoint={self.endpoint!r}, region={self.region!r}, keys={keys})"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # what msgspec gives to rich would show the secrets
        return [("endpoint", self.endpoint), ("region", self.region), ("keys", "set" if self.access_key else "none")]


class Settings(msgspec.Struct, frozen=True):
    """Where everything lies. Folders are absolute paths, the rest are addresses: a folder or `s3://`, or a URL.

    An empty `mlflow_artifacts` means that the tracking server decides; `statement_timeout` is in seconds."""

    home: Path
    objects: str
    traffic: str
    mlflow_uri: str
    mlflow_artifacts: str
    feast_registry: str
    online_store: str
    database: str
    statement_timeout: float
    s3: S3Access

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Reads the environment. Raises UserError naming the variable and the remedy for a value that cannot be."""
        env = os.environ if env is None else env
        refuse_unknown(env)
        home = addresses.folder("CHURN_HOME", env.get("CHURN_HOME") or ".churn")

        def value(name: str, default: str) -> str:
            return env.get(name) or default

        mlflow_uri = addresses.url(
            "CHURN_MLFLOW_URI",
            value("CHURN_MLFLOW_URI", f"sqlite:///{home}/mlflow/mlflow.db"),
            ("sqlite", "postgresql", "mysql", "http", "https"),
        )
        by_server = mlflow_uri.startswith("http") and not env.get("CHURN_MLFLOW_ARTIFACTS")
        return cls(
            home=home,
            objects=addresses.store("CHURN_OBJECTS", value("CHURN_OBJECTS", f"{home}/objects")),
            traffic=addresses.store("CHURN_TRAFFIC", value("CHURN_TRAFFIC", f"{home}/traffic")),
            mlflow_uri=mlflow_uri,
            mlflow_artifacts=""
            if by_server
            else addresses.store("CHURN_MLFLOW_ARTIFACTS", value("CHURN_MLFLOW_ARTIFACTS", f"{home}/mlflow/artifacts")),
            feast_registry=addresses.file_or_url(
                "CHURN_FEAST_REGISTRY", value("CHURN_FEAST_REGISTRY", f"{home}/feast/registry.db"), ("postgresql",)
            ),
            online_store=addresses.url(
                "CHURN_ONLINE_STORE",
                value("CHURN_ONLINE_STORE", f"sqlite:///{home}/feast/online.db"),
                ("sqlite", "redis", "rediss", "postgresql"),
            ),
            database=addresses.url(
                "CHURN_DATABASE", value("CHURN_DATABASE", f"sqlite:///{home}/churn.db"), ("sqlite", "postgresql")
            ),
            statement_timeout=_seconds("CHURN_STATEMENT_TIMEOUT", value("CHURN_STATEMENT_TIMEOUT", "600")),
            s3=S3Access.load(env),
        )

    def prepare(self) -> Settings:
        """Makes the home folder. Raises UserError when nothing can be written there."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.home):
                pass
        except OSError as error:
            reason = f"nothing can be written there: {error.strerror}"
            raise UserError(reason, where=str(self.home), remedy="set CHURN_HOME to a folder of your own") from error
        return self

    def environment(self) -> dict[str, str]:
        """The CHURN_* variables that give a process elsewhere these settings; AWS_* ones it inherits."""
        return {f"CHURN_{name.upper()}": str(getattr(self, name)) for name in self.__struct_fields__ if name != "s3"}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [(name, redacted(str(getattr(self, name)))) for name in self.__struct_fields__]


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"'{value}' is no number of seconds above zero", where=name)
    return seconds
