"""wrk for HTTP and h2load for gRPC: commands, and what their output says."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.serving.protocols import GRPC_PATH, Body

_SCRIPT = Path(__file__).with_name("post.lua")
_PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
_NAMES = (("wrk", "-v"), ("h2load", "--version"))
_PREFIX = struct.Struct(">BI")
"""What stands before a message of gRPC: whether it is compressed, and its length."""
_SLACK_S = 30


@dataclass(frozen=True)
class Load:
    """What a loader saw in one burst, times in microseconds. `failed` were not answered, or not with 2xx.

    `answer_bytes` is what all answers' bodies came to together; wrk does not tell."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    failed: int
    answer_bytes: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def missing() -> str:
    """What to install before a run; empty when all is there."""
    absent = [program for program in _PACKAGES if shutil.which(program) is None]
    packages = " ".join(_PACKAGES[program] for program in absent)
    return f"{' and '.join(absent)} not found: apt install {packages}" if absent else ""


def versions() -> list[str]:
    """The loaders as they name themselves."""
    said = [subprocess.run(command, capture_output=True, text=True, check=False) for command in _NAMES]
    return [" ".join((one.stdout or one.stderr).split()[:2]) for one in said]


def http(url: str, bodies: Sequence[Body], connections: int, seconds: float, think_ms: float = 0) -> Load:
    """A burst of wrk, one thread, `bodies` in turn; with `think_ms`, a paced one (see post.lua)."""
    with tempfile.TemporaryDirectory(prefix="churn-wrk-") as folder:
        for number, body in enumerate(bodies, 1):
            Path(folder, f"{number}.body").write_bytes(body.content)
            head = "".join(f"{name}: {value}\n" for name, value in body.headers.items())
            Path(folder, f"{number}.headers").write_text(head)
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{_whole(seconds)}s",
            "--timeout",
            "10s",
            "-s",
            str(_SCRIPT),
            url,
        ]
        return parse_wrk(_output([*command, "--", folder, str(len(bodies)), str(think_ms)], seconds))


def grpc(address: str, body: Body, connections: int, seconds: float, answer_bytes: int) -> Load:
    """A burst of h2load, one stream a connection; it can send one message only.

    It does not read gRPC's status, and takes every refusal for a success: but a refusal has no message, so that the
    bytes of all answers, each of which should have `answer_bytes`, say how many there were."""
    with tempfile.TemporaryDirectory(prefix="churn-h2load-") as folder:
        message, log = Path(folder, "message"), Path(folder, "log")
        message.write_bytes(_PREFIX.pack(0, len(body.content)) + body.content)
        headers = {"content-type": "application/grpc", "te": "trailers", **body.headers}
        named = [f"--header={name}: {value}" for name, value in headers.items()]
        load = ["-t1", f"-c{connections}", "-m1", f"-D{_whole(seconds)}s", f"--data={message}", f"--log-file={log}"]
        output = _output(["h2load", *load, *named, f"http://{address}{GRPC_PATH}"], seconds)
        return refusals_counted(parse_h2load(output, log.read_text()), _PREFIX.size + answer_bytes)


def parse_wrk(output: str) -> Load:
    """What post.lua writes in the end, among wrk's own lines."""
    line = next((line for line in output.splitlines() if line.startswith("{")), "")
    if not line:
        raise ValueError(f"wrk said nothing of its requests:\n{output}")
    said = json.loads(line)
    failed = said["refused"] + said["broken"]
    return Load(said["requests"], said["microseconds"] / 1e6, said["p50"], said["p99"], failed)


def parse_h2load(output: str, log: str) -> Load:
    """Counts from h2load's summary, times from its log (start, status, microseconds; -1 for a failed stream).

    Requests still under way at the end are no failures: h2load counts them as errored, and does not log them."""
    requests = re.search(r"requests: (\d+) total, .*?(\d+) failed, (\d+) errored, (\d+) timeout", output)
    finished = re.search(r"finished in ([\d.]+)(us|ms|s)\b", output)
    data = re.search(r"\((\d+)\) data", output)
    if not requests or not finished or not data:
        raise ValueError(f"h2load said nothing of its requests:\n{output}")
    rows = [line.split() for line in log.splitlines()]
    times = sorted(float(row[2]) for row in rows if row[1].startswith("2"))
    seconds = float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[finished[2]]
    failed = sum(not row[1].startswith("2") for row in rows)
    return Load(len(times), seconds, _quantile(times, 0.5), _quantile(times, 0.99), failed, int(data[1]))


def refusals_counted(load: Load, answer_bytes: int) -> Load:
    """A load with those among its successes counted as failed that had no answer of `answer_bytes`."""
    answered = min(load.requests, round(load.answer_bytes / answer_bytes))
    return replace(load, failed=load.failed + load.requests - answered)


def _quantile(rising: Sequence[float], share: float) -> float:
    return math.nan if not rising else rising[min(len(rising) - 1, int(share * len(rising)))]


def _whole(seconds: float) -> int:
    """Both loaders take whole seconds."""
    return max(1, round(seconds))


def _output(command: Sequence[str], seconds: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _SLACK_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")
    return done.stdout
