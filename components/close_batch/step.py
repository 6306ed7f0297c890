"""The close step: a run's parts are checked, published, written to the database, and only then said to be there."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import bundle as bundles
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import files, objects, scores
from churn.stores.digests import sha256_of_file
from churn.stores.objects import ObjectStore
from churn.stores.scores import Upserted
from churn.stores.settings import Settings
from components.close_batch import published
from components.close_batch.comparison import compare, previous
from components.close_batch.manifest import Listed, Manifest, encoded
from components.close_batch.place import MANIFEST, Place, open_place, partition
from components.close_batch.summary import Summary, Tally, figures
from components.score.plan import FORMAT, Done, Fault, File, Plan
from components.score.room import room
from components.score.step import finished, open_bundle

BATCH_ROWS = 2**16
_WORST = 3


class Closed(msgspec.Struct, frozen=True):
    """A run that is complete: where its scores lie, what they are, and what the database took.

    `replaced` is the other table whose scores of this date and version lay there, if any did."""

    address: str
    summary: Summary
    database: Upserted
    replaced: str = ""


@dataclass(frozen=True)
class _Run:
    """A run about to be closed. `parts` and `aside` are its files by their names in the place."""

    plan: Plan
    contract: Contract
    manifest: bundles.Manifest
    done: Sequence[Done]
    place: Place

    @property
    def prefix(self) -> str:
        return partition(self.plan.as_of, self.plan.version)

    @property
    def parts(self) -> dict[str, File]:
        """The scores, in the order of the rows."""
        return {_name("part", one, one.part): one.part for one in self.done}

    @property
    def aside(self) -> dict[str, File]:
        """The rows that were set aside."""
        return {_name("_quarantine", one, one.quarantine): one.quarantine for one in self.done if one.quarantine}


def close(settings: Settings, plan: Plan, digests: Sequence[str]) -> Closed:
    """Publishes the run whose shards have these digests, in their order; a run of its date and version is replaced.

    Until the manifest is written, which is last, nothing has appeared. Raises UserError when a shard is missing or
    not what was scored, when more rows are bad than the contract allows, when a store or the database is away, and for
    a full disk; running again goes on from there."""
    store = objects.open_store(settings)
    bundle = open_bundle(settings, plan)
    place = open_place(settings, plan.out)
    with room(plan.out), files.staged(settings.home / ".staging") as scratch, place.held():
        scratch.mkdir()
        done = _all(store, plan, digests)  # asked now: whoever held the place may have erased a customer from them
        faults = _faults(done)
        _refuse_too_many(bundle.contract, plan, done, faults)
        run = _Run(plan, bundle.contract, bundle.manifest, done, place)
        published.remember(store, plan.out)
        former = place.read(run.prefix + MANIFEST)
        _publish(store, run)
        tally = Tally()
        written = scores.upsert(settings.database, _origin(plan), _batches(store, run, tally))
        found = _summary(run, tally, faults, scratch)
        place.replace(run.prefix + MANIFEST, encoded(_manifest(run, found)), former)
        _sweep(store, run)
    return Closed(f"{place.root}/{run.prefix}", found, written, _other_source(former, plan))


def _other_source(former: bytes | None, plan: Plan) -> str:
    with suppress(msgspec.DecodeError):  # of another release
        source = msgspec.json.decode(former or b"", type=Manifest).summary.source
        return source if source != plan.source else ""
    return ""


def _all(store: ObjectStore, plan: Plan, digests: Sequence[str]) -> list[Done]:
    """What came of every shard. Raises UserError for one that is missing, or is not what its step says."""
    found = []
    for shard in plan.shards:
        done = finished(store, plan, shard.number)
        expected = digests[shard.number] if shard.number < len(digests) else ""
        if done is None or done.part.digest != expected:
            problem = f"shard {shard.number} of {len(plan.shards)} is missing, or was scored by another run since"
            raise UserError(problem, f"batch {plan.as_of} of {plan.model}", "run again: what is done is kept")
        kept = done.part.rows + (done.quarantine.rows if done.quarantine else 0)
        if kept != shard.end - shard.first:
            raise RuntimeError(f"shard {shard.number} has {kept} rows instead of {shard.end - shard.first}")
        found.append(done)
    return found


def _faults(done: Sequence[Done]) -> tuple[Fault, ...]:
    """All kinds of fault, the most frequent first."""
    rows: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], int] = {}
    for fault in (fault for one in done for fault in one.faults):
        rows[fault.column, fault.problem] += fault.rows
        first.setdefault((fault.column, fault.problem), fault.first)
    return tuple(Fault(*kind, count, first[kind]) for kind, count in rows.most_common())


def _refuse_too_many(contract: Contract, plan: Plan, done: Sequence[Done], faults: Sequence[Fault]) -> None:
    bad = plan.rows - sum(one.part.rows for one in done)
    allowed = contract.validation.max_bad_share
    if bad and (bad == plan.rows or bad / plan.rows > allowed):
        worst = "; ".join(
            f"the column '{fault.column}' {fault.problem} in {fault.rows} (first row {fault.first})"
            for fault in faults[:_WORST]
        )
        problem = f"{bad} of {plan.rows} rows break the contract, more than the {100 * allowed:.3g} % allowed: {worst}"
        raise UserError(problem, plan.source, "correct the table; nothing of this run has appeared")


def _name(kind: str, done: Done, file: File) -> str:
    """A name that says what is in it: a file that a manifest names is never replaced by another content."""
    return f"{kind}-{done.shard.number:05}-{file.digest[:16]}.parquet"


def _publish(store: ObjectStore, run: _Run) -> None:
    for name, file in (run.parts | run.aside).items():
        path = store.fetch(file.address)
        if sha256_of_file(path) != file.digest:
            raise UserError("was changed or damaged since it was scored", file.address, "delete it, and run again")
        run.place.put(path, run.prefix + name, file.digest)


def _origin(plan: Plan) -> scores.Run:
    return scores.Run(plan.model, dt.date.fromisoformat(plan.as_of), plan.version, plan.source)


def _batches(store: ObjectStore, run: _Run, tally: Tally) -> Iterator[pa.Table]:
    """All scores as the database takes them, counted on the way."""
    for file in run.parts.values():
        with pq.ParquetFile(store.fetch(file.address), read_dictionary=["risk", "recommendation"]) as opened:
            for batch in opened.iter_batches(BATCH_ROWS):
                table = pa.Table.from_batches([batch])
                tally.add(table)
                yield _given(table)


def _given(table: pa.Table) -> pa.Table:
    columns = {
        "customer": table["id"],
        "event_timestamp": _or_null(table, "event_timestamp"),
        **{name: table[name] for name in ("probability", "decision", "risk", "recommendation")},
        "reasons": _sentences(table["reasons"]) if "reasons" in table.column_names else pa.nulls(table.num_rows),
    }
    return pa.table(columns).cast(scores.GIVEN)


def _or_null(table: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    return table[name] if name in table.column_names else pa.nulls(table.num_rows)


def _sentences(values: pa.ChunkedArray) -> pa.Array:
    """Lists as JSON."""
    return pa.array([msgspec.json.encode(one).decode() for one in values.to_pylist()], pa.string())


def _summary(run: _Run, tally: Tally, faults: tuple[Fault, ...], scratch: Path) -> Summary:
    plan, costs = run.plan, run.contract.costs
    before = previous(run.place, plan.as_of, plan.version)
    parts = [run.place.local(run.prefix + name, scratch) for name in run.parts] if before else []
    return Summary(
        model=plan.model,
        version=plan.version,
        digest=plan.digest,
        as_of=plan.as_of,
        source=plan.source,
        rows=plan.rows,
        scored=tally.rows,
        quarantined=plan.rows - tally.rows,
        faults=faults,
        threshold=run.manifest.threshold,
        bounds=run.manifest.risk,
        costs=costs,
        **figures(tally, costs),
        comparison=compare(run.place, before, parts, scratch) if before else None,
    )


def _manifest(run: _Run, found: Summary) -> Manifest:
    return Manifest(
        format=FORMAT,
        contract=run.plan.contract,
        snapshot=run.plan.snapshot_digest,
        parts=_listed(run.parts),
        quarantine=_listed(run.aside),
        summary=found,
    )


def _listed(files: dict[str, File]) -> tuple[Listed, ...]:
    return tuple(Listed(name, file.rows, file.bytes, file.digest) for name, file in files.items())


def _sweep(store: ObjectStore, run: _Run) -> None:
    """Removes what a former run of this date and version left, and what the store held for this one."""
    named = {MANIFEST, *run.parts, *run.aside}
    for name in run.place.names(run.prefix):
        if name.removeprefix(run.prefix) not in named:
            run.place.remove(name)
    store.delete(store.address(run.plan.work))
