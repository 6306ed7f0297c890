"""The batch inference pipeline: every customer of a table scored by the champion, as files and for applications."""

from kfp import dsl

from components.close_batch.component import close_batch
from components.plan_batch.component import plan_batch
from components.score.component import score
from pipelines.fresh import fresh


@dsl.pipeline(name="batch", description="Score every customer with the champion, shard by shard.")
def batch(
    model: str = "telco",
    data: str = "",
    as_of: str = "",
    shards: int = 0,
    out: str = "",
    reasons: bool = False,
    threads: int = 0,
) -> None:
    """`data` is an address; empty, the offline store is read as of the date. `shards` and `threads` of 0 are as many as
    suit; an empty `as_of` means now, an empty `out` a place in the object store."""
    planned = fresh(plan_batch(model=model, data=data, as_of=as_of, shards=shards, out=out, reasons=reasons))
    with dsl.ParallelFor(planned.outputs["Output"], name="shards", parallelism=8) as number:
        scored = fresh(score(plan=planned.outputs["plan"], shard=number, threads=threads))
        scored.set_retry(num_retries=2, backoff_duration="10s")
    fresh(close_batch(plan=planned.outputs["plan"], digests=dsl.Collected(scored.outputs["Output"])))
