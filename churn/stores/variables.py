"""The environment variables this project knows, one line each; the README and `--help` print this table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from churn.domain.errors import UserError

VARIABLES: dict[str, str] = {
    "CHURN_HOME": "folder of all state (default .churn)",
    "CHURN_OBJECTS": "snapshots, features and bundles: a folder or s3://bucket/prefix (default objects in the home)",
    "CHURN_TRAFFIC": "the documents that say what serves: a folder or s3://bucket/prefix (default traffic in the home)",
    "CHURN_MLFLOW_URI": "MLflow's tracking and registry: sqlite://, postgresql://, mysql:// or http(s)://",
    "CHURN_MLFLOW_ARTIFACTS": "MLflow's files: a folder or s3://bucket/prefix (with http(s), the server's by default)",
    "CHURN_FEAST_REGISTRY": "Feast's registry: a file or postgresql://",
    "CHURN_ONLINE_STORE": "Feast's online store: sqlite://, redis:// or postgresql://",
    "CHURN_DATABASE": "customers and predictions: sqlite:// or postgresql://",
    "CHURN_STATEMENT_TIMEOUT": "seconds a statement may take on PostgreSQL (default 600)",
    "CHURN_TERMINATION_LOG": "file a failed step writes its message to (default /dev/termination-log)",
    "CHURN_ENVIRONMENTS": "folder of the roles' virtual environments, for the local runner",
    "CHURN_IMAGE_REGISTRY": "registry the pipelines' images come from",
    "CHURN_IMAGE_TAG": "tag of the pipelines' images",
    "CHURN_TELCO_CSV": "the IBM Telco sample, for the tests that need it",
    "AWS_ENDPOINT_URL": "S3's endpoint, http(s)://host:port (default AWS)",
    "AWS_ACCESS_KEY_ID": "S3's access key; without one, requests are anonymous",
    "AWS_SECRET_ACCESS_KEY": "S3's secret key",
    "AWS_SESSION_TOKEN": "S3's session token, for temporary keys",
    "AWS_REGION": "S3's region",
}

# Kubernetes describes each Service of the namespace to each container: one named `churn-predictor` gives
# CHURN_PREDICTOR_PORT, CHURN_PREDICTOR_SERVICE_HOST and more.
_KUBERNETES = re.compile(
    r"CHURN_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)"
)


def refuse_unknown(env: Mapping[str, str]) -> None:
    """Raises UserError naming the first CHURN_* variable that nobody reads, and the known one most like it."""
    for name in sorted(env):
        if name.startswith("CHURN_") and name not in VARIABLES and not _KUBERNETES.fullmatch(name):
            near = difflib.get_close_matches(name, VARIABLES, n=1)
            known = ", ".join(known for known in VARIABLES if known.startswith("CHURN_"))
            raise UserError(
                "is no setting of this project",
                where=name,
                remedy=f"did you mean {near[0]}?" if near else f"known are {known}",
            )
