from __future__ import annotations

from churn.stores.settings import Settings
from churn.stores.variables import VARIABLES


def test_every_setting_has_a_line_in_the_table() -> None:
    named = {f"CHURN_{field.upper()}" for field in Settings.__struct_fields__ if field != "s3"}

    assert named <= VARIABLES.keys()
    assert all(VARIABLES.values())
