"""Nothing answers customers that has not answered the bundle's own example: graph, booster and explainer alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from churn.domain import bundle as bundle_files
from churn.domain.bundle import Linear, Manifest
from churn.domain.errors import UserError
from churn.domain.scoring import MANY
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from serving import trial
from serving.version import Version
from tests import bundles
from tests.bundles import Estimator
from tests.unit.serving.conftest import loader

Tamper = Callable[[Path, Manifest], Manifest]


def tampered(settings: Settings, tamper: Tamper, estimator: Estimator = "xgboost", version: int = 1) -> Variant:
    """A bundle whose digest is right, although something in it was never trained; nothing serves it yet."""
    folder = settings.home / f"made-{version}"
    bundles.write_bundle(folder, bundles.shop(), seed=version, estimator=estimator)
    manifest = tamper(folder, msgspec.json.decode((folder / bundle_files.MANIFEST).read_bytes(), type=Manifest))
    (folder / bundle_files.MANIFEST).unlink()
    digest = bundle_files.write(folder, manifest)
    return Variant(version, digest, objects.open_store(settings).put_folder(folder, f"bundles/{digest}"))


def of_another(name: str) -> Tamper:
    """Exchanges a file for that of a model that was trained on other rows."""

    def exchange(folder: Path, manifest: Manifest) -> Manifest:
        other = folder.with_name("other")
        bundles.write_bundle(other, bundles.shop(), seed=99, estimator="xgboost")
        shutil.copy(other / name, folder / name)
        shutil.rmtree(other)
        return manifest

    return exchange


def shifted(_: Path, manifest: Manifest) -> Manifest:
    linear = manifest.linear
    assert linear is not None
    return msgspec.structs.replace(manifest, linear=Linear(linear.intercept + 0.01, linear.weights, linear.mean))


WRONG: list[Any] = [
    ("xgboost", of_another("booster.ubj"), "answers its own example wrongly in a large batch"),
    ("xgboost", of_another("trees.npy"), "explains its own example wrongly"),
    ("logistic", shifted, "explains its own example wrongly"),
]


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return bundles.settings_of(tmp_path)


@pytest.mark.parametrize(("estimator", "tamper", "problem"), WRONG)
def test_a_version_that_is_wrong_beside_its_graph_is_refused(
    home: Settings, estimator: Estimator, tamper: Tamper, problem: str
) -> None:
    variant = tampered(home, tamper, estimator)
    with pytest.raises(UserError, match=problem):
        loader(home).load("shop", variant)


@pytest.mark.parametrize("estimator", ["logistic", "xgboost", "forest"])
def test_a_version_that_was_tried_has_everything_loaded(trained: Callable[..., Version], estimator: Estimator) -> None:
    version = trained(estimator=estimator)
    assert version.explainer.ready
    assert (version.scorer._booster is not None) == (estimator == "xgboost")


def test_what_fails_the_trial_later_is_not_used_for_batches(home: Settings) -> None:
    version = loader(home).load("shop", tampered(home, of_another("booster.ubj")), whole=False)
    columns = bundles.training_rows(bundles.shop(), 3)[0][: 2 * MANY]
    columns[:, 2] = np.maximum(columns[:, 2], 1)
    assert not version.explainer.ready
    with pytest.raises(UserError):
        trial.pass_by(version)
    np.testing.assert_array_equal(version.probability(columns), version.bundle.predict(columns))


def test_an_example_without_doubt_is_no_reason_to_refuse(trained: Callable[..., Version]) -> None:
    """Near 1 the logit of a float32 jumps by more than an explanation may be wrong by."""
    version = trained(estimator="logistic")
    columns, _ = bundle_files.example(version.bundle)
    columns[:, 2:4] = 400.0, 9_000.0
    probability = version.bundle.predict(columns)
    assert probability.max() > 1 - 1e-4
    trial._try_explainer(version, columns, probability)
