"""`churn run`: the pipelines, with KFP's local runner."""

from __future__ import annotations

from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson, AsOf, ContractName, ModelName, RunnerOption, TableAddress

app = typer.Typer(help="Run a pipeline on this machine, through KFP's own local execution.", no_args_is_help=True)


@app.callback()
def run() -> None:
    """Run a pipeline on this machine."""


@app.command()
def training(
    data: TableAddress = "",
    contract: ContractName = "telco",
    model: ModelName = "",
    as_of: AsOf = "",
    param: Annotated[
        list[str] | None, typer.Option(help="A pipeline parameter as name=value; may be repeated.")
    ] = None,
    runner: RunnerOption = "venv",
    as_json: AsJson = False,
) -> None:
    """Train, judge and, if it is better than the champion, promote.

    A refused model is no error: the run ends with 0 and says why. Parameters: candidates (some, comma-separated),
    tune_trials, tune_sampler (tpe, random, grid), resample (none, smote), class_weight (none, balanced),
    comparison (superior, non-inferior)."""
    from local import progress, report, training

    request = training.Request.parse(data, param or [], contract=contract, model=model, as_of=as_of, runner=runner)
    with progress.steps(quiet=as_json) as on_step:
        done = training.run(request, on_step)
    if as_json:
        screen.document(done)
    else:
        report.show(done)


@app.command()
def batch(
    data: TableAddress = "",
    from_store: Annotated[
        bool, typer.Option("--from-store", help="Each customer's latest row in the offline store, as of the date.")
    ] = False,
    as_of: AsOf = "",
    shards: Annotated[int, typer.Option(help="Parts that are scored apart; 0 is one a million rows.", min=0)] = 0,
    out: Annotated[
        str, typer.Option(help="Where scores appear: a folder or s3://bucket/prefix; scores/MODEL in CHURN_OBJECTS.")
    ] = "",
    model: Annotated[str, typer.Option(help="Whose champion scores.")] = "telco",
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Add the three strongest reasons; takes some twenty times as long.")
    ] = False,
    runner: RunnerOption = "venv",
    as_json: AsJson = False,
) -> None:
    """Score every customer of a table with the champion.

    Writes Parquet by date and model version, and the table `scores` of CHURN_DATABASE. The same run again takes the
    former's place, and what other tables gave of the date stays in `scores`; after a failure it goes on with the shards
    that are missing."""
    from local import batch, batch_report, progress

    request = batch.Request.parse(
        data, from_store=from_store, as_of=as_of, shards=shards, out=out, model=model, reasons=reasons, runner=runner
    )
    with progress.steps(quiet=as_json) as on_step:
        done = batch.run(request, on_step)
    batch_report.warn(done)
    if as_json:
        screen.document(done)
    else:
        batch_report.show(done)


@app.command()
def monitoring(
    model: Annotated[str, typer.Option(help="Whose predictions are looked at.")] = "telco",
    as_of: AsOf = "",
    days: Annotated[int, typer.Option(help="How many days before it the window begins.", min=1)] = 30,
    runner: RunnerOption = "venv",
    as_json: AsJson = False,
) -> None:
    """Compare what was logged with what the champion was made from, and predictions with their outcomes.

    What has drifted is no error: the run ends with 0 and says what, by how much and since when. A window that is too
    small is not judged. Load outcomes first: churn outcomes load FILE."""
    from local import monitoring, progress

    request = monitoring.Request.parse(model, as_of=as_of, days=days, runner=runner)
    with progress.steps(quiet=as_json) as on_step:
        done = monitoring.run(request, on_step)
    if as_json:
        screen.document(done)
    else:
        monitoring.show(done)


@app.command()
def retraining(
    model: Annotated[str, typer.Option(help="Whose champion is to be kept good.")] = "telco",
    as_of: AsOf = "",
    days: Annotated[int, typer.Option(help="How many days before it are looked at.", min=1)] = 30,
    window_days: Annotated[
        int, typer.Option("--window", help="How many days of predictions with known outcomes to train on.", min=1)
    ] = 90,
    data: Annotated[str, typer.Option(help="A labelled table to train on, instead of the prediction log.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Retrain, whatever monitoring says.")] = False,
    share: Annotated[
        float, typer.Option(help="Begin as challenger for this share of the customers, not as champion.")
    ] = 0.0,
    candidates: Annotated[str, typer.Option(help="Some of the candidates, with commas.")] = "",
    comparison: Annotated[str, typer.Option(help="superior or non-inferior; the contract's by default.")] = "",
    runner: RunnerOption = "venv",
    as_json: AsJson = False,
) -> None:
    """Look whether the champion still holds, and only where it does not train, judge and promote a better one.

    Trains on what the predictor has logged and the outcomes that are known by now: churn outcomes load FILE. What
    calls for it: drift of columns that matter, results below those at promotion, or the model's age. Deciding against
    it is no error: the run ends with 0 and says why."""
    from local import progress, retraining

    request = retraining.Request.parse(
        model, as_of=as_of, days=days, window_days=window_days, data=data, force=force, share=share,
        candidates=candidates, comparison=comparison, runner=runner,
    )  # fmt: skip
    with progress.steps(quiet=as_json) as on_step:
        done = retraining.run(request, on_step)
    if as_json:
        screen.document(done)
    else:
        retraining.show(done)
