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
    "KF_PIPELINES_ENDPOINT": "address of KFP's API, for `churn pipeline schedule`",
    "KF_PIPELINES_SA_TOKEN_PATH": "file of the token for it (default none, and in a pod the one that KFP mounts)",
    "CHURN_API_KEY": "key that `churn predict` sends",
    "CHURN_BATCH_LIMIT": "customers in one request (default 10000)",
    "CHURN_BODY_LIMIT_MB": "size of one request (default 16)",
    "CHURN_RECEIVE_SECONDS": "seconds a request may take to arrive (default 10)",
    "CHURN_ONLINE_DEADLINE_MS": "milliseconds a read of the online store may take (default 250)",
    "CHURN_UNKNOWN_CATEGORY": 'refuse unknown categories, or take them as the column\'s "other" (default refuse)',
    "CHURN_DRAIN_SECONDS": "seconds a server that was told to stop still answers, while it is not ready (default 1)",
    "CHURN_REQUEST_LOG": "requests that get a line in the server's log: refused, all or none (default refused)",
    "CHURN_LOG_DURABILITY": "prediction log: batched (in the spool within .1 s), durable (before the answer), off",
    "CHURN_LOG_SPOOL": "folder of predictions on their way to the database (default spool in the home)",
    "CHURN_LOG_SPOOL_MB": "size of that folder (default 1024)",
    "CHURN_LOG_KEY": "file of the key that customers are named by in the log (default keys/log in the home, made)",
    "CHURN_API_KEYS": "file of API keys that `churn keys create` makes (.yaml, .json); without one, nobody is asked",
    "CHURN_RATE_LIMIT": "rows a caller may ask for, where its key says nothing else: 100/s, 6000/m, 100000/h",
    "CHURN_ALLOW_ANONYMOUS": "true: listen beyond this machine without keys and tokens",
    "CHURN_ALLOWED_NETWORKS": "networks clients may come from, with commas (CIDR; default all)",
    "CHURN_TRUSTED_PROXIES": "networks of proxies whose X-Forwarded-For is believed (CIDR; default none)",
    "CHURN_AUDIT_FILE": "file of the audit's lines (default stderr)",
    "CHURN_AUDIT_ADDRESSES": "clients in the audit by their network, or by their full address (default network)",
    "CHURN_JWT_KEYS": "public keys that tokens are verified with: a PEM file, a JWKS, or a secret for HS256",
    "CHURN_JWT_ALGORITHM": "the one algorithm of tokens: RS256, ES256, EdDSA or HS256",
    "CHURN_JWT_ISSUER": "the issuer that tokens must have",
    "CHURN_JWT_AUDIENCE": "the audience that tokens must have",
    "CHURN_JWT_LEEWAY": "seconds that clocks may differ (default 30)",
    "CHURN_JWT_NAME_CLAIM": "claim that names a caller in the audit (default a hash of the subject)",
    "CHURN_TLS_CERTIFICATE": "certificate and its intermediates in PEM, for HTTP and gRPC; renewed ones are taken over",
    "CHURN_TLS_KEY": "the certificate's key in PEM",
    "CHURN_TLS_CLIENT_CA": "authority whose certificates clients must show (default none)",
    "CHURN_WATCH_WINDOW": "seconds in which callers' behaviour is counted (default 600)",
    "CHURN_WATCH_DISTINCT_IDS": "customers a caller may ask about in it before that is suspicious (default 5000)",
    "CHURN_WATCH_UNKNOWN_IDS": "customers that do not exist, likewise (default 100)",
    "CHURN_WATCH_FAR_SHARE": "share of values far from training, likewise (default 0.2)",
    "CHURN_DRIFT_EFFECT": "what counts as drift: Kolmogorov-Smirnov distance or total variation (default 0.08)",
    "CHURN_RETRAIN_IMPORTANCE": "share of importance from which a drifted column calls for retraining (default 0.05)",
    "CHURN_RETRAIN_AGE_DAYS": "days after which a model is retrained whatever else is so (default 180)",
    "CHURN_RETRAIN_ROWS": "predictions with a known outcome that retraining needs at least (default 1000)",
    "CHURN_PUSHGATEWAY": "Prometheus' Pushgateway, http(s)://host:port, that monitoring pushes to (default none)",
    "CHURN_NOTICES": "the YAML that says who is told of drift, failures and promotions (default nobody)",
    "CHURN_PROMETHEUS": "Prometheus, http(s)://host:port, that rollout asks for errors and latency (default none)",
    "CHURN_PROMETHEUS_TOKEN": "file of the bearer token for it (default none)",
    "CHURN_ROLLOUT_ERROR_RATE": "share of failed requests from which on a version is rolled back (default 0.1)",
    "CHURN_ROLLOUT_P99_RATIO": "how many times the other version's p99, likewise (default 2)",
    "CHURN_ROLLOUT_LEVEL": "chance that profit decides although there is no difference (default 0.05)",
    "CHURN_ROLLOUT_WATCH_SECONDS": "seconds that a new champion is watched for (default 3600)",
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


def number(env: Mapping[str, str], name: str, usual: float, low: float, high: float) -> float:
    """A variable's number, `usual` where it is not set. Raises UserError for what is none between the two ends."""
    given = env.get(name)
    if not given:
        return usual
    try:
        found = float(given)
    except ValueError:
        found = low
    if not low < found < high:
        raise UserError(f"'{given}' is no number between {low:g} and {high:g}", where=name, remedy=f"like {usual:g}")
    return found


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
