from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "pandas", "pyarrow", "psycopg2", "sqlite3", "sqlalchemy", "alembic", "yaml", "feast", "kfp")

SCRIPT = f"""
import sys, tempfile
from pathlib import Path
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.pseudonyms import Pseudonyms
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_importing_the_log_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
