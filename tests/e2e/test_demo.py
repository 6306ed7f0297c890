"""The demo, twice on one home, as `make demo` runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Churn


def test_the_demo_works_and_works_again(churn: Churn) -> None:
    for promoted in (True, False):
        done = churn("demo", "--customers", "1500", "--json")
        assert done.code == 0, done.err
        found = done.json
        assert found["training"]["promoted"] is promoted
        assert found["training"]["data"]["rows"] == 1500
        assert found["training"]["data"]["quarantined"] == 4
        assert found["http"]["customer_id"] == found["customer_id"]
        assert found["grpc"]["probability"] == pytest.approx(found["http"]["probability"], abs=1e-12)
        assert found["http"]["model_version"] == 1
        assert Path(found["training"]["artifacts"]["report"]).read_text().startswith("<!")
    assert _left_running(churn.home) == []


def _left_running(home: Path) -> list[str]:
    """Command lines of processes whose environment names this home."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"CHURN_HOME={home}".encode() in environment.read_bytes():
                found.append(environment.with_name("cmdline").read_text())
        except OSError:
            continue
    return found
