"""Judge a window, as a Kubeflow Pipelines component."""

from typing import NamedTuple

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("monitoring"), install_kfp_package=False)
def monitor_judge(
    contract: dsl.Input[dsl.Artifact],
    reference: dsl.Input[dsl.Dataset],
    window: dsl.Input[dsl.Dataset],
    predictions: dsl.Input[dsl.Dataset],
    facts: dsl.Input[dsl.Artifact],
    judgement: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Verdict", [("status", str), ("worse", bool), ("reason", str)]):  # type: ignore[valid-type]
    """Says what has drifted, and how versions did; a window that is too small ends well, as `unjudged`."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from components.files import write_json
        from components.monitor_judge import alibi
        from components.monitor_judge.step import Inputs, judge

        inputs = Inputs(*(Path(one.path) for one in (contract, reference, window, predictions, facts)))
        found = judge(inputs, alibi.p_values)
        write_json(judgement.path, found)
        metrics.log_metric("drifted", len(found.drift.drifted))
        for finding in found.drift.findings:
            metrics.log_metric(f"effect.{finding.name}", finding.effect)
    return (found.drift.status, found.worse, found.reason)
