"""Who scores the table, each in a process of its own: loads what it needs, says so, and scores each time it is told.

`python -m tests.benchmarks.batch.contestants NAME FOLDER TABLE THREADS`: a line of JSON on stdout when it is ready,
one after each line on stdin, with wall and CPU seconds and the peak of its memory so far."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from tests.memory import peak_kb

Work = Callable[[Path], None]


def ours(folder: Path, table: Path, threads: int) -> Work:
    """The score step's own loop, Parquet to Parquet."""
    from churn.domain import bundle as bundles
    from components.score import step
    from components.score.plan import Shard
    from components.score.rows import Judge

    judge = Judge(bundles.load(folder / "bundle"), told=False)
    judge.warm()
    shard = Shard(0, 0, pq.read_metadata(table).num_rows)

    def work(out: Path) -> None:
        assert not step.write(judge, table, shard, out, threads)

    return work


def raw(folder: Path, table: Path, threads: int) -> Work:
    """The limit: the booster alone on a float32 matrix in memory, nothing read and nothing written."""
    import numpy as np
    import xgboost

    from churn.domain import bundle as bundles
    from components.score import step
    from components.score.encoder import Encoder
    from components.score.plan import Shard
    from components.score.rows import Judge

    bundle = bundles.load(folder / "bundle")
    booster = xgboost.Booster({"nthread": threads}, model_file=bundle.folder / "booster.ubj")
    judge, encoder = Judge(bundle, told=False), Encoder(bundle.contract)
    shard = Shard(0, 0, pq.read_metadata(table).num_rows)
    parts = [bundle.design.run(encoder.encode(rows)[0])[0] for _, rows in step._batches(judge, table, shard)]
    design = np.concatenate(parts)
    del parts
    booster.inplace_predict(design[:1000], validate_features=False)

    def work(out: Path) -> None:
        booster.inplace_predict(design, validate_features=False)

    return work


def naive(folder: Path, table: Path, threads: int) -> Work:
    """pandas, a scikit-learn pipeline with the same booster, and `predict_proba`: the whole table as one frame."""
    import numpy as np
    import pandas as pd

    from tests.benchmarks.serving.peers.pipeline import load

    facts = json.loads((folder / "facts.json").read_text())
    pipeline = load(folder / "pipeline")
    pipeline.set_params(model__n_jobs=threads)
    edges, levels, words = [-1.0, facts["low"], facts["high"], 2.0], ["low", "medium", "high"], facts["words"]

    def work(out: Path) -> None:
        frame = pd.read_parquet(table)
        p = pipeline.predict_proba(frame[facts["columns"]])[:, 1]
        risk = pd.cut(p, edges, labels=levels, right=False)
        scored = {"id": frame["customer_id"], "probability": p.astype(np.float32), "decision": p >= facts["low"]}
        scored |= {"risk": risk, "recommendation": risk.map(words, na_action=None)}
        pd.DataFrame(scored).to_parquet(out / "scores.parquet", compression="zstd")

    return work


CONTESTANTS = {"ours": ours, "raw": raw, "naive": naive}


def main(name: str, folder: str, table: str, threads: str) -> None:
    began = time.perf_counter()
    work = CONTESTANTS[name](Path(folder), Path(table), int(threads))
    _say(ready=round(time.perf_counter() - began, 2), peak_mb=peak_kb() // 1024)
    for _ in sys.stdin:
        with TemporaryDirectory(dir=folder) as out:
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            work(Path(out))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        _say(wall=wall, cpu=cpu, peak_mb=peak_kb() // 1024)


def _say(**facts: float) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
