from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from churn.domain import bundle
from churn.domain.explanation import Explainer
from tests.bundles import Estimator, shop, training_rows, write_bundle

ROOT = Path(__file__).resolve().parents[4]
KINDS: list[tuple[Estimator, str]] = [("logistic", "linear"), ("xgboost", "trees"), ("forest", "sampled")]


@pytest.mark.parametrize(("estimator", "kind"), KINDS)
def test_contributions_of_each_kind_add_up_to_the_logit(estimator: Estimator, kind: str, tmp_path: Path) -> None:
    write_bundle(tmp_path / "shop", shop(), estimator=estimator)
    opened = bundle.load(tmp_path / "shop")
    explainer = Explainer.of(opened)
    explainer.warm()
    rows = training_rows(shop(), 7)[0][:20]
    found, p = explainer.explain(rows), opened.predict(rows)
    assert (explainer.kind, found.exact) == (kind, kind != "sampled")
    assert np.abs(found.values.sum(axis=1) + found.base - np.log(p) + np.log1p(-p)).max() <= 1e-4


def test_threads_may_share_an_explainer_that_was_not_warmed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "shop", shop(), estimator="xgboost")
    opened = bundle.load(tmp_path / "shop")
    rows = training_rows(shop(), 7)[0]
    expected = Explainer.of(opened).explain(rows).values
    shared = Explainer.of(bundle.load(tmp_path / "shop"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: shared.explain(rows[i : i + 9]).values, range(100)))
    assert all(np.allclose(one, expected[i : i + 9], atol=1e-9) for i, one in enumerate(found))


def test_a_booster_is_explained_without_its_library(tmp_path: Path) -> None:
    write_bundle(tmp_path / "shop", shop(), estimator="xgboost")
    program = f"""
import sys
from pathlib import Path
import numpy as np
from churn.domain import bundle
from churn.domain.explanation import Explainer
explainer = Explainer.of(bundle.load(Path({str(tmp_path / "shop")!r})))
explainer.explain(np.array([[0, 0, 5, 10, 0, 3]], np.float64))
print({{"xgboost", "lightgbm", "sklearn", "scipy", "pandas"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
