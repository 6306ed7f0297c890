from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from churn.domain.errors import UserError
from serving.access.audit import LINES, Audit
from serving.access.caller import Trace


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_refusal_is_one_line_with_what_security_asks(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    audit = Audit(file)
    trace = Trace("id-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    audit.refused("scope", 0.0, caller="shop", identity="ck_1", scope="admin", client="192.0.2.7", trace=trace)
    audit.close()
    (line,) = lines(file)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {
        "audit": "access",
        "outcome": "refused",
        "reason": "scope",
        "caller": "shop",
        "key": "ck_1",
        "scope": "admin",
        "client": "192.0.2.0/24",
        "request_id": "id-1",
        "traceparent": trace.traceparent,
        "count": 1,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_whole_addresses_are_written_when_asked_for(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.log", "full")
    audit.refused("network", 0.0, client="192.0.2.7")
    audit.refused("network", 0.0, client='"}\n')
    audit.close()
    assert [line["client"] for line in lines(tmp_path / "audit.log")] == ["192.0.2.7", ""]


def test_what_a_client_writes_in_its_trace_cannot_forge_a_line(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.log")
    for forged in ('x"}\n{"audit": "load"', "a" * 1000, "\x00", "ü"):
        audit.act("load", "done", caller="operator", trace=Trace(forged, forged))
    audit.close()
    assert [line["request_id"] + line["traceparent"] for line in lines(tmp_path / "audit.log")] == [""] * 4


def test_refusals_alike_are_one_line_a_second_with_their_count(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    audit = Audit(file)
    for tick in range(3000):
        audit.refused("unknown_key", tick / 1000, client="192.0.2.7")
    audit.close()
    written = lines(file)
    assert len(written) <= 4
    assert sum(line["count"] for line in written) == 3000
    assert all("since" in line for line in written[1:])


def test_a_count_is_written_when_nothing_follows(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    audit = Audit(file)
    for _ in range(5):
        audit.refused("unknown_key", 0.0, client="192.0.2.7")
    audit.flush(0.5)
    assert len(lines(file)) == 1
    audit.flush(1.5)
    assert [line["count"] for line in lines(file)] == [1, 4]
    audit.flush(9.0)
    assert len(lines(file)) == 2
    audit.close()


def test_many_attackers_do_not_fill_the_disk_and_none_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    audit = Audit(file)
    seconds, each = 10, 3000
    for second in range(seconds):
        for number in range(each):
            client = f"10.{number % 200}.{number // 200}.{second}"
            audit.refused("unknown_key", second + number / each, client=client)
    audit.close()
    written = lines(file)
    assert len(written) <= (LINES + 1) * (seconds + 2)
    assert sum(line["count"] for line in written) == seconds * each
    assert all(line["since"] for line in written if line["count"] > 1)
    assert len(audit._floods) <= 1024


def test_several_processes_append_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    children = []
    for worker in range(3):
        child = os.fork()
        if child == 0:
            audit = Audit(file)
            for number in range(300):
                audit.act("load", "done", caller=f"worker-{worker}", trace=Trace("x" * 100 + str(number)))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert len(lines(file)) == 900


def test_rotation_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    audit = Audit(file)
    audit.act("load", "done", caller="one")
    file.rename(tmp_path / "audit.log.1")
    audit.reopen()
    audit.act("load", "done", caller="two")
    audit.close()
    assert [line["caller"] for line in lines(file)] == ["two"]
    assert [line["caller"] for line in lines(tmp_path / "audit.log.1")] == ["one"]


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"CHURN_AUDIT_FILE.*No such file"):
        Audit(tmp_path / "none" / "audit.log", where="CHURN_AUDIT_FILE")


def test_a_full_disk_costs_lines_and_no_request(caplog: pytest.LogCaptureFixture) -> None:
    audit = Audit(Path("/dev/full"))
    for number in range(5):
        audit.refused(f"reason-{number}", 0.0)
    assert audit.lost == 5
    assert "No space left" in caplog.text
    audit.close()


def test_without_a_file_it_is_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    audit = Audit(None)
    audit.act("unload", "refused", caller="operator")
    audit.close()
    assert json.loads(capfd.readouterr().err)["audit"] == "unload"
