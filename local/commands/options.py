"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
ContractName = Annotated[
    str, typer.Option("--contract", help="A contract's file, or the name of one in feature_repo/contracts.")
]
ModelName = Annotated[str, typer.Option("--model", help="The model's name; the contract's own by default.")]
AsOf = Annotated[str, typer.Option("--as-of", help="The date (ISO 8601) up to which things are known; now by default.")]
RunnerOption = Annotated[
    str, typer.Option("--runner", help="venv (a virtual environment a role) or docker (an image a role).")
]
TableAddress = Annotated[
    str, typer.Option("--data", help="The table: a CSV or Parquet file, s3://…, or postgresql://….")
]
