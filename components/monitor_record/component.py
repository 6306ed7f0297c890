"""Record what monitoring found, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def monitor_record(
    judgement: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Artifact],
) -> None:
    """The judgement and the performance by week to the database, the page for people, and metrics for Prometheus."""
    from components.reporting import reported

    with reported():
        import os
        import sys
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.files import write_json
        from components.monitor_record.exposition import exposition
        from components.monitor_record.page import render
        from components.monitor_record.push import gateway, push
        from components.monitor_record.step import record

        address = gateway(os.environ)
        found = record(Settings.load().prepare(), Path(judgement.path))
        write_json(report.path, found)
        Path(page.path).parent.mkdir(parents=True, exist_ok=True)
        Path(page.path).write_text(render(found), encoding="utf-8")
        text = exposition(found.judgement)
        Path(metrics.path).write_text(text, encoding="utf-8")
        if address and (problem := push(address, found.judgement.facts.model, text)):
            sys.stderr.write(f"{problem}\n")
