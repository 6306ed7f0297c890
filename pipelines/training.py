"""The training pipeline: from a customer table to the champion, or to the reason why not."""

from kfp import dsl

from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.materialise.component import materialise
from components.promote.component import promote
from components.train.component import train
from components.transform.component import transform
from components.validate.component import validate


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
    ingested = ingest(data=data, contract=contract, model=model, as_of=as_of)
    terms, snapshot = ingested.outputs["contract_file"], ingested.outputs["snapshot"]
    validated = validate(contract=terms, snapshot=snapshot)
    transformed = transform(contract=terms, snapshot=snapshot, valid=validated.outputs["valid"])
    trained = train(
        contract=terms,
        snapshot=snapshot,
        features=transformed.outputs["features"],
        entities=transformed.outputs["entities"],
        candidates=candidates,
        tune_trials=tune_trials,
        tune_sampler=tune_sampler,
        resample=resample,
        class_weight=class_weight,
    )
    evaluated = evaluate(
        contract=terms,
        snapshot=snapshot,
        validation=validated.outputs["report"],
        bundle=trained.outputs["bundle"],
        scored=trained.outputs["scored"],
        training=trained.outputs["report"],
        comparison=comparison,
    )
    with dsl.If(evaluated.outputs["passed"] == True, name="passed"):  # noqa: E712 - KFP compares, Python does not
        materialised = materialise(contract=terms, snapshot=snapshot, features=transformed.outputs["features"])
        promote(
            contract=terms,
            snapshot=snapshot,
            bundle=trained.outputs["bundle"],
            evaluation=evaluated.outputs["evaluation"],
        ).after(materialised)
