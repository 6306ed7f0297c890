"""Steps read stores that change, and write to them: what KFP remembers of another run would be an old answer."""

from kfp import dsl


def fresh(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """The task, to be run each time."""
    return task.set_caching_options(enable_caching=False)
