"""From a bundle that passed the gate to the champion; until the last write nothing that serves has changed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from churn.domain import bundle as bundles
from churn.domain.bundle import PROVENANCE, Provenance
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import objects, traffic
from churn.stores.errors import ConflictError
from churn.stores.registry import Registry
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Evaluation
from components.files import write_json


class Promoted(msgspec.Struct, frozen=True):
    """The new version, and the champion before it (0 for none); with a `share` it is the challenger for that share of
    the customers, and the champion stays."""

    model: str
    version: int
    digest: str
    bundle: str
    previous: int
    share: float = 0.0


def promote(  # noqa: PLR0913 - what, how it was judged, where it comes from, and whom it meets
    settings: Settings,
    contract: Contract,
    folder: Path,
    evaluation: Evaluation,
    provenance: Provenance,
    *,
    share: float = 0.0,
) -> Promoted:
    """Registers the bundle in `folder`, publishes it under its digest, then switches the traffic document.

    With a `share` of the customers it becomes their challenger; the first model of all is the champion at once.
    Raises UserError for a bundle that the gate refused or never saw, ConflictError when another promotion was faster.
    Repeating it after a crash gives the same version and the same document."""
    bundle = bundles.load(folder)
    if not evaluation.passed or evaluation.digest != bundle.digest:
        why = evaluation.reason if evaluation.digest == bundle.digest else "the gate judged another bundle"
        raise UserError(
            f"is not promoted: {why}", where=f"bundle {bundle.digest[:12]}", remedy="train and evaluate it first"
        )
    store = open_traffic(settings)
    current = store.read(contract.name)
    _require_the_champion_it_met(contract.name, current, evaluation)
    registry = Registry(settings)
    tags = {"candidate": bundle.manifest.candidate, "data.digest": bundle.manifest.data, "as_of": provenance.as_of}
    version = registry.register(contract.name, provenance.run, bundle.digest, tags=tags, description=evaluation.reason)
    variant = Variant(version, bundle.digest, _publish(settings, bundle, evaluation, provenance))
    is_challenger = bool(share) and current is not None and current.champion.digest != bundle.digest
    if current and is_challenger:
        document = traffic.challenged(current, variant, share)
    else:
        document = traffic.promoted(current, contract.name, variant)
    if document != current:
        document = store.write(document, current.revision if current else 0)
    registry.mirror_aliases(
        contract.name, document.champion.version, document.challenger.version if document.challenger else None
    )
    former = document.champion if is_challenger else document.previous
    return Promoted(
        model=contract.name,
        version=version,
        digest=bundle.digest,
        bundle=variant.bundle,
        previous=former.version if former else 0,
        share=share if is_challenger else 0.0,
    )


def _require_the_champion_it_met(model: str, current: Traffic | None, evaluation: Evaluation) -> None:
    """Raises ConflictError when the gate compared the bundle with another champion than the one of now."""
    met = evaluation.comparison.digest if evaluation.comparison else None
    now = current.champion.digest if current else None
    if now not in (met, evaluation.digest):
        problem = "another promotion was faster: the champion is not the one this model was compared with"
        raise ConflictError(problem, where=f"model {model}", remedy="run again; it will be compared with the new one")


def _publish(settings: Settings, bundle: bundles.Bundle, evaluation: Evaluation, provenance: Provenance) -> str:
    """The address of the bundle in the object store, with what is known about it beside its own files."""
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary, "bundle")
        shutil.copytree(bundle.folder, staged)
        write_json(staged / "evaluation.json", evaluation)
        write_json(staged / PROVENANCE, provenance)
        return objects.open_store(settings).put_folder(staged, f"bundles/{bundle.digest}")
