from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from churn.stores.digests import digest_in, digest_of_folder, sha256_of_file

SHA = "ab" * 32


def _folder(path: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)

    assert sha256_of_file(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_folders_digest_is_that_of_its_sha256sum_listing(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"b": "2", "a/c": "1", "a.txt": "3"})
    script = "find . -type f | sed 's|^[.]/||' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    listed = subprocess.run(script, cwd=folder, shell=True, check=True, capture_output=True, text=True).stdout

    assert digest_of_folder(folder) == listed.split()[0]


def test_a_folders_digest_knows_names_and_contents_but_no_order(tmp_path: Path) -> None:
    base = digest_of_folder(_folder(tmp_path / "1", {"a": "1", "b": "2"}))
    (tmp_path / "2" / "empty").mkdir(parents=True)

    assert digest_of_folder(_folder(tmp_path / "2", {"b": "2", "a": "1"})) == base
    assert digest_of_folder(_folder(tmp_path / "3", {"a": "2", "b": "1"})) != base
    assert digest_of_folder(_folder(tmp_path / "4", {"a": "1", "c": "2"})) != base


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (f"snapshots/{SHA}.parquet", SHA),
        (f"bundles/{SHA}", SHA),
        (f"bundles/{SHA}/model.onnx", None),
        (f"snapshots/{SHA}0.parquet", None),
        (f"snapshots/{SHA.upper()}.parquet", None),
        ("data/telco.csv", None),
    ],
)
def test_a_key_speaks_for_content_when_its_last_part_is_a_digest(key: str, digest: str | None) -> None:
    assert digest_in(key) == digest
