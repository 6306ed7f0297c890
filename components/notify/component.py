"""Tell how a run ended, as a Kubeflow Pipelines component: the exit task of a `dsl.ExitHandler`."""

from typing import NamedTuple

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def notify(
    model: str,
    pipeline: str,
    status: dsl.PipelineTaskFinalStatus,
    run: str = "",
    as_of: str = "",
) -> NamedTuple("Notified", [("told", list), ("said", str)]):  # type: ignore[valid-type]
    """Success and failure to the channels of `CHURN_NOTICES`. KFP fills in `status`, nobody else may.

    `run` is the name under which the run wrote down what it decided, `dsl.PIPELINE_JOB_ID_PLACEHOLDER` for one."""
    from components.reporting import reported

    with reported():
        import os
        import sys

        from churn.stores.settings import Settings
        from components.notify.step import Ended, tell

        ended = Ended(model=model, pipeline=pipeline, run=run, as_of=as_of, state=status.state)
        sent = tell(Settings.load().prepare(), ended, os.environ)
        sys.stderr.write(f"{sent.said()}\n")
    return (list(sent.told), sent.said())
