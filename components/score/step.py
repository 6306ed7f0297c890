"""The score step: a shard's rows through the champion, in memory that does not grow with them."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import bundle as bundles
from churn.domain.bundle import Bundle
from churn.stores import files, objects
from churn.stores.digests import sha256_of_file
from churn.stores.errors import MissingObjectError
from churn.stores.objects import ObjectStore
from churn.stores.settings import Settings
from components.score.plan import Done, Fault, File, Plan, Shard
from components.score.room import room
from components.score.rows import Judge, Scored

BATCH_ROWS = 2**15
"""Rows that are scored at once, by one thread."""
GROUP_ROWS = 2**17
"""Rows of a row group of the scores."""

PART, ASIDE = "scores.parquet", "quarantine.parquet"

_BUFFER_BYTES = 2**20


def score(settings: Settings, plan: Plan, number: int, threads: int = 0) -> Done:
    """Scores the shard of that number and stores what comes of it; `threads` of 0 are as many as there are cores.

    A shard that is done already is not scored again: a step that is retried, or a run after a kill, goes on.
    Raises UserError when the snapshot or the bundle is gone, a store is away, or the disk is full."""
    store, shard = objects.open_store(settings), plan.shards[number]
    done = finished(store, plan, number)
    if done:
        return done
    bundle = open_bundle(settings, plan)
    path = objects.fetch(settings, plan.snapshot)
    with room(settings.home), files.staged(settings.home / ".staging") as folder:
        folder.mkdir()
        judge = Judge(bundle, told=plan.reasons)
        judge.warm()
        faults = write(judge, path, shard, folder, threads)
        aside = folder / ASIDE
        quarantine = _stored(store, plan, aside) if aside.exists() else None
        part = _stored(store, plan, folder / PART)
        done = Done(shard=shard, part=part, quarantine=quarantine, faults=faults)
        facts = folder / "facts"
        facts.write_bytes(msgspec.json.encode(done))
        store.put_file(facts, _facts(plan, number))
    return done


def finished(store: ObjectStore, plan: Plan, number: int) -> Done | None:
    """What came of a shard; None while it is not done."""
    address = store.address(_facts(plan, number))
    try:
        if not store.exists(address):
            return None
        return msgspec.json.decode(store.fetch(address).read_bytes(), type=Done)
    except (MissingObjectError, msgspec.DecodeError):
        return None


def open_bundle(settings: Settings, plan: Plan) -> Bundle:
    """The bundle of a plan, verified. Raises UserError when it is gone or damaged."""
    folder = objects.open_store(settings, objects.root_of(plan.bundle)).fetch_folder(plan.bundle)
    return bundles.load(folder, plan.digest)


def write(judge: Judge, path: Path, shard: Shard, folder: Path, threads: int) -> tuple[Fault, ...]:
    """Writes the scores of a shard's rows to `PART` in the folder, in their order; `ASIDE` when there is a bad one."""
    rows: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], int] = {}
    with ExitStack() as stack:
        good = stack.enter_context(_writer(folder / PART, judge.schema))
        bad: pq.ParquetWriter | None = None
        held: list[pa.Table] = []
        for scored in _scored(judge, path, shard, threads or cores()):
            held.append(scored.scores)
            if sum(table.num_rows for table in held) >= GROUP_ROWS:
                good.write_table(pa.concat_tables(held))
                held = []
            if scored.aside is not None:
                bad = bad or stack.enter_context(
                    pq.ParquetWriter(folder / ASIDE, scored.aside.schema, compression="zstd")
                )
                bad.write_table(scored.aside)
            for column, problem, row in scored.faults:
                rows[column, problem] += 1
                first.setdefault((column, problem), row)
        if held:
            good.write_table(pa.concat_tables(held))
    return tuple(Fault(*kind, count, first[kind]) for kind, count in rows.most_common())


def cores() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scored(judge: Judge, path: Path, shard: Shard, threads: int) -> Iterator[Scored]:
    """Batches in the order of their rows; one more than there are threads is read ahead."""
    if threads == 1:
        yield from (judge.judge(table, first) for first, table in _batches(judge, path, shard))
        return
    waiting: deque[Future[Scored]] = deque()
    with ThreadPoolExecutor(threads, "score") as executor:
        try:
            for first, table in _batches(judge, path, shard):
                waiting.append(executor.submit(judge.judge, table, first))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _batches(judge: Judge, path: Path, shard: Shard) -> Iterator[tuple[int, pa.Table]]:
    """The shard's rows with the number of the first of each batch; row groups of other shards are not touched."""
    # Not read ahead: otherwise whole row groups would lie in memory.
    with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, read_dictionary=judge.as_codes) as file:
        groups: list[int] = []
        start = at = 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if at < shard.end and at + rows > shard.first:
                start = at if not groups else start
                groups.append(number)
            at += rows
        for batch in file.iter_batches(BATCH_ROWS, groups, columns=judge.reads, use_threads=False):
            low, high = max(shard.first - start, 0), min(shard.end - start, batch.num_rows)
            if high > low:
                yield start + low, pa.Table.from_batches([batch.slice(low, high - low)])
            start += batch.num_rows


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    few = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    told = ["reasons.list.element"] if "reasons" in schema.names else []
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=[*few, *told],
        write_statistics=["id", "probability"], store_schema=False,
    )  # fmt: skip


def _stored(store: ObjectStore, plan: Plan, path: Path) -> File:
    digest, rows = sha256_of_file(path), pq.read_metadata(path).num_rows
    return File(store.put_file(path, f"{plan.work}/{digest}.parquet"), digest, rows, path.stat().st_size)


def _facts(plan: Plan, number: int) -> str:
    return f"{plan.work}/shard-{number:05}.json"
