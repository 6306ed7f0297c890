"""A run's scores against those of the run before, customer by customer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
import pyarrow.parquet as pq

from churn.domain.contract import Level
from components.close_batch.manifest import Manifest
from components.close_batch.place import MANIFEST, Place, partition, partitions
from components.close_batch.summary import Comparison, Moved
from components.score.advice import LEVELS

_MEMORY = "512MB"

_BOTH = """
    WITH now AS ({now}), before AS ({before})
    SELECT now.id IS NOT NULL AS is_now, before.id IS NOT NULL AS was, before.risk AS old, now.risk AS new,
        count(*) AS rows, sum(before.probability) AS sum_old, sum(now.probability) AS sum_new,
        sum(abs(now.probability - before.probability)) AS moved
    FROM now FULL JOIN before USING (id) GROUP BY ALL
"""


def previous(place: Place, as_of: str, version: int) -> Manifest | None:
    """The manifest of the last run of an earlier date, or of this date with a lower version.

    What cannot be read as one, be it damaged or of another time, is passed over: it must not end a run."""
    earlier = [one for one in partitions(place) if one < (as_of, version)]
    for date, number in reversed(earlier):
        content = place.read(partition(date, number) + MANIFEST) or b""
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(content, type=Manifest)
    return None


def compare(place: Place, before: Manifest, parts: Sequence[Path], scratch: Path) -> Comparison:
    """Counts and changes; DuckDB joins within a bound of memory, spills the rest, and adds up exactly in any order.

    A customer who stands several times counts once, with the later event timestamp where there is one."""
    prefix = partition(before.summary.as_of, before.summary.version)
    former = [place.local(prefix + part.file, scratch) for part in before.parts]
    query = _BOTH.format(now=_once(parts, "now"), before=_once(former, "before"))
    with TemporaryDirectory(dir=scratch) as spill:
        database = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": spill})
        given = {"now": [str(path) for path in parts], "before": [str(path) for path in former]}
        found = database.execute(query, given).fetchall()
        database.close()
    both = [row for row in found if row[0] and row[1]]
    rows = sum(row[4] for row in both)
    old, new = (float(sum(row[place] for row in both)) / max(1, rows) for place in (5, 6))
    return Comparison(
        as_of=before.summary.as_of,
        version=before.summary.version,
        both=rows,
        new=sum(row[4] for row in found if not row[1]),
        gone=sum(row[4] for row in found if not row[0]),
        mean_before=round(old, 6),
        mean_now=round(new, 6),
        mean_change=round(new - old, 6),
        mean_absolute_change=round(float(sum(row[7] for row in both)) / max(1, rows), 6),
        risk={one.level: one.share for one in before.summary.risk},
        moved=tuple(_moved(both, one, other) for one in LEVELS for other in LEVELS),
    )


def _moved(both: list[tuple[object, ...]], old: Level, new: Level) -> Moved:
    return Moved(old, new, sum(int(str(row[4])) for row in both if (row[2], row[3]) == (old, new)))


def _once(parts: Sequence[Path], name: str) -> str:
    """Each customer's row: the one that the table of scores takes too."""
    dated = bool(parts) and "event_timestamp" in pq.read_schema(parts[0]).names
    latest = "event_timestamp DESC NULLS LAST, " if dated else ""
    rows = f"read_parquet(${name}, filename = true, file_row_number = true, hive_partitioning = false)"
    order = f"{latest}filename DESC, file_row_number DESC"
    return f"""
        SELECT CAST(id AS VARCHAR) AS id, CAST(risk AS VARCHAR) AS risk,
            CAST(probability AS DECIMAL(18, 9)) AS probability
        FROM {rows} QUALIFY row_number() OVER (PARTITION BY id ORDER BY {order}) = 1
    """  # noqa: S608 - names of our own
