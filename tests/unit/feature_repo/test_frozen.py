from __future__ import annotations

import subprocess
import sys

from churn.domain import contract
from churn.domain.bundle import Field, Online
from feature_repo import names
from feature_repo.frozen import freeze

MADE = contract.parse(
    """
name: telco-mini
key: {column: customer_id, type: integer}
target: {column: left, positive: "Yes"}
ttl_days: 7
columns:
  tenure: {type: integer}
  amount_y: {type: number}
  plan: {type: category, categories: [a, b]}
derived:
  loyal: {flag: tenure >= 24, told_as: tenure}
""",
    "telco.yaml",
)


def test_the_frozen_layout_names_all_that_a_reader_needs() -> None:
    columns = (Field("tenure", "int64"), Field("amount_y_", "double"), Field("plan", "string"))
    view = names.raw_view(MADE)
    assert freeze(MADE) == Online("telco_mini", view, 7, "customer_id", "int64", 3, columns)


def test_a_table_without_a_key_is_frozen_under_the_hash_of_its_rows() -> None:
    keyless = contract.parse("name: x\ntarget: {column: left, positive: 1}\ncolumns: {a: {type: number}}", "x.yaml")
    assert (freeze(keyless).key, freeze(keyless).key_type) == ("entity_id", "string")


def test_neither_the_layout_nor_its_readers_import_feast() -> None:
    script = (
        "import sys, feature_repo.frozen, feature_repo.direct.reader, feature_repo.direct.redis_store, "
        "feature_repo.direct.sqlite_store;"
        "print([name for name in ('feast', 'redis', 'sqlalchemy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
