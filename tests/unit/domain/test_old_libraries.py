"""The monitoring role is held to NumPy 1 and pydantic 1; the domain must run there too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs/monitoring/bin/python"

PROGRAM = """
import pkgutil, importlib, sys
from pathlib import Path
import numpy as np
import churn.domain
for found in pkgutil.walk_packages(churn.domain.__path__, "churn.domain."):
    importlib.import_module(found.name)
from churn.domain import contract, metrics
from churn.domain.derivation import Derivation
telco = contract.load(Path("feature_repo/contracts/telco.yaml"))
features = Derivation(telco).run(np.zeros((3, len(telco.raw))))
assert features.shape == (3, len(telco.features))
assert metrics.roc_auc(np.array([0.0, 1.0]), np.array([0.1, 0.9])) == 1.0
assert np.__version__.startswith("1."), np.__version__
assert not any(name.split(".")[0] in {"pydantic", "kfp", "feast", "mlflow", "kserve"} for name in sys.modules)
"""


def test_the_domain_runs_on_numpy_1_and_without_pydantic() -> None:
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
