"""The training step: from Feast's point-in-time join to a bundle and its own predictions for every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn.domain.contract import Candidate, Contract
from churn.stores.registry import Registry
from churn.stores.settings import Settings
from components.train import bundling, estimators, fitting, record, selection, tuning
from components.train import data as training_data
from components.train import pool as candidate_pool
from components.train.options import Options
from components.train.pool import Pool
from components.train.record import Trained
from components.train.selection import Folds, Judged

Say = Callable[[str], None]


@dataclass(frozen=True)
class Artifacts:
    """What the step reads: labelled `entities`, the address of their `features`, the digest of the `snapshot` both come
    from; and what it writes: the `bundle` (a folder), and the `scored` rows. `logged` rows are the prediction log's."""

    entities: Path
    features: str
    snapshot: str
    bundle: Path
    scored: Path
    logged: bool = False


def train(settings: Settings, contract: Contract, artifacts: Artifacts, options: Options, say: Say = print) -> Trained:
    """Tries the candidates on folds, chooses one, writes its bundle and every row's score, and logs all to MLflow.

    Customers in the hold-out are predicted at the end and touched no earlier. The same input gives the same bundle,
    byte for byte. Raises UserError for data, candidates or options that cannot be trained on."""
    pool = candidate_pool.pool(contract, options.candidates)
    source = training_data.Source(artifacts.features, artifacts.snapshot, logged=artifacts.logged)
    data = training_data.join(settings, contract, artifacts.entities, source)
    rows = data.rows
    with Registry(settings).run(contract.name, name=data.digest[:12]) as run, estimators.steady():
        run.log(params=options.parameters)
        folds = Folds(contract, rows, options.balance)
        candidates = tuning.tuned(settings, folds, pool.candidates, options.tuning, say)
        judged = _judge(folds, candidates, say)
        chosen = _choose(contract, pool, judged, folds)
        say(f"chosen: {chosen.candidate.name}")
        model = fitting.fit(contract, rows, chosen, judged, options.balance)
        digest = bundling.write(artifacts.bundle, model, data)
        bundling.write_scored(artifacts.scored, model, data)
        results = selection.results(judged, chosen, _notes(pool))
        report = record.trained(run, digest, model, data, results)
        record.log(run, report, model, data, artifacts.bundle)
    return report


def _judge(folds: Folds, candidates: Sequence[Candidate], say: Say) -> list[Judged]:
    """Plain candidates first, then the ensembles of them; all in the order of preference."""
    contract, metric = folds.contract, folds.contract.training.metric
    judged: list[Judged] = []
    for candidate in sorted(candidates, key=lambda one: bool(one.ensemble)):
        if candidate.ensemble:
            one = selection.ensemble(contract, folds.rows, candidate, judged)
        else:
            one = selection.judge(contract, folds.rows, candidate, selection.out_of_fold(folds, candidate))
        say(f"{candidate.name}: {metric} {one.cv[metric].mean:.4f} (deviation {one.cv[metric].std:.4f})")
        judged.append(one)
    order = [candidate.name for candidate in candidates]
    return sorted(judged, key=lambda one: order.index(one.candidate.name))


def _choose(contract: Contract, pool: Pool, judged: Sequence[Judged], folds: Folds) -> Judged:
    eligible = [one for one in judged if one.candidate.name not in pool.members]
    return selection.choose(contract, eligible, len(folds.rows.folds))


def _notes(pool: Pool) -> dict[str, str]:
    return {**dict.fromkeys(pool.members, "judged as a member only"), **pool.left_out}
