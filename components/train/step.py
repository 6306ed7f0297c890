"""The training step: from Feast's point-in-time join to a bundle and its own predictions for every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import bundle, encoding, metrics, partition, strict_yaml
from churn.domain.contract import Candidate, Contract
from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.stores.registry import Registry
from churn.stores.settings import Settings
from components.train import bundling, estimators, fitting, plots, selection, tuning
from components.train.estimators import Balance
from components.train.selection import CandidateResult, Judged, Rows
from feature_repo import names, training

Say = Callable[[str], None]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may ask of training beyond the contract. `candidates` names some of them, comma-separated."""

    candidates: str = ""
    tune: tuning.Tuning = tuning.Tuning()
    balance: Balance = Balance()


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What the step leaves for the gate, the registry and people."""

    run: str
    digest: str
    candidate: str
    threshold: float
    cv: dict[str, float]
    """Metrics of the chosen candidate over all out-of-fold predictions at once."""
    null_parity: float
    """Largest difference between graph and estimators with each column null in turn."""
    candidates: list[CandidateResult]
    dropped: tuple[str, ...]
    rows: int
    holdout: int


@dataclass(frozen=True)
class Data:
    """The joined training set: a typed table and its matrices, all rows in one order."""

    table: pa.Table
    features: npt.NDArray[np.float64]
    columns: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    holdout: npt.NDArray[np.bool_]

    @property
    def development(self) -> npt.NDArray[np.int64]:
        """Numbers of the rows that may be trained on."""
        return np.nonzero(~self.holdout)[0]


def train(
    settings: Settings, contract: Contract, entities: Path, source: str, data_digest: str,
    options: Options, folder: Path, scored: Path, say: Say = lambda _: None,
) -> Trained:  # fmt: skip
    """Trains every candidate on folds, chooses one, writes its bundle to `folder` and every row's score to `scored`.

    Customers in the hold-out are predicted at the end and touched no earlier.
    Raises UserError for data or options that cannot be trained on."""
    candidates, notes = _candidates(contract, options)
    data = _join(settings, contract, entities, source)
    rows = _rows(contract, data)
    registry = Registry(settings)
    with registry.run(contract.name, name=data_digest[:12]) as run:
        folds = selection.Folds(contract, rows, options.balance)
        candidates = tuning.tuned(settings, folds, candidates, options.tune, say)
        judged = _judge(contract, folds, candidates, say)
        chosen = selection.choose(contract, judged, len(rows.folds))
        say(f"chosen: {chosen.candidate.name}")
        model = fitting.fit(contract, rows, chosen, judged, options.balance)
        dev = data.development
        digest = bundling.write(
            folder, model, chosen, data.table.select(contract.features).take(dev), data.columns[dev],
            data.table[names.key(contract)].take(dev), data=data_digest, online=_online(contract),
        )  # fmt: skip
        _write_scored(scored, contract, data, rows, chosen, model)
        trained = Trained(
            run=run.id, digest=digest, candidate=chosen.candidate.name, threshold=chosen.threshold,
            cv=_pooled(contract, rows, chosen), null_parity=model.parity(data.columns),
            candidates=selection.results(judged, chosen, notes), dropped=model.preparation.dropped,
            rows=len(data.y), holdout=int(data.holdout.sum()),
        )  # fmt: skip
        _log(run, contract, trained, chosen, rows, model, folder, data, data_digest, source)
    return trained


def _candidates(contract: Contract, options: Options) -> tuple[list[Candidate], dict[str, str]]:
    """The candidates to try, in order of preference, and why others are left out."""
    listed = contract.candidates or default_candidates()
    wanted = [name.strip() for name in options.candidates.split(",") if name.strip()] or [one.name for one in listed]
    known = [one.name for one in listed]
    for name in wanted:
        if name not in known:
            raise UserError(f"unknown candidate '{name}'", where="candidates", remedy=nearest(name, known))
    notes = {one.name: estimators.unavailable(one) for one in listed if one.name in wanted and one.estimator}
    notes = {name: note for name, note in notes.items() if note}
    tried = [one for one in listed if one.name in wanted and one.name not in notes]
    present = {one.name for one in tried}
    for one in [one for one in tried if not present.issuperset(one.members)]:
        notes[one.name] = f"left out: it needs {', '.join(sorted(set(one.members) - present))}"
    return [one for one in tried if one.name not in notes], notes


def default_candidates() -> tuple[Candidate, ...]:
    """The candidates of a contract that lists none."""
    path = Path(__file__).with_name("candidates.yaml")
    return msgspec.convert(strict_yaml.parse(path.read_text(encoding="utf-8"), path.name), tuple[Candidate, ...])


def _join(settings: Settings, contract: Contract, entities: Path, source: str) -> Data:
    labelled = pq.read_table(entities)
    table = training.training_set(settings, contract, labelled, expected_source=source)
    y = table[contract.target.column].cast(pa.float64()).to_numpy()
    holdout = partition.holdout(table[names.key(contract)], contract.training.holdout)
    if not (0 < y[~holdout].mean() < 1):
        raise UserError(
            "all rows have the same outcome",
            where=f"column {contract.target.column}",
            remedy="both are needed to learn from",
        )
    return Data(
        table=table, features=encoding.encode(contract, table, contract.features), columns=encoding.encode(contract, table),
        y=y, holdout=holdout,
    )  # fmt: skip


def _rows(contract: Contract, data: Data) -> Rows:
    dev = data.development
    keys = data.table[names.key(contract)].take(dev)
    times = data.table[names.EVENT_TIMESTAMP].to_numpy()[dev]
    folds = partition.folds(keys, times, data.y[dev], contract.training.folds, contract.target.horizon_days)
    return Rows(data.features[dev], data.y[dev], folds)


def _judge(contract: Contract, folds: selection.Folds, candidates: Sequence[Candidate], say: Say) -> list[Judged]:
    """Plain candidates first, then the ensembles of them; all in the order of preference."""
    judged: list[Judged] = []
    for candidate in sorted(candidates, key=lambda one: bool(one.ensemble)):
        if candidate.ensemble:
            one = selection.ensemble(contract, folds.rows, candidate, judged)
        else:
            one = selection.judge(contract, folds.rows, candidate, selection.out_of_fold(folds, candidate))
        metric = contract.training.metric
        say(f"{candidate.name}: {metric} {one.cv[metric].mean:.4f} (deviation {one.cv[metric].std:.4f})")
        judged.append(one)
    order = [candidate.name for candidate in candidates]
    return sorted(judged, key=lambda one: order.index(one.candidate.name))


def _online(contract: Contract) -> bundle.Online:
    layout = names.layout(contract)
    return bundle.Online(project=layout.project, view=layout.view, ttl_days=contract.ttl_days)


def _pooled(contract: Contract, rows: Rows, chosen: Judged) -> dict[str, float]:
    seen = ~np.isnan(chosen.oof)
    return metrics.measure(rows.y[seen], chosen.oof[seen], chosen.threshold, contract.costs)


def _write_scored(path: Path, contract: Contract, data: Data, rows: Rows, chosen: Judged, model: fitting.Model) -> None:
    """Every row with its fold, its out-of-fold probability, and what the final estimator says of it."""
    dev, count = data.development, len(data.y)
    fold, oof = np.full(count, -1), np.full(count, np.nan)
    fold[dev], oof[dev] = rows.fold, chosen.oof
    table = data.table
    for name, values in {
        "holdout": pa.array(data.holdout),
        "fold": pa.array(fold, mask=fold < 0),
        "oof": pa.array(oof, mask=np.isnan(oof)),
        "prediction": pa.array(model.predict(data.features)),
    }.items():
        table = table.append_column(name, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def _log(
    run: Any, contract: Contract, trained: Trained, chosen: Judged, rows: Rows, model: fitting.Model,
    folder: Path, data: Data, data_digest: str, source: str,
) -> None:  # fmt: skip
    params = {
        "candidate": trained.candidate,
        "folds": len(rows.folds),
        "threshold": trained.threshold,
        **_params(chosen),
    }
    run.log(
        params=params,
        metrics={f"cv_{name}": value for name, value in trained.cv.items()}
        | {
            f"candidate.{one.name}.{name}": spread.mean for one in trained.candidates for name, spread in one.cv.items()
        },
        tags={"contract.digest": contract.digest, "bundle.digest": trained.digest},
    )
    run.log_dataset(contract.name, data_digest, source)
    run.log_bundle(folder, trained.digest, data.columns[data.development][: bundling.EXAMPLE_ROWS])
    plots.log(run, contract, rows, chosen, model)


def _params(chosen: Judged) -> dict[str, object]:
    candidate = chosen.candidate
    if candidate.ensemble:
        return {"ensemble": candidate.ensemble, "members": ", ".join(candidate.members)}
    return {"class": candidate.estimator, **candidate.params}
