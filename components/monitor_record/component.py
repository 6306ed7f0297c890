"""Record what monitoring found, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def monitor_record(
    judgement: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> None:
    """Writes the judgement and the performance by week to the database, and the page for people."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.files import write_json
        from components.monitor_record.page import render
        from components.monitor_record.step import record

        found = record(Settings.load().prepare(), Path(judgement.path))
        write_json(report.path, found)
        Path(page.path).parent.mkdir(parents=True, exist_ok=True)
        Path(page.path).write_text(render(found), encoding="utf-8")
