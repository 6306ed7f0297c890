"""Close a batch, as a Kubeflow Pipelines component."""

from typing import List  # noqa: UP035 - what KFP reads

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def close_batch(
    plan: dsl.Input[dsl.Artifact],
    digests: List[str],  # noqa: UP006
    scores: dsl.Output[dsl.Dataset],
    summary: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
) -> None:
    """Checks that all shards are there, publishes them at once, and sums up."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.close_batch.page import render
        from components.close_batch.step import close
        from components.files import read_json, write_json
        from components.score.plan import Plan

        done = close(Settings.load().prepare(), read_json(plan.path, Plan), digests)
        write_json(summary.path, done)
        Path(page.path).write_text(render(done), encoding="utf-8")
        scores.uri = done.address
        scores.metadata.update(rows=done.summary.scored, quarantined=done.summary.quarantined)
        for name in ("rows", "scored", "quarantined", "mean_probability", "contacted"):
            metrics.log_metric(name, getattr(done.summary, name))
        metrics.log_metric("best_profit", done.summary.best.profit)
