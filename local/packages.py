"""The pipelines compiled: KFP packages, and the resources that put them into a cluster."""

from __future__ import annotations

from pathlib import Path

from churn.domain.errors import UserError


def write(out: Path) -> list[Path]:
    """Writes `<pipeline>.yaml` and `<pipeline>.resources.yaml` for each pipeline; gives their paths.

    The same code gives the same bytes. Raises UserError when the folder cannot be written to."""
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    from pipelines.batch import batch
    from pipelines.training import training

    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for pipeline in (training, batch):
            package, resources = out / f"{pipeline.name}.yaml", out / f"{pipeline.name}.resources.yaml"
            compiler.Compiler().compile(pipeline, str(package))
            options = KubernetesManifestOptions(
                pipeline_name=pipeline.name, pipeline_version_name=f"{pipeline.name}-v1", include_pipeline_manifest=True
            )
            compiler.Compiler().compile(
                pipeline, str(resources), kubernetes_manifest_options=options, kubernetes_manifest_format=True
            )
            written += [package, resources]
    except OSError as error:
        raise UserError(f"cannot be written to: {error.strerror}", where=str(out)) from error
    return written
