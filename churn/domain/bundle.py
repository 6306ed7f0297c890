"""A model as files: a folder that can be served, checked and explained without the code that trained it.

model.onnx        columns float64 (n, k) -> probability float32 (n,), fault bool (n, 1)
derivation.onnx   columns -> features float64 (n, f), fault bool (n, d)
design.onnx       columns -> design float32 (n, m), fault bool (n, d); for what works on the design matrix
booster.ubj|txt   the native booster of XGBoost or LightGBM, where the model is one, without rounds it does not use
trees.npy         the trees of a model that is a sum of such, to explain it
contract.yaml     as trained
reference.parquet features of rows the model was judged on, for drift, and its predictions of those held out; no key
example.json      a few rows and the probabilities the graph must give for them
bundle.json       everything else, and the SHA-256 of each file above; its own SHA-256 is the bundle's digest
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain import contract as contracts
from churn.domain.contract import Contract
from churn.domain.derivation import Derivation
from churn.domain.errors import UserError
from churn.domain.graph import Graph

FORMAT = 2
MANIFEST = "bundle.json"
PROVENANCE = "provenance.json"
"""The file that lies beside a published bundle, and is no part of its digest."""

TOLERANCE = 1e-5
LARGEST = float(np.finfo(np.float64).max)


class Field(msgspec.Struct, frozen=True):
    """A column of the contract as the online store keeps it: the name and the type of its values there."""

    name: str
    type: Literal["int64", "double", "string"]


class Online(msgspec.Struct, frozen=True):
    """Where and how the online store keeps this model's columns: enough to read it without Feast.

    `key_version` is the version of Feast's encoding of entity keys, `columns` are in the contract's order."""

    project: str
    view: str
    ttl_days: int
    key: str
    key_type: Literal["int64", "string"]
    key_version: int
    columns: tuple[Field, ...]


class Linear(msgspec.Struct, frozen=True):
    """A model whose logit is `intercept + weights @ design`; `mean` is that of the design columns it learned from."""

    intercept: float
    weights: tuple[float, ...]
    mean: tuple[float, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `bundle.json` holds. Nothing in it depends on when the bundle was made.

    `design` and `origins` say of each design column its name and the feature it comes from; `spans` are the lowest and
    highest value of each contract column among the rows the model learned from."""

    format: int = FORMAT
    model: str
    candidate: str
    estimator: str
    contract: str
    data: str
    threshold: float
    risk: tuple[float, float]
    metrics: dict[str, float]
    online: Online
    design: tuple[str, ...]
    origins: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    spans: tuple[tuple[float, float], ...]
    booster: str = ""
    linear: Linear | None = None
    versions: dict[str, str]
    files: dict[str, str]


class Provenance(msgspec.Struct, frozen=True):
    """By which run a bundle came about, and the date (ISO 8601) up to which that run saw things."""

    run: str
    as_of: str


class Example(msgspec.Struct, frozen=True):
    """Input rows as the graph takes them (null is null) and the probabilities it must give."""

    columns: list[list[float | None]]
    probability: list[float]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle."""

    folder: Path
    manifest: Manifest
    contract: Contract
    digest: str

    @cached_property
    def told_as(self) -> npt.NDArray[np.int64]:
        """For each design column (m,) the position of the contract column under which it is told to people."""
        places = {name: place for place, name in enumerate(self.contract.raw)}
        return np.array([places[self.contract.told_as(origin)] for origin in self.manifest.origins], np.int64)

    @cached_property
    def design(self) -> Graph:
        """The graph from columns to design matrix and fault."""
        return Graph((self.folder / "design.onnx").read_bytes())

    @cached_property
    def model(self) -> Graph:
        """The graph from columns to probability."""
        return Graph((self.folder / "model.onnx").read_bytes())

    @cached_property
    def derivation(self) -> Derivation:
        """The features, compiled from the bundle's own contract; used to explain a fault."""
        return Derivation(self.contract)

    def predict(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Churn probability (n,) of columns (n, k).

        Raises UserError that names feature and row when a derived value is not finite."""
        probability, fault = self.model.run(columns)
        if fault.any():
            self.derivation.run(columns)
        return np.asarray(probability, np.float64).reshape(-1)


def spans(contract: Contract, columns: npt.NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """The lowest and highest value of each contract column over rows `columns` (n, k); a category's are all its codes.

    Of a column that is null throughout nothing is known, so that no value lies outside."""
    found = []
    for column, values in zip(contract.columns.values(), columns.T, strict=True):
        known = values[np.isfinite(values)]
        if column.categories:
            found.append((0.0, len(column.categories) - 1.0))
        else:
            found.append((float(known.min()), float(known.max())) if len(known) else (-LARGEST, LARGEST))
    return tuple(found)


def write(folder: Path, manifest: Manifest) -> str:
    """Adds the manifest, with a digest of every other file in `folder`; gives the bundle's digest."""
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    content = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, files=files)), indent=2)
    (folder / MANIFEST).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load(folder: Path, digest: str | None = None) -> Bundle:
    """The bundle in a folder, every file verified, and the whole against `digest` where one is given.

    Raises UserError that names the file which is missing or has changed."""
    try:
        content = (folder / MANIFEST).read_bytes()
        _refuse_other_format(content, folder)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError("is not a bundle", where=str(folder), remedy=f"its {MANIFEST} cannot be read") from error
    found = hashlib.sha256(content).hexdigest()
    if digest is not None and found != digest:
        raise UserError(f"has the digest {found[:12]}, not {digest[:12]}", where=str(folder), remedy="fetch it again")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or _sha256(path) != expected:
            raise UserError(f"{name} is missing or has changed", where=str(folder), remedy="fetch it again")
    return Bundle(folder, manifest, contracts.load(folder / "contract.yaml"), found)


def example(bundle: Bundle) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The columns (n, k) of the bundle's own example, and the probabilities (n,) it was trained to give for them."""
    found = msgspec.json.decode((bundle.folder / "example.json").read_bytes(), type=Example)
    columns = np.array([[np.nan if value is None else value for value in row] for row in found.columns], np.float64)
    return columns, np.array(found.probability)


def self_test(bundle: Bundle) -> None:
    """Scores the bundle's own example. Raises UserError when the answer is not the one it was trained to give."""
    columns, probability = example(bundle)
    difference = float(np.abs(bundle.predict(columns) - probability).max())
    if not difference <= TOLERANCE:
        raise UserError(
            f"answers its own example wrongly (by {difference:.2g})", where=str(bundle.folder), remedy="train again"
        )


class _Format(msgspec.Struct):
    format: int


def _refuse_other_format(content: bytes, folder: Path) -> None:
    """Before anything else is read: what another format holds may be no manifest of this one."""
    found = msgspec.json.decode(content, type=_Format).format
    if found != FORMAT:
        raise UserError(f"has format {found}, this version reads {FORMAT}", where=str(folder), remedy="train again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
