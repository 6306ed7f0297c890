"""Score, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("model-serving"), install_kfp_package=False)
def score(plan: dsl.Input[dsl.Artifact], shard: str, part: dsl.Output[dsl.Dataset], threads: int = 0) -> str:
    """Scores one shard of the table with the plan's champion; gives the part's digest."""
    from components.reporting import reported

    with reported():
        from churn.stores.settings import Settings
        from components.files import read_json
        from components.score.plan import Plan
        from components.score.step import score

        done = score(Settings.load().prepare(), read_json(plan.path, Plan), int(float(shard)), threads)
        part.uri = done.part.address
        part.metadata.update(rows=done.part.rows, quarantined=done.quarantine.rows if done.quarantine else 0)
    return done.part.digest
