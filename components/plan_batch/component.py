"""Plan a batch, as a Kubeflow Pipelines component."""

from typing import List  # noqa: UP035 - what KFP reads

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def plan_batch(
    model: str,
    plan: dsl.Output[dsl.Artifact],
    snapshot: dsl.Output[dsl.Dataset],
    data: str = "",
    as_of: str = "",
    shards: int = 0,
    out: str = "",
    reasons: bool = False,
) -> List[str]:  # noqa: UP006
    """Fixes the champion and the table for the whole run; gives the shards' numbers."""
    from components.reporting import reported

    with reported():
        from churn.stores.settings import Settings
        from components.files import write_json
        from components.plan_batch.step import Asked
        from components.plan_batch.step import plan as planned

        found = planned(Settings.load().prepare(), Asked(model, data, as_of, shards, out, reasons))
        write_json(plan.path, found)
        plan.metadata.update(model=found.model, version=found.version, id=found.id, as_of=found.as_of)
        snapshot.uri = found.snapshot
        snapshot.metadata.update(digest=found.snapshot_digest, rows=found.rows, source=found.source, as_of=found.as_of)
    return [str(shard.number) for shard in found.shards]
