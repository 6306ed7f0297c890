"""Brings the schedules of a cluster to what is declared, and says what it did."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from churn.domain.errors import UserError
from churn.stores.retry import PATIENT, Backoff
from local import packages, screen
from local.schedules.client import Client, TryAgainError
from local.schedules.declaration import Declaration, Schedule
from local.schedules.planning import Observed, RecurringRun, Step, mark, marked, plan


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, or with `dry_run` what would be; `churn pipeline schedule --json` prints it."""

    host: str
    namespace: str
    owner: str
    dry_run: bool
    steps: list[Step]
    schedules: list[dict[str, Any]]


def reconcile(
    declared: Declaration, client: Client, *, dry_run: bool = False, patience: Backoff = PATIENT
) -> Reconciled:
    """Looks, decides and acts, until there is nothing left to do; a dry run acts not.

    What fails for the moment is not repeated by itself, a creation might be doubled: all is looked at and decided anew.
    Raises UserError when KFP refuses, or when it fails, or somebody else interferes, again and again."""
    with tempfile.TemporaryDirectory() as folder:
        used = sorted({schedule.pipeline for schedule in declared.schedules})
        compiled = {name: packages.compiled(name, Path(folder)) for name in used}
        reconciler = _Reconciler(declared, client, compiled)
        look = reconciler.intended if dry_run else reconciler.converge
        observed = patience.run(look, lambda error: isinstance(error, TryAgainError))
    return Reconciled(
        host=client.host,
        namespace=client.namespace or "",
        owner=declared.owner,
        dry_run=dry_run,
        steps=reconciler.steps,
        schedules=[_row(schedule, reconciler.versions, observed) for schedule in declared.schedules],
    )


def show(done: Reconciled) -> None:
    """What was done, line by line, and what runs when."""
    for step in done.steps:
        screen.out.print(f"{step.kind:17}  {step.subject}: {step.because}", markup=False)
    if not done.steps:
        screen.out.print("all schedules are as declared")
    for row in done.schedules:
        when = f"at {row['cron']}" if row["enabled"] else "disabled"
        screen.out.print(f"{row['name']}: {row['pipeline']} {when}, version {row['version']}", markup=False)
    if done.dry_run:
        screen.tell("nothing was done: this was a dry run")


def _row(schedule: Schedule, versions: dict[str, str], observed: Observed) -> dict[str, Any]:
    """What stands in the cluster for a schedule: `id` is that of the recurring run that is enabled, if one is."""
    row = {name: getattr(schedule, name) for name in ("name", "pipeline", "cron", "parameters", "enabled")}
    enabled = (run.id for run in observed.runs if run.schedule == schedule.name and run.enabled)
    return {**row, "version": versions[schedule.pipeline], "id": next(enabled, None)}


