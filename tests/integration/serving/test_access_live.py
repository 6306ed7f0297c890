"""The door, over real sockets: keys, tokens, rates, networks, TLS; and that nothing secret or personal is said."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from churn.stores.settings import Settings
from serving.stock import grpc_predict_v2_pb2_grpc, pb
from tests import bundles
from tests.certificates import Authority, private_pem, public_pem
from tests.load import infer_request, outputs
from tests.predictors import ROOT, Predictor, Reply, environment, running

ANN = bundles.CUSTOMER
CANARY_ID, CANARY_SPEND, CANARY_TEXT = "canary-7f3a91", 7777.815625, "canary-plan-55e0"
BODY = {"instances": [ANN]}
PREDICT, EXPLAIN = "/v1/models/shop:predict", "/v1/models/shop:explain"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = bundles.settings_of(tmp_path_factory.mktemp("home"))
    bundles.publish(settings, bundles.shop())
    return settings


@dataclass
class Keys:
    """A file of keys, and `churn keys` for it."""

    home: Path
    file: Path
    given: list[str]

    def create(self, name: str, *options: str) -> str:
        key = self._run("create", name, *options).strip()
        self.given.append(key)
        return key

    def revoke(self, which: str) -> None:
        self._run("revoke", which)

    def _run(self, *arguments: str) -> str:
        """What it prints: of a new key, the key alone, so that a script can take it."""
        ended = subprocess.run(
            [sys.executable, "-m", "local.main", "keys", *arguments],
            cwd=ROOT,
            env=environment(self.home, CHURN_API_KEYS=self.file),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def keys(home: Settings) -> Keys:
    return Keys(home.home, home.home / "keys.yaml", [])


@pytest.fixture(scope="module")
def website(keys: Keys) -> str:
    return keys.create("website", "--scope", "predict", "--rate", "100000/h")


@pytest.fixture(scope="module")
def analyst(keys: Keys) -> str:
    return keys.create("analyst", "--scope", "predict", "--scope", "explain", "--scope", "admin")


@dataclass
class Issuer:
    """An identity provider."""

    key: ec.EllipticCurvePrivateKey

    def token(self, key: Any = None, **claims: Any) -> str:
        usual = {
            "iss": "https://issuer.example",
            "aud": "churn",
            "sub": "canary-subject-99",
            "exp": time.time() + 300,
            "scope": "predict",
        }
        return jwt.encode({**usual, **claims}, key or private_pem(self.key), algorithm="ES256")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def audit(home: Settings) -> Path:
    return home.home / "audit.log"


@pytest.fixture(scope="module")
def served(
    home: Settings,
    keys: Keys,
    website: str,
    analyst: str,
    issuer: Issuer,
    audit: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Predictor]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "issuer.pem").write_bytes(public_pem(issuer.key))
    with running(
        home.home,
        folder / "log.txt",
        key=website,
        CHURN_API_KEYS=keys.file,
        CHURN_JWT_KEYS=folder / "issuer.pem",
        CHURN_JWT_ALGORITHM="ES256",
        CHURN_JWT_ISSUER="https://issuer.example",
        CHURN_JWT_AUDIENCE="churn",
        CHURN_JWT_LEEWAY="0",
        CHURN_AUDIT_FILE=audit,
        CHURN_ALLOWED_NETWORKS="127.0.0.1,10.0.0.0/8",
        CHURN_TRUSTED_PROXIES="127.0.0.1",
        CHURN_REQUEST_LOG="all",
        CHURN_WATCH_DISTINCT_IDS="20",
    ) as predictor:
        yield predictor


def audited(audit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.read_text().splitlines()]


def rpc(served: Predictor, **metadata: str) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        sent = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        return stub.ModelInfer(infer_request(ANN), metadata=sent, timeout=30)


def refusal(served: Predictor, **metadata: str) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        rpc(served, **metadata)
    return refused.value


def test_a_key_opens_what_its_scopes_say(served: Predictor, website: str, analyst: str) -> None:
    assert served.send(PREDICT, BODY, X_API_Key=website).status == 200
    assert served.send(PREDICT, BODY, Authorization=f"Bearer {website}").status == 200
    assert served.send(EXPLAIN, BODY, X_API_Key=analyst).status == 200
    assert outputs(rpc(served, x_api_key=website))["model_version"] == 1
    assert outputs(rpc(served, authorization=f"Bearer {analyst}"))["model_version"] == 1
    refused = [
        served.send(EXPLAIN, BODY, X_API_Key=website),
        served.send(PREDICT, {**BODY, "parameters": {"explain": True}}, X_API_Key=website),
    ]
    for reply in refused:
        assert (reply.status, reply.json["error"]["code"]) == (403, "forbidden")
        assert 'error="insufficient_scope", scope="explain"' in reply.headers["www-authenticate"]


@pytest.mark.parametrize("path", [PREDICT, "/v2/models/shop/infer", "/model-info", "/v2", "/v2/models/shop", "/docs"])
def test_without_a_key_nothing_about_the_model_is_told(served: Predictor, path: str) -> None:
    body = BODY if path == PREDICT or path.endswith("infer") else None
    reply = served.send(path, body, X_API_Key="")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="churn"'
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_probes_and_metrics_are_open(served: Predictor) -> None:
    for path in ("/", "/v2/health/live", "/v2/health/ready", "/v2/models/shop/ready", "/v1/models/shop", "/metrics"):
        assert served.send(path, X_API_Key="").status == 200, path
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ModelReady(pb.ModelReadyRequest(name="shop")).ready
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelMetadata(pb.ModelMetadataRequest(name="shop"))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: key[:-3] + "AAA",
        lambda key: "ck_000000000000" + key[15:],
        lambda key: key + "a",
        lambda key: key[:15],
        lambda _: "sesame",
    ],
)
def test_a_wrong_key_is_refused_in_both_protocols(served: Predictor, website: str, wrong: Callable[[str], str]) -> None:
    key = wrong(website)
    for reply in (served.send(PREDICT, BODY, X_API_Key=key), served.send(PREDICT, BODY, Authorization=f"Bearer {key}")):
        assert (reply.status, reply.json["error"]["code"]) == (401, "unauthenticated")
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]
        assert key not in reply.body.decode() + str(reply.headers)
    refused = refusal(served, x_api_key=key)
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "www-authenticate" in dict(refused.trailing_metadata())


def test_a_rate_is_told_in_headers_and_kept(served: Predictor, keys: Keys) -> None:
    key = keys.create("batch-job", "--scope", "predict", "--rate", "10/h", "--network", "127.0.0.0/8")
    served.wait_for(lambda: served.send("/model-info", X_API_Key=key).status == 200)  # pays for one row
    first = served.send(PREDICT, BODY, X_API_Key=key)
    assert first.status == 200
    assert first.headers["ratelimit-policy"] == "10;w=3600"
    assert first.headers["ratelimit-limit"] == "10"
    assert first.headers["ratelimit-remaining"] == "8"
    assert 0 < int(first.headers["ratelimit-reset"]) <= 3600
    batch = served.send(PREDICT, {"instances": [ANN] * 20}, X_API_Key=key)  # a batch may overdraw, and is answered
    assert (batch.status, batch.headers["ratelimit-remaining"]) == (200, "0")
    refused = served.send(PREDICT, BODY, X_API_Key=key)
    assert (refused.status, refused.json["error"]["code"]) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) > 60
    assert refused.headers["ratelimit-remaining"] == "0"
    over = refusal(served, x_api_key=key)
    assert over.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(over.trailing_metadata())["retry-after"]) > 60
    assert served.predict(ANN).status == 200, "another key has a rate of its own"


def test_a_key_is_changed_while_the_server_runs(served: Predictor, keys: Keys) -> None:
    old = keys.create("crm", "--scope", "predict")
    served.wait_for(lambda: served.send(PREDICT, BODY, X_API_Key=old).status == 200)
    new = keys.create("crm", "--scope", "predict")
    served.wait_for(lambda: served.send(PREDICT, BODY, X_API_Key=new).status == 200)
    assert served.send(PREDICT, BODY, X_API_Key=old).status == 200, "both are good until the old one is revoked"
    keys.revoke(old.partition(".")[0])
    served.wait_for(lambda: served.send(PREDICT, BODY, X_API_Key=old).status == 401)
    assert served.send(PREDICT, BODY, X_API_Key=new).status == 200
    good = keys.file.read_bytes()
    keys.file.write_text("keys: nonsense")
    served.wait_for(lambda: "what was read before stays in use" in served.said())
    assert served.send(PREDICT, BODY, X_API_Key=new).status == 200
    keys.file.write_bytes(good)


def test_a_token_is_as_good_as_a_key(served: Predictor, issuer: Issuer) -> None:
    assert served.send(PREDICT, BODY, Authorization=f"Bearer {issuer.token()}").status == 200
    assert outputs(rpc(served, authorization=f"Bearer {issuer.token()}"))["variant"] == "champion"
    explain = f"Bearer {issuer.token(scope='predict explain')}"
    assert served.send(EXPLAIN, BODY, Authorization=explain).status == 200
    assert served.send(EXPLAIN, BODY, Authorization=f"Bearer {issuer.token()}").status == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_700_000_000},
        {"iss": "https://elsewhere.example"},
        {"aud": "another"},
        {"key": private_pem(ec.generate_private_key(ec.SECP256R1()))},
    ],
)
def test_a_token_that_is_not_good_is_refused(served: Predictor, issuer: Issuer, claims: dict[str, Any]) -> None:
    token = issuer.token(**claims)
    assert served.send(PREDICT, BODY, Authorization=f"Bearer {token}").status == 401
    assert refusal(served, authorization=f"Bearer {token}").code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_token_cannot_choose_how_it_is_checked(served: Predictor, issuer: Issuer) -> None:
    claims = {"iss": "https://issuer.example", "aud": "churn", "sub": "x", "exp": time.time() + 300, "scope": "admin"}
    unsigned = jwt.encode(claims, None, algorithm="none")
    assert served.send(PREDICT, BODY, Authorization=f"Bearer {unsigned}").status == 401
    other = jwt.encode(claims, os.urandom(32), algorithm="HS256")
    assert served.send(PREDICT, BODY, Authorization=f"Bearer {other}").status == 401


def from_address(served: Predictor, source: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", served.http_port, timeout=30, source_address=(source, 0))
    headers = {"Content-Type": "application/json", "X-API-Key": served.key}
    connection.request("POST", PREDICT, json.dumps(BODY), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_only_networks_on_the_list_are_let_in(served: Predictor) -> None:
    assert from_address(served, "127.0.0.1") == 200
    assert from_address(served, "127.0.0.3") == 403
    via = {"10.1.2.3": 200, "203.0.113.9": 403, "203.0.113.9, 10.1.2.3": 200, "10.1.2.3, 203.0.113.9": 403, "no": 403}
    for forwarded, status in via.items():
        assert served.send(PREDICT, BODY, X_Forwarded_For=forwarded).status == status, forwarded
    outside = refusal(served, x_api_key=served.key, x_forwarded_for="203.0.113.9")
    assert outside.code() is grpc.StatusCode.PERMISSION_DENIED


def test_who_walks_through_ids_is_counted(served: Predictor, keys: Keys) -> None:
    key = keys.create("curious", "--scope", "predict")
    for number in range(30):
        body = {"instances": [{**ANN, "customer_id": f"{CANARY_ID}{number}"}]}
        served.wait_for(lambda body=body: served.send(PREDICT, body, X_API_Key=key).status == 200)
    assert served.metric("churn_suspicious_callers_total", caller="curious", kind="walks_ids") == 1
    assert served.metric("churn_suspicious_callers_total", caller="website") == 0


def test_a_request_is_found_again_by_its_id_and_its_trace(served: Predictor, audit: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {"X_Request_Id": "order-66", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    for path, body, status in ((PREDICT, BODY, 200), ("/model-info", None, 200), (EXPLAIN, BODY, 403)):
        reply = served.send(path, body, **sent)
        assert reply.status == status
        assert reply.headers["x-request-id"] == "order-66"
        assert reply.headers["traceparent"].startswith(f"00-{trace}-")
        assert "00f067aa0ba902b7" not in reply.headers["traceparent"], "a span of the server's own"
    lines = [line for line in served.lines() if line.get("request_id") == "order-66"]
    assert [(line["route"], line["status"], line["caller"]) for line in lines] == [
        ("v1 predict", 200, "website"),
        ("other", 200, "website"),
        ("v1 explain", 403, ""),  # whom it was refused to, the audit says
    ]
    assert all(line["traceparent"].split("-")[1] == trace for line in lines)
    (told,) = [line for line in audited(audit) if line["request_id"] == "order-66"]
    assert (told["reason"], told["scope"], told["caller"]) == ("scope", "explain", "website")


def test_what_was_refused_and_done_is_in_the_audit(served: Predictor, audit: Path, analyst: str) -> None:
    load = served.send("/v2/repository/models/shop/load", b"", "POST", X_API_Key=analyst)
    assert load.status == 200
    assert served.send("/v2/repository/models/shop/load", b"", "POST").status == 403
    wanted = {"no_credentials", "wrong_secret", "unknown_key", "malformed_key", "scope", "rate", "network"}
    wanted |= {"expired_token", "wrong_issuer", "wrong_audience", "invalid_token"}
    served.wait_for(lambda: wanted <= {line.get("reason") for line in audited(audit)})
    acts = {(line["audit"], line["outcome"], line["caller"]) for line in audited(audit)}
    assert acts >= {
        ("load", "done", "analyst"),
        ("access", "refused", "website"),
        ("keys reloaded", "done", "the server"),
        ("keys reloaded", "failed", "the server"),
    }
    assert all("127.0.0.1" not in line["client"] for line in audited(audit)), "networks, not addresses"
    assert audit.stat().st_mode & 0o777 == 0o600
    for reason in ("unauthenticated", "forbidden", "too_many_requests"):
        assert served.metric("churn_access_refused_total", reason=reason) > 0


def test_nothing_that_was_said_is_secret_or_personal(
    served: Predictor, audit: Path, keys: Keys, issuer: Issuer, home: Settings
) -> None:
    """All that was written while the tests above asked, and while these do."""
    token = issuer.token()
    canaries: list[Reply] = [
        served.predict({**ANN, "spend": CANARY_SPEND, "customer_id": CANARY_ID}),
        served.predict({**ANN, "spend": 1e6 + CANARY_SPEND}),
        served.predict({**ANN, "plan": CANARY_TEXT}),
        served.predict({"customer_id": CANARY_ID}),
        served.predict({**ANN, CANARY_TEXT: 1}),
        served.send(PREDICT, b'{"instances": [{"plan": "' + CANARY_TEXT.encode()),
        served.send(f"/v1/models/{CANARY_TEXT}:predict", BODY),
        served.send(f"/{CANARY_ID}?id={CANARY_ID}", BODY),
        served.send(PREDICT, BODY, Authorization=f"Bearer {token}", Cookie=CANARY_TEXT, User_Agent=CANARY_TEXT),
        served.send(PREDICT, BODY, X_Request_Id=f"{CANARY_ID} {CANARY_TEXT}"),
        served.send("/v2/models/shop/infer", {"inputs": [{"name": CANARY_TEXT, "shape": [1], "datatype": "X"}]}),
    ]
    assert {reply.status for reply in canaries} >= {200, 400, 404, 422}
    assert {reply.status for reply in canaries if reply.status >= 500} == {503}, "there is no online store here"
    rpc(served, x_api_key=served.key, x_request_id="grpc-canary")
    served.wait_for(lambda: "grpc-canary" in served.said())
    said, lines = served.said() + audit.read_text(), served.lines()
    signature = token.rpartition(".")[2]
    secrets = [key.partition(".")[2] for key in keys.given]
    for canary in (CANARY_ID, str(CANARY_SPEND), CANARY_TEXT, "canary-subject", signature, "127.0.0.3", *secrets):
        assert canary not in said
    assert all(line.keys() >= {"time", "level", "logger"} for line in lines)
    requests = [line for line in lines if line["logger"] == "serving.request"]
    ids = [line["request_id"] for line in requests if line["request_id"] != "order-66"]
    assert len(ids) == len(set(ids)), "one line a request at most"
    for path in (*Path(home.home).glob("*.db*"), keys.file):
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in (*secrets, CANARY_ID)), path


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def test_tls_is_for_both_protocols_and_certificates_are_renewed(
    home: Settings, keys: Keys, website: str, authority: Authority, tmp_path: Path
) -> None:
    """On all addresses of the machine, as in a cluster: with keys that is allowed."""
    certificate, key = authority.issue(tmp_path)
    context = ssl.create_default_context(cadata=authority.pem.decode())
    with running(
        home.home,
        tmp_path / "log.txt",
        "--host",
        "0.0.0.0",
        key=website,
        tls=context,
        CHURN_API_KEYS=keys.file,
        CHURN_TLS_CERTIFICATE=certificate,
        CHURN_TLS_KEY=key,
    ) as served:
        served.wait_for(lambda: "serves at https://0.0.0.0" in served.said())
        reply = served.predict(ANN)
        assert reply.status == 200
        assert reply.headers["strict-transport-security"] == "max-age=31536000"
        assert outputs(_secure(served, authority.pem, x_api_key=website))["model_version"] == 1
        with pytest.raises(grpc.RpcError):
            rpc(served, x_api_key=website)
        with pytest.raises((OSError, http.client.HTTPException)):
            urllib.request.urlopen(f"http://127.0.0.1:{served.http_port}/v2/health/live", timeout=10)
        with pytest.raises(ssl.SSLError):
            ssl.get_server_certificate(("127.0.0.1", served.http_port), ca_certs=_pem(tmp_path, Authority("other")))
        _old_tls_is_refused(served)
        before = _shown(served, authority)
        authority.issue(tmp_path)
        served.wait_for(lambda: _shown(served, authority) != before)
        assert served.predict(ANN).status == 200
        assert outputs(_secure(served, authority.pem, x_api_key=website))["model_version"] == 1
        certificate.write_text("nonsense")
        served.wait_for(lambda: "what was read before stays in use" in served.said())
        assert served.predict(ANN).status == 200
        assert "PRIVATE" not in served.said()


def _secure(served: Predictor, root: bytes, **metadata: str) -> Any:
    credentials = grpc.ssl_channel_credentials(root)
    with grpc.secure_channel(f"127.0.0.1:{served.grpc_port}", credentials) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        sent = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        return stub.ModelInfer(infer_request(ANN), metadata=sent, timeout=30)


def _pem(folder: Path, authority: Authority) -> str:
    path = folder / "other.pem"
    path.write_bytes(authority.pem)
    return str(path)


def _shown(served: Predictor, authority: Authority) -> str:
    return ssl.get_server_certificate(("127.0.0.1", served.http_port), timeout=10)


def _old_tls_is_refused(served: Predictor) -> None:
    import socket
    import warnings

    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", served.http_port), timeout=10) as connection,
        pytest.raises(OSError, match=r"."),
    ):
        old.wrap_socket(connection)
