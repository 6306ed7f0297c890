"""Decide whether to retrain, as a Kubeflow Pipelines component."""

from typing import NamedTuple

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def decide(
    report: dsl.Input[dsl.Artifact],
    predictions: dsl.Input[dsl.Dataset],
    decision: dsl.Output[dsl.Artifact],
    run: str,
    window_days: int = 90,
    force: bool = False,
    data: str = "",
) -> NamedTuple("Decided", [("retrain", bool), ("because", str), ("as_of", str)]):  # type: ignore[valid-type]
    """Says whether to retrain, why, and as of when; no is an answer, and ends well."""
    from components.reporting import reported

    with reported():
        import os
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.decide.bounds import bounds
        from components.decide.step import Asked, decide
        from components.files import read_json, write_json
        from components.monitor_record.step import Recorded

        asked = Asked(run, window_days, force, elsewhere=bool(data))
        seen = read_json(report.path, Recorded)
        found = decide(Settings.load().prepare(), seen, Path(predictions.path), asked, bounds(os.environ))
        write_json(decision.path, found)
    return (found.retrain, found.because, seen.judgement.facts.as_of.isoformat())
