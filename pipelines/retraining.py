"""The retraining pipeline: look, decide, and only where it is called for train, judge, and promote what is better."""

from kfp import dsl

from components.assemble.component import assemble
from components.conclude.component import conclude
from components.decide.component import decide
from components.notify.component import notify
from pipelines.fresh import fresh
from pipelines.monitoring import monitored
from pipelines.training import Rows, introduced, judged


def _patient(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """What came of a model should not be lost to a store that is away for a moment: the model may serve by now."""
    return fresh(task).set_retry(num_retries=2, backoff_duration="10s")


@dsl.pipeline(name="retraining", description="Monitor, decide whether to retrain, and promote what is proven better.")
def retraining(
    model: str,
    as_of: str = "",
    days: int = 30,
    window_days: int = 90,
    data: str = "",
    force: bool = False,
    share: float = 0.0,
    candidates: str = "",
    comparison: str = "",
) -> None:
    """`days` up to `as_of` (now when empty) are looked at; `window_days` of predictions whose outcomes are known are
    trained on, or the table at the address `data`. With a `share` of customers a better model begins as challenger."""
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    told = fresh(notify(model=model, pipeline="retraining", run=run, as_of=as_of))
    with dsl.ExitHandler(told, name="whatever-happens"):
        seen = monitored(model, as_of, days, "retraining", known_days=window_days)
        decided = fresh(
            decide(
                report=seen.record.outputs["report"],
                predictions=seen.assemble.outputs["predictions"],
                run=run,
                window_days=window_days,
                force=force,
                data=data,
            )
        )
        with dsl.If(decided.outputs["retrain"] == True, name="retrain"):  # noqa: E712 - KFP compares, Python does not
            decision = decided.outputs["decision"]
            terms = seen.assemble.outputs["contract"]
            assembled = fresh(assemble(contract=terms, decision=decision, as_of=decided.outputs["as_of"], data=data))
            rows = Rows(terms, assembled.outputs["snapshot"], assembled.outputs["valid"], assembled.outputs["report"])
            found = judged(rows, {"candidates": candidates}, comparison, because=decided.outputs["because"])
            ended = {
                "run": run,
                "decision": decision,
                "bundle": found.train.outputs["bundle"],
                "evaluation": found.evaluate.outputs["evaluation"],
            }
            with dsl.If(found.evaluate.outputs["passed"] == True, name="passed"):  # noqa: E712
                promoted = introduced(rows, found, share)
                _patient(conclude(promotion=promoted.outputs["report"], **ended))
            with dsl.Else(name="refused"):
                _patient(conclude(**ended))
