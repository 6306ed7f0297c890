"""The model registry: MLflow's runs, versions and aliases, for people to read. Nothing here decides what serves."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from churn.stores import files, mlflow_client
from churn.stores.runs import DIGEST, Run
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.store.entities import PagedList

T = TypeVar("T")

CHAMPION = "champion"
CHALLENGER = "challenger"

_LOCK = "churn.lock"


class ModelVersionInfo(msgspec.Struct, frozen=True):
    """A registered version with what its run logged."""

    model: str
    version: int
    digest: str
    run_id: str
    created: datetime
    description: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    metrics: dict[str, float]
    params: dict[str, str]


class Registry:
    """Runs of a model lie in the experiment of its name; its versions in the registered model of its name."""

    def __init__(self, settings: Settings) -> None:
        """Connects. Raises UserError when MLflow does not answer."""
        self._settings = settings
        self._client = mlflow_client.connect(settings)

    @contextmanager
    def run(self, model: str, name: str = "") -> Iterator[Run]:
        """A run that ends FINISHED, FAILED by an exception, or KILLED: then the model's next run says so.

        Whether a run still lives is told by a lock in CHURN_HOME that dies with its process; a run whose lock lies
        elsewhere is left alone."""
        experiment = self._experiment(checked_model(model))
        self._bury_the_dead(experiment)
        token = uuid.uuid4().hex
        lock = self._lock(token)
        with files.locked(lock):
            run_id = self._client.create_run(experiment, tags={_LOCK: token}, run_name=name or None).info.run_id
            status = "FAILED"
            try:
                yield Run(self._client, experiment, run_id)
                status = "FINISHED"
            except KeyboardInterrupt:
                status = "KILLED"
                raise
            finally:
                self._client.set_terminated(run_id, status)
                files.remove(lock)

    def register(
        self, model: str, run_id: str, digest: str, *, tags: Mapping[str, str] | None = None, description: str = ""
    ) -> int:
        """The version of the bundle `digest` that a run logged; a digest registered before keeps its version.

        Raises LookupError when the run logged no such bundle."""
        known = self._versions_of(checked_model(model), digest)
        if known:
            return known[0]
        source = self._logged(run_id, digest)
        self._ensure_model(model)
        created = self._client.create_model_version(
            model,
            source.artifact_location,
            run_id=run_id,
            model_id=source.model_id,
            tags={**(tags or {}), DIGEST: digest},
            description=description,
        )
        # Two processes may have come here at once. Versions count up, so that both find the same first one.
        first = self._versions_of(model, digest)[0]
        if first != int(created.version):
            self._client.delete_model_version(model, str(created.version))
        return first

    def annotate(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Adds tags to a run that may have ended."""
        for name, value in tags.items():
            self._client.set_tag(run_id, name, value)

    def mirror_aliases(self, model: str, champion: int, challenger: int | None = None) -> None:
        """Shows in MLflow what the traffic document says."""
        for alias, version in ((CHAMPION, champion), (CHALLENGER, challenger)):
            if version is None:
                self._client.delete_registered_model_alias(model, alias)
            else:
                self._client.set_registered_model_alias(model, alias, str(version))

    def versions(self, model: str) -> list[ModelVersionInfo]:
        """A model's versions, the newest first; none when there is no such model."""
        aliases = {found.name: found.aliases for found in self._search_models()}.get(model) or {}
        return [self._info(found, aliases) for found in reversed(self._search_versions(model))]

    def models(self) -> list[str]:
        """Names of the registered models, in order."""
        return sorted(model.name for model in self._search_models())

    def _info(self, found: ModelVersion, aliases: Mapping[str, str]) -> ModelVersionInfo:
        run_id = str(found.run_id)
        run = self._client.get_run(run_id).data
        return ModelVersionInfo(
            model=found.name,
            version=int(found.version),
            digest=found.tags.get(DIGEST, ""),
            run_id=run_id,
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
            description=found.description or "",
            aliases=tuple(sorted(alias for alias, version in aliases.items() if int(version) == int(found.version))),
            tags=dict(found.tags),
            metrics=dict(run.metrics),
            params=dict(run.params),
        )

    def _experiment(self, model: str) -> str:
        found = self._client.get_experiment_by_name(model)
        if found is not None:
            if found.lifecycle_stage != "active":  # somebody deleted it; it would refuse new runs for good
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        root = self._settings.mlflow_artifacts
        location = f"{root}/{model}" if root else None
        try:
            return self._client.create_experiment(model, location)
        except mlflow_client.error():  # somebody else made it since
            found = self._client.get_experiment_by_name(model)
            if found is None:
                raise
            return str(found.experiment_id)

    def _logged(self, run_id: str, digest: str) -> LoggedModel:
        outputs = self._client.get_run(run_id).outputs
        for output in outputs.model_outputs if outputs else ():
            logged = self._client.get_logged_model(output.model_id)
            if logged.tags.get(DIGEST) == digest:
                return logged
        raise LookupError(f"the run {run_id} logged no bundle {digest}")

    def _versions_of(self, model: str, digest: str) -> list[int]:
        return [int(found.version) for found in self._search_versions(model) if found.tags.get(DIGEST) == digest]

    def _search_versions(self, model: str) -> list[ModelVersion]:
        """All versions, the oldest first."""
        found = _all(lambda token: self._client.search_model_versions(f"name = '{model}'", page_token=token))
        return sorted(found, key=lambda version: int(version.version))

    def _search_models(self) -> list[RegisteredModel]:
        return _all(lambda token: self._client.search_registered_models(page_token=token))

    def _ensure_model(self, model: str) -> None:
        if model not in self.models():
            with suppress(mlflow_client.error()):  # somebody else made it since
                self._client.create_registered_model(model)

    def _bury_the_dead(self, experiment: str) -> None:
        for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            lock = self._lock(run.data.tags.get(_LOCK, "none"))
            if not lock.exists() or files.is_locked(lock):
                continue
            # Asked again: it may have ended, and let go of its lock, since the search.
            if self._client.get_run(run.info.run_id).info.status == "RUNNING":
                self._bury(experiment, run.info.run_id)
            files.remove(lock)

    def _bury(self, experiment: str, run_id: str) -> None:
        for model in self._client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
            if str(model.status) == "PENDING":
                self._client.finalize_logged_model(model.model_id, "FAILED")
        self._client.set_terminated(run_id, "KILLED")

    def _lock(self, token: str) -> Path:
        return self._settings.home / "locks" / f"run-{token}"


def _all(page: Callable[[str | None], PagedList[T]]) -> list[T]:
    answer = page(None)
    found = list(answer)
    while answer.token:
        answer = page(answer.token)
        found += answer
    return found
