"""Before any test module: importing Feast makes prometheus_client count in files that all of a process share."""

from __future__ import annotations

import os

os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

import prometheus_client  # noqa: F401 - it decides at its import where it counts
