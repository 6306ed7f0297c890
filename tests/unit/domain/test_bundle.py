from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from churn.domain import bundle
from churn.domain.errors import UserError
from tests.bundles import shop, write_bundle

OTHER_FILES = ["model.onnx", "design.onnx", "contract.yaml", "reference.parquet", "example.json"]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("bundles") / "shop"
    return folder, write_bundle(folder, shop())


@pytest.fixture
def copied(original: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    return Path(shutil.copytree(original[0], tmp_path / "bundle")), original[1]


def change_manifest(folder: Path, **fields: object) -> None:
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    (folder / bundle.MANIFEST).write_text(json.dumps({**manifest, **fields}))


def test_a_bundle_is_opened_with_its_contract_and_passes_its_own_test(original: tuple[Path, str]) -> None:
    opened = bundle.load(*original)
    assert opened.contract == shop()
    assert opened.digest == original[1]
    assert sorted(opened.manifest.files) == sorted(OTHER_FILES)
    bundle.self_test(opened)


def test_a_bundle_may_be_opened_without_knowing_its_digest(original: tuple[Path, str]) -> None:
    assert bundle.load(original[0]).digest == original[1]


@pytest.mark.parametrize("name", OTHER_FILES)
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_bundle_with_a_harmed_file_is_refused_by_name(name: str, harm: str, copied: tuple[Path, str]) -> None:
    folder, digest = copied
    if harm == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(UserError, match=f"{folder}: {name} is missing or has changed"):
        bundle.load(folder, digest)


def test_a_manifest_that_was_rewritten_does_not_have_the_digest_any_more(copied: tuple[Path, str]) -> None:
    folder, digest = copied
    change_manifest(folder, threshold=0.9)
    with pytest.raises(UserError, match=f"not {digest[:12]}"):
        bundle.load(folder, digest)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format": "one"}'])
def test_a_folder_with_no_manifest_to_read_is_not_a_bundle(content: bytes, copied: tuple[Path, str]) -> None:
    (copied[0] / bundle.MANIFEST).write_bytes(content)
    with pytest.raises(UserError, match="is not a bundle"):
        bundle.load(copied[0])


def test_a_folder_that_is_not_there_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a bundle"):
        bundle.load(tmp_path / "absent")


def test_a_bundle_of_another_format_is_refused(copied: tuple[Path, str]) -> None:
    change_manifest(copied[0], format=bundle.FORMAT + 1)
    with pytest.raises(UserError, match=f"format {bundle.FORMAT + 1}, this version reads {bundle.FORMAT}"):
        bundle.load(copied[0])


def test_a_bundle_from_before_the_online_layout_was_frozen_asks_for_training(copied: tuple[Path, str]) -> None:
    change_manifest(copied[0], format=1, online={"project": "shop", "view": "raw", "ttl_days": 45})
    with pytest.raises(UserError, match=r"format 1, this version reads 2 \(train again\)"):
        bundle.load(copied[0])


def test_the_same_files_and_manifest_have_the_same_digest(original: tuple[Path, str], tmp_path: Path) -> None:
    assert write_bundle(tmp_path / "again", shop()) == original[1]
    assert write_bundle(tmp_path / "other", shop(), seed=1) != original[1]


def test_a_bundle_that_answers_its_example_wrongly_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "wrong", shop(), wrong_by=2e-5)
    with pytest.raises(UserError, match="answers its own example wrongly"):
        bundle.self_test(bundle.load(tmp_path / "wrong"))


def test_probabilities_of_rows_do_not_depend_on_the_rows_beside_them(original: tuple[Path, str]) -> None:
    opened = bundle.load(*original)
    generator = np.random.default_rng(0)
    columns = np.column_stack([generator.integers(0, 2, (60, 2)), generator.integers(1, 90, (60, 4))]).astype(float)
    columns[::7, 1] = np.nan
    together = opened.predict(columns)
    assert together.shape == (60,)
    assert ((together > 0) & (together < 1)).all()
    assert np.array_equal(together, [opened.predict(columns[i : i + 1])[0] for i in range(60)])


def test_a_value_that_is_not_finite_is_explained_by_feature_and_row(original: tuple[Path, str]) -> None:
    columns = np.array([[0, 0, 5, 10, 0, 3], [0, 0, 0, 10, 0, 3]], np.float64)
    with pytest.raises(UserError, match=r"spend_per_visit.*row 2"):
        bundle.load(*original).predict(columns)