class _Reconciler:
    def __init__(self, declared: Declaration, client: Client, compiled: dict[str, Path]) -> None:
        self.declared, self.client, self.compiled = declared, client, compiled
        self.versions = {name: packages.version(path) for name, path in compiled.items()}
        self.steps: list[Step] = []
        self._schedules = {schedule.name: schedule for schedule in declared.schedules}
        self._created: dict[str, str] = {}

    def intended(self) -> Observed:
        """Notes what would be done, and gives what there is."""
        observed = self.observe()
        self.steps = plan(self.declared, self.versions, observed)
        return observed

    def converge(self) -> Observed:
        """Does what has to be done, and gives what there is then; TryAgainError when that is not as declared."""
        observed = self.observe()
        steps = plan(self.declared, self.versions, observed)
        for step in steps:
            self._apply(step, observed)
            self.steps.append(step)
        if not steps:
            return observed
        observed = self.observe()
        if plan(self.declared, self.versions, observed):
            raise TryAgainError(
                "somebody else changes the same schedules", where=self.client.host, remedy="run it again"
            )
        return observed

    def observe(self) -> Observed:
        """What the cluster holds of what is declared, and of what was."""
        client = self.client
        experiments: dict[str, str] = {}
        for name in sorted({schedule.experiment for schedule in self.declared.schedules if schedule.enabled}):
            found = client.named(
                client.experiments.experiment_service_list_experiments, "experiments", name, **self._space
            )
            if found and found.storage_state == "ARCHIVED":
                remedy = "restore it in KFP, or name another"
                raise UserError("the experiment is archived, nothing runs in it", where=name, remedy=remedy)
            experiments |= {name: found.experiment_id} if found else {}
        pipelines: dict[str, str] = {}
        versions: dict[str, str] = {}
        for name, version in self.versions.items():
            found = client.named(client.pipelines.pipeline_service_list_pipelines, "pipelines", name, **self._space)
            if found:
                pipelines[name] = found.pipeline_id
                list_ = client.pipelines.pipeline_service_list_pipeline_versions
                kept = client.named(list_, "pipeline_versions", version, pipeline_id=found.pipeline_id)
                versions |= {name: kept.pipeline_version_id} if kept else {}
        return Observed(pipelines, versions, experiments, self._runs())

    @property
    def _space(self) -> dict[str, str]:
        return {"namespace": self.client.namespace} if self.client.namespace else {}

    def _runs(self) -> list[RecurringRun]:
        found = []
        list_ = self.client.recurring_runs.recurring_run_service_list_recurring_runs
        for run in self.client.pages(list_, "recurring_runs", **self._space):
            ours = marked(run.description, run.display_name, self.declared.owner)
            if ours:
                enabled = run.status == "ENABLED" or run.mode == "ENABLE"
                found.append(RecurringRun(run.recurring_run_id, *ours, enabled, str(run.created_at)))
        return found

    def _apply(self, step: Step, known: Observed) -> None:
        """Makes one call, and notes in `known` the id that it gives."""
        runs = self.client.recurring_runs
        match step.kind:
            case "create pipeline":
                known.pipelines[step.subject] = self._create_pipeline(step.subject)
            case "upload version":
                known.versions[step.subject] = self._upload(step.subject, known.pipelines[step.subject])
            case "create experiment":
                known.experiments[step.subject] = self._create_experiment(step.subject)
            case "create":
                self._created[step.subject] = self._create(self._schedules[step.subject], known)
            case "enable":
                self.client.call(runs.recurring_run_service_enable_recurring_run, self._created[step.subject])
            case "disable":
                self.client.call(runs.recurring_run_service_disable_recurring_run, step.target)
            case "delete":
                # Runs belong to what started them: without ORPHAN, those that are under way would be killed with it.
                delete = runs.recurring_run_service_delete_recurring_run
                self.client.call(delete, step.target, propagation_policy="ORPHAN")

    def _create_pipeline(self, name: str) -> str:
        import kfp_server_api as api

        pipeline = api.V2beta1Pipeline(
            name=name, display_name=name, description=packages.pipelines()[name].description, **self._space
        )
        made = self.client.call(self.client.pipelines.pipeline_service_create_pipeline, pipeline)
        return self._id(made.pipeline_id)

    def _upload(self, name: str, pipeline: str) -> str:
        made = self.client.call(
            self.client.uploads.upload_pipeline_version,
            str(self.compiled[name]), name=self.versions[name], display_name=self.versions[name], pipelineid=pipeline,
        )  # fmt: skip
        return self._id(made.pipeline_version_id)

    def _create_experiment(self, name: str) -> str:
        import kfp_server_api as api

        made = self.client.call(
            self.client.experiments.experiment_service_create_experiment,
            api.V2beta1Experiment(display_name=name, **self._space),
        )
        return self._id(made.experiment_id)

    def _create(self, schedule: Schedule, known: Observed) -> str:
        """The successor of a schedule, or its first, disabled."""
        import kfp_server_api as api

        declaration = schedule.digest(self.versions[schedule.pipeline])
        run = api.V2beta1RecurringRun(
            display_name=schedule.name,
            description=mark(self.declared.owner, schedule.name, declaration),
            experiment_id=known.experiments[schedule.experiment],
            pipeline_version_reference=api.V2beta1PipelineVersionReference(
                pipeline_id=known.pipelines[schedule.pipeline],
                pipeline_version_id=known.versions[schedule.pipeline],
            ),
            runtime_config=api.V2beta1RuntimeConfig(parameters=schedule.parameters),
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=schedule.cron)),
            mode="DISABLE",
            max_concurrency=str(schedule.max_concurrency),
            no_catchup=not schedule.catch_up,
            **self._space,
        )
        made = self.client.call(self.client.recurring_runs.recurring_run_service_create_recurring_run, run)
        return self._id(made.recurring_run_id)

    def _id(self, given: str | None) -> str:
        if not given:
            raise UserError("answers something else than KFP's API", where=self.client.host)
        return given
