"""The demo: generated customers, the training pipeline, the predictor, one prediction over HTTP and over gRPC."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from churn.stores.settings import Settings
from local import client, progress, report, runner, screen, server, training

MODEL = "demo"
SEED = 7
SPOILED = {"tenure": "soon", "MonthlyCharges": "-20", "Contract": "Forever", "InternetService": ""}
"""Faults planted into the first rows of the table, so that the quarantine has something to show."""


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo did."""

    training: training.Training
    customer_id: str
    http: dict[str, Any]
    grpc: dict[str, Any]
    seconds: float


def run(customers: int, *, quiet: bool = False) -> Demo:
    """Everything from a fresh table to a live answer. Leaves files below CHURN_HOME and no process."""
    start = time.monotonic()
    settings = Settings.load().prepare()
    table = settings.home / "demo" / "customers.csv"
    customer = _generate(table, customers)
    say = (lambda _: None) if quiet else screen.tell
    say(f"{customers:,} customers generated, {len(SPOILED)} rows spoiled on purpose: {table}")
    with progress.steps(quiet=quiet) as on_step:
        trained = training.run(training.Request(str(table), model=MODEL), on_step)
    runner.release()
    say("starting the predictor")
    with server.running(MODEL, settings.home / "demo" / "predictor.log") as address:
        [http] = client.predict_http(address.http, MODEL, [{"customer_id": customer}], explain=True)
        grpc = client.predict_grpc(address.grpc, MODEL, customer)
    seconds = round(time.monotonic() - start, 1)
    return Demo(training=trained, customer_id=customer, http=http, grpc=grpc, seconds=seconds)


def show(done: Demo) -> None:
    """The demo's one screen."""
    answer = done.http
    lines = [
        f"customer {done.customer_id} leaves with probability {answer['probability']:.3f}: {answer['risk']} risk",
        f"{answer['recommendation']}",
        *(f"  {_arrow(reason)} {reason['text']}" for reason in answer["explanation"]["reasons"]),
        f"model {answer['model_name']} version {answer['model_version']}; over gRPC: {done.grpc['probability']:.3f}",
    ]
    screen.out.print(
        Group(
            Panel(report.screens(done.training), title="training", title_align="left"),
            Panel("\n".join(lines), title="a live prediction over HTTP and gRPC", title_align="left"),
            Panel(Text(_next(done)), title=f"done in {done.seconds:.0f} s; where to look next", title_align="left"),
        )
    )


def _arrow(reason: dict[str, Any]) -> str:
    return "▲" if reason["direction"] == "raises" else "▼"


def _generate(table: Path, customers: int) -> str:
    """Writes the demo's table; gives the id of a customer whose row is not spoiled."""
    from churn.domain.synthetic.generation import generate

    table.parent.mkdir(parents=True, exist_ok=True)
    generate(customers, 1, SEED, table, None)
    with table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    for row, (column, value) in zip(rows, SPOILED.items(), strict=False):
        row[header.index(column)] = value
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return rows[len(SPOILED)][header.index("customerID")]


def _next(done: Demo) -> str:
    settings = Settings.load()
    return "\n".join(
        [
            f"the report      {done.training.artifacts['report']}",
            f"the registry    .venv/bin/mlflow ui --backend-store-uri {settings.mlflow_uri}",
            f"serve           .venv/bin/churn serve --model {MODEL}",
            f"ask             .venv/bin/churn predict --model {MODEL} --customer-id {done.customer_id}",
            f"everybody       .venv/bin/churn run batch --model {MODEL} --from-store",
            "a whole year    .venv/bin/churn simulate --scenario price-rise",
            "your own table  .venv/bin/churn contract draft TABLE --target COLUMN --out mine.yaml",
            "                .venv/bin/churn run training --contract mine.yaml --data TABLE",
        ]
    )
