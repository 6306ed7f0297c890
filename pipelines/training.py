"""The training pipeline: from a customer table to the champion, or to the reason why not."""

from typing import Any, NamedTuple

from kfp import dsl

from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.materialise.component import materialise
from components.promote.component import promote
from components.train.component import train
from components.transform.component import transform
from components.validate.component import validate
from pipelines.fresh import fresh


class Rows(NamedTuple):
    """Artifacts to train on: the contract, the snapshot, its valid rows, and the report that counts the others."""

    contract: Any
    snapshot: Any
    valid: Any
    validation: Any


class Judged(NamedTuple):
    """The tasks: `train` has the output `bundle`, `evaluate` the outputs `passed` and `evaluation`."""

    transform: dsl.PipelineTask
    train: dsl.PipelineTask
    evaluate: dsl.PipelineTask


def judged(rows: Rows, options: dict[str, Any], comparison: str = "", because: str = "") -> Judged:
    """Adds the steps from valid rows to the gate's verdict to the pipeline that is being composed.

    `options` are train's; `because` says why a model is trained, where that was decided."""
    transformed = fresh(transform(contract=rows.contract, snapshot=rows.snapshot, valid=rows.valid))
    trained = fresh(
        train(
            contract=rows.contract,
            snapshot=rows.snapshot,
            features=transformed.outputs["features"],
            entities=transformed.outputs["entities"],
            **options,
        )
    )
    evaluated = fresh(
        evaluate(
            contract=rows.contract,
            snapshot=rows.snapshot,
            validation=rows.validation,
            bundle=trained.outputs["bundle"],
            scored=trained.outputs["scored"],
            training=trained.outputs["report"],
            comparison=comparison,
            because=because,
        )
    )
    return Judged(transformed, trained, evaluated)


def introduced(rows: Rows, found: Judged, share: float = 0.0) -> dsl.PipelineTask:
    """Adds the steps that put a bundle which passed the gate in charge, or make it a challenger; gives the last."""
    features, bundle = found.transform.outputs["features"], found.train.outputs["bundle"]
    materialised = fresh(materialise(contract=rows.contract, snapshot=rows.snapshot, features=features))
    return fresh(
        promote(
            contract=rows.contract,
            snapshot=rows.snapshot,
            bundle=bundle,
            evaluation=found.evaluate.outputs["evaluation"],
            share=share,
        )
    ).after(materialised)


@dsl.pipeline(name="training", description="Train, judge and, if it is better, promote a churn model.")
def training(
    data: str,
    contract: str = "telco",
    model: str = "",
    as_of: str = "",
    candidates: str = "",
    tune_trials: int = 0,
    tune_sampler: str = "tpe",
    resample: str = "none",
    class_weight: str = "none",
    comparison: str = "",
) -> None:
    """`data` and `contract` are addresses; a bare contract name is one that the images carry.

    Empty values leave the choice to the contract; an empty `as_of` means now."""
    ingested = fresh(ingest(data=data, contract=contract, model=model, as_of=as_of))
    terms, snapshot = ingested.outputs["contract_file"], ingested.outputs["snapshot"]
    validated = fresh(validate(contract=terms, snapshot=snapshot))
    rows = Rows(terms, snapshot, validated.outputs["valid"], validated.outputs["report"])
    options = {
        "candidates": candidates,
        "tune_trials": tune_trials,
        "tune_sampler": tune_sampler,
        "resample": resample,
        "class_weight": class_weight,
    }
    found = judged(rows, options, comparison)
    with dsl.If(found.evaluate.outputs["passed"] == True, name="passed"):  # noqa: E712 - KFP compares, Python does not
        introduced(rows, found)
