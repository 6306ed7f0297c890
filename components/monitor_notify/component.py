"""Tell of what monitoring found, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def monitor_notify(
    report: dsl.Input[dsl.Artifact], sent: dsl.Output[dsl.Artifact], pipeline: str = "monitoring"
) -> str:
    """Drift, worse performance and windows that cannot be judged, to those who are to know; says who was told.

    `pipeline` is the one that this step is a part of: what happens next depends on it."""
    from components.reporting import reported

    with reported():
        import os
        import sys
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.files import write_json
        from components.monitor_notify.step import tell

        found = tell(Settings.load().prepare(), Path(report.path), pipeline, os.environ)
        write_json(sent.path, found)
        sys.stderr.write(f"{found.said()}\n")
    return found.said()
