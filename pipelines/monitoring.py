"""Monitoring: has the world changed, and is the model still what it was promoted for? Retraining begins with it."""

from typing import NamedTuple

from kfp import dsl

from components.monitor_assemble.component import monitor_assemble
from components.monitor_judge.component import monitor_judge
from components.monitor_notify.component import monitor_notify
from components.monitor_record.component import monitor_record
from pipelines.fresh import fresh


class Monitored(NamedTuple):
    """The tasks: `judge` has the outputs `status`, `worse`, `reason` and `judgement`, `record` the `report`, and
    `notify` says who was told."""

    assemble: dsl.PipelineTask
    judge: dsl.PipelineTask
    record: dsl.PipelineTask
    notify: dsl.PipelineTask


def monitored(model: str, as_of: str, days: int, pipeline: str, known_days: int = 0) -> Monitored:
    """Adds monitoring's steps to the pipeline that is being composed, and of which people are told.

    `known_days` is how far back at least outcomes are looked for."""
    assembled = fresh(monitor_assemble(model=model, as_of=as_of, days=days, known_days=known_days))
    judged = fresh(
        monitor_judge(
            contract=assembled.outputs["contract"],
            reference=assembled.outputs["reference"],
            window=assembled.outputs["window"],
            predictions=assembled.outputs["predictions"],
            facts=assembled.outputs["facts"],
        )
    )
    recorded = fresh(monitor_record(judgement=judged.outputs["judgement"]))
    told = fresh(monitor_notify(report=recorded.outputs["report"], pipeline=pipeline))
    return Monitored(assembled, judged, recorded, told)


@dsl.pipeline(name="monitoring", description="Compare what was logged with what the champion was made from.")
def monitoring(model: str, as_of: str = "", days: int = 30) -> None:
    """The window is `days` days up to `as_of`, which is now when empty."""
    monitored(model, as_of, days, "monitoring")
