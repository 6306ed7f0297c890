"""The pipelines compiled: KFP packages, and the resources that put them into a cluster."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from churn.domain.errors import UserError


def pipelines() -> dict[str, Any]:
    """Every pipeline by its name."""
    from pipelines.batch import batch
    from pipelines.monitoring import monitoring
    from pipelines.retraining import retraining
    from pipelines.training import training

    return {pipeline.name: pipeline for pipeline in (training, batch, monitoring, retraining)}


def write(out: Path) -> list[Path]:
    """Writes `<pipeline>.yaml` and `<pipeline>.resources.yaml` for each pipeline; gives their paths.

    The same code gives the same bytes. Raises UserError when the folder cannot be written to."""
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, pipeline in pipelines().items():
            package, resources = out / f"{name}.yaml", out / f"{name}.resources.yaml"
            compiler.Compiler().compile(pipeline, str(package))
            options = KubernetesManifestOptions(
                pipeline_name=name, pipeline_version_name=version(package), include_pipeline_manifest=True
            )
            compiler.Compiler().compile(
                pipeline, str(resources), kubernetes_manifest_options=options, kubernetes_manifest_format=True
            )
            written += [package, resources]
    except OSError as error:
        raise UserError(f"cannot be written to: {error.strerror}", where=str(out)) from error
    return written


def compiled(name: str, out: Path) -> Path:
    """The package of one pipeline, in a folder that exists."""
    from kfp import compiler

    package = out / f"{name}.yaml"
    compiler.Compiler().compile(pipelines()[name], str(package))
    return package


def version(package: Path) -> str:
    """What a compiled pipeline's version is called: its name and the digest of its document.

    A version cannot be changed in a cluster, so what differs needs another name, and what does not the same."""
    return f"{package.stem}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
