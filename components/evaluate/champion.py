"""The champion, found by the traffic document, on the candidate's hold-out, read as the champion's contract says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from churn.domain import bundle as bundles
from churn.domain import metrics, partition
from churn.domain.bundle import PROVENANCE, Bundle, Provenance
from churn.domain.comparison import paired_bootstrap
from churn.domain.contract import Column, Contract
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from components.evaluate.case import Case
from components.evaluate.evaluation import Comparison
from components.files import read_json

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Champion:
    """The version that serves, and the date up to which its training saw things (ISO 8601; empty when nobody knows)."""

    version: int
    bundle: Bundle
    as_of: str = ""


def find(settings: Settings, model: str) -> Champion | None:
    """The model's champion; None before the first promotion. Raises UserError when its bundle is gone or damaged."""
    traffic = open_traffic(settings).read(model)
    if traffic is None:
        return None
    folder = objects.open_store(settings).fetch_folder(traffic.champion.bundle)
    provenance = folder / PROVENANCE
    as_of = read_json(provenance, Provenance).as_of if provenance.is_file() else ""
    return Champion(traffic.champion.version, bundles.load(folder, traffic.champion.digest), as_of)


def compare(case: Case, champion: Champion) -> Comparison:
    """Log-loss of the candidate against the champion's on customers that neither was trained on.

    The unit that is resampled is the customer: several months of one are no independent evidence. Rows of the
    prediction log stand under pseudonyms: to a champion that was trained on a table they are new as rows, but many of
    their customers are not, which is to its advantage."""
    theirs = champion.bundle
    found = Comparison(
        version=champion.version,
        digest=theirs.digest,
        candidate=theirs.manifest.candidate,
        same=theirs.digest == case.bundle.digest,
    )
    rows = case.holdout & partition.holdout(case.keys, theirs.contract.training.holdout)
    if not rows.any():
        return replace(found, obstacle=f"version {champion.version} was trained on all of these customers")
    try:
        columns, unknown = columns_for(theirs.contract, case, rows)
        p = _probabilities(theirs, columns)
    except UserError as error:
        return replace(found, obstacle=f"version {champion.version} cannot score these rows: {error}")
    y, own = case.y[rows], case.p[rows]
    customers = np.unique(np.asarray(case.keys.filter(pa.array(rows)).cast(pa.string())), return_inverse=True)[1]
    losses = [_by_customer(metrics.log_losses(y, one), customers) for one in (own, p)]
    difference = paired_bootstrap(*losses)
    found = replace(found, mean=difference.mean, low=difference.low, high=difference.high, unknown=unknown)
    measured = metrics.measure(y, p, theirs.manifest.threshold, case.contract.costs)
    return replace(found, rows=int(rows.sum()), identical=bool(np.array_equal(own, p)), metrics=measured)


def columns_for(contract: Contract, case: Case, rows: npt.NDArray[np.bool_]) -> tuple[Matrix, int]:
    """The rows as the columns (rows, k) of another contract, and how many values that one does not know.

    A column is found by its name in the source, else by the contract's; a category the other contract does not list is
    null to it. Raises UserError that names the column which cannot be given."""
    table = case.table.filter(pa.array(rows))
    matrix, unknown = np.empty((table.num_rows, len(contract.raw))), 0
    for position, (name, column) in enumerate(contract.columns.items()):
        values = table[_counterpart(contract, case.contract, name)]
        if column.categories:
            matrix[:, position], strange = _codes(name, column, values)
            unknown += strange
        else:
            matrix[:, position] = _numbers(name, values)
    return matrix, unknown


def _probabilities(theirs: Bundle, columns: Matrix) -> Vector:
    p = theirs.predict(columns)
    if not np.isfinite(p).all():
        raise UserError(f"it gives no number for {np.sum(~np.isfinite(p))} of {len(p)} rows")
    return p


def _counterpart(theirs: Contract, ours: Contract, name: str) -> str:
    by_source = {ours.source_of(column): column for column in ours.raw}
    found = by_source.get(theirs.source_of(name), name)
    if found not in ours.columns:
        problem = f"it reads column {name}, which this contract lacks"
        raise UserError(problem, remedy="keep it, or train under another name")
    return found


def _numbers(name: str, values: pa.ChunkedArray) -> Vector:
    if pa.types.is_string(values.type):
        raise UserError(f"column {name} is a number to it, a category here", remedy="train under another name")
    return np.asarray(values.cast(pa.float64()).to_numpy(), np.float64)


def _codes(name: str, column: Column, values: pa.ChunkedArray) -> tuple[Vector, int]:
    texts = values.cast(pa.string()).to_pylist()
    spelled = pa.array([column.cleaning.spelling.get(text, text) for text in texts], pa.string())
    codes = pc.index_in(spelled, pa.array(column.categories, pa.string()))
    strange = int(pc.sum(pc.and_(pc.is_valid(spelled), pc.is_null(codes))).as_py() or 0)
    if strange and codes.null_count == len(codes):
        raise UserError(f"it knows no value of column {name}", remedy="train under another name")
    return codes.cast(pa.float64()).to_numpy(zero_copy_only=False), strange


def _by_customer(losses: Vector, customers: npt.NDArray[np.intp]) -> Vector:
    return np.asarray(np.bincount(customers, losses) / np.bincount(customers), np.float64)
