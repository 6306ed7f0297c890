"""A stand-in for Kubeflow Pipelines' API server, for tests: HTTP and JSON as in `/apis/v2beta1`, and its rules.

The real one needs a cluster (the custom resource of scheduled workflows, MySQL, an object store), so this one keeps
pipelines, versions, experiments and recurring runs in memory. It holds to what the server does (2.17): names of
pipelines, versions and experiments are given once, unknown ids are refused, a recurring run's cron, concurrency and
parameters are checked when it is created, and afterwards only enabled and disabled can change. It starts no run."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Answer = dict[str, Any]

_NUMBER = r"(\*|\?|[0-9]+|[a-z]{3})"
_CRON_FIELD = re.compile(rf"{_NUMBER}(-{_NUMBER})?(/[0-9]+)?(,{_NUMBER}(-{_NUMBER})?(/[0-9]+)?)*", re.IGNORECASE)
_PARAMETERS: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


class Refused(Exception):  # noqa: N818 - an answer, as such
    """What the server answers instead."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message


class Kfp:
    """The server's state, and what it was asked. `before` and `after` are told of each call, and may break it;
    `token` is the one to sign in with, and `page` is answered to everything."""

    def __init__(self) -> None:
        self.url = ""
        self.page_size = 2
        self.token = ""
        self.page = ""
        self.pipelines: dict[str, Answer] = {}
        self.versions: dict[str, Answer] = {}
        self.experiments: dict[str, Answer] = {}
        self.runs: dict[str, Answer] = {}
        self.calls: list[str] = []
        self.most_enabled = 0
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None
        self._clock = 0

    @property
    def changes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith("GET ")]

    def enabled(self) -> list[str]:
        return sorted(run["display_name"] for run in self.runs.values() if run["status"] == "ENABLED")

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, kind: str) -> Answer:
        """What the server answers; state has changed when it does."""
        rest = path.removeprefix("/apis/v2beta1/").split("/")
        match method, rest:
            case "GET", ["pipelines"]:
                return self._page("pipelines", self.pipelines, query)
            case "POST", ["pipelines"]:
                return self._create_pipeline(json.loads(body))
            case "GET", ["pipelines", pipeline, "versions"]:
                self._known(self.pipelines, pipeline)
                of_it = {key: one for key, one in self.versions.items() if one["pipeline_id"] == pipeline}
                return self._page("pipeline_versions", of_it, query)
            case "POST", ["pipelines", "upload_version"]:
                return self._upload_version(query, _uploaded(body, kind))
            case "GET", ["experiments"]:
                return self._page("experiments", self.experiments, query)
            case "POST", ["experiments"]:
                return self._create_experiment(json.loads(body))
            case "GET", ["recurringruns"]:
                return self._page("recurringRuns", self.runs, query)
            case "POST", ["recurringruns"]:
                return self._create_run(json.loads(body))
            case "POST", ["recurringruns", name] if ":" in name:
                return self._switch(*name.split(":"))
            case "DELETE", ["recurringruns", name]:
                self._known(self.runs, name)
                if query.get("propagation_policy") != "ORPHAN":
                    raise Refused(500, "a run that is under way would be killed")
                del self.runs[name]
                return {}
        raise Refused(404, "Not Found")

    def _create_pipeline(self, asked: Answer) -> Answer:
        if not asked.get("name"):
            raise Refused(400, "pipeline's name cannot be empty")
        return self._keep(self.pipelines, "pipeline_id", {"display_name": asked["name"], **asked})

    def _upload_version(self, query: dict[str, str], package: bytes) -> Answer:
        if query.get("pipelineid") not in self.pipelines:
            raise Refused(400, "Failed to create a pipeline version")
        spec = next(yaml.safe_load_all(package))
        if "pipelineInfo" not in spec:
            raise Refused(400, "Failed to create a pipeline version")
        named = {"name": query["name"], "display_name": query["name"], "pipeline_id": query["pipelineid"]}
        return self._keep(self.versions, "pipeline_version_id", {**named, "pipeline_spec": spec})

    def _create_experiment(self, asked: Answer) -> Answer:
        return self._keep(self.experiments, "experiment_id", {"storage_state": "AVAILABLE", **asked})

    def _keep(self, kept: dict[str, Answer], id_: str, one: Answer) -> Answer:
        """Under an id of its own; a name is given once (a version's within its pipeline)."""
        within = one.get("pipeline_id")
        others = [other for other in kept.values() if within in {None, other.get("pipeline_id")}]
        if one["display_name"] in {other["display_name"] for other in others}:
            raise Refused(409, f"The name {one['display_name']} already exists. Please specify a new name")
        key = str(uuid.uuid4())
        kept[key] = {**one, id_: key, "created_at": self._now()}
        return kept[key]

    def _create_run(self, asked: Answer) -> Answer:
        reference = asked["pipeline_version_reference"]
        self._known(self.experiments, asked["experiment_id"])
        self._known(self.pipelines, reference["pipeline_id"])
        version = self._known(self.versions, reference["pipeline_version_id"])
        cron = asked["trigger"]["cron_schedule"]["cron"].split()
        if not (5 <= len(cron) <= 6) or not all(_CRON_FIELD.fullmatch(field) for field in cron):
            raise Refused(400, "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron)")
        if not 1 <= int(asked.get("max_concurrency", 0)) <= 10:
            raise Refused(400, "Max concurrency of a recurring run must be at least 1 and at most 10")
        if len(asked.get("description", "")) > 255:
            raise Refused(500, "Data too long for column 'Description'")
        inputs = version["pipeline_spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
        _check_parameters(inputs, asked.get("runtime_config", {}).get("parameters", {}))
        status = "ENABLED" if asked.get("mode") == "ENABLE" else "DISABLED"
        key = str(uuid.uuid4())
        self.runs[key] = {**asked, "recurring_run_id": key, "status": status, "created_at": self._now()}
        self._count()
        return self.runs[key]

    def _switch(self, name: str, verb: str) -> Answer:
        run = self._known(self.runs, name)
        run["status"], run["mode"] = ("ENABLED", "ENABLE") if verb == "enable" else ("DISABLED", "DISABLE")
        self._count()
        return {}

    def _count(self) -> None:
        """The most recurring runs of one name that were ever enabled at once."""
        names = self.enabled()
        self.most_enabled = max([self.most_enabled, *(names.count(name) for name in names)])

    def _page(self, field: str, kept: dict[str, Answer], query: dict[str, str]) -> Answer:
        """A page, however many were asked for no longer than `page_size`, and the token of the next."""
        found = list(kept.values())
        if query.get("namespace"):
            found = [one for one in found if one.get("namespace") == query["namespace"]]
        for predicate in json.loads(query.get("filter") or '{"predicates": []}')["predicates"]:
            wanted = predicate.get("string_value") or predicate.get("stringValue")
            found = [one for one in found if one[predicate["key"]] == wanted]
        start = int(query.get("page_token") or 0)
        end = start + min(self.page_size, int(query.get("page_size") or 20))
        return {field: found[start:end], "next_page_token": str(end) if end < len(found) else ""}

    @staticmethod
    def _known(kept: dict[str, Answer], key: str) -> Answer:
        if key not in kept:
            raise Refused(404, f"{key} not found")
        return kept[key]

    def _now(self) -> str:
        self._clock += 1
        return f"2026-01-01T00:{self._clock // 60:02}:{self._clock % 60:02}Z"


def _check_parameters(inputs: Answer, given: Answer) -> None:
    for name, spec in inputs.items():
        if name not in given:
            if not spec.get("isOptional") and "defaultValue" not in spec:
                raise Refused(400, f"parameter {name} is not optional, yet has neither default value nor user value")
        elif not isinstance(given[name], _PARAMETERS[spec["parameterType"]]):
            raise Refused(400, f"input parameter {name} requires type {spec['parameterType']}")
    if extra := set(given) - set(inputs):
        raise Refused(400, f"parameter(s) provided are not required by pipeline: {', '.join(sorted(extra))}")


def _uploaded(body: bytes, kind: str) -> bytes:
    """The one file of a multipart form."""
    form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return next(part for part in form.get_payload()).get_payload(decode=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: in two, each answer would wait for the first's receipt
    kfp: Kfp

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = f"{self.command} {parts.path}"
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            self._check_token()
            self.kfp.before(call)
            self.kfp.calls.append(call)
            status, answer = 200, self.kfp.answer(self.command, parts.path, query, body, self.headers["Content-Type"])
            self.kfp.after(call)
        except Refused as error:
            status, answer = error.status, {"code": 3, "message": error.message, "details": []}
        except ConnectionError:
            self.close_connection = True
            return
        content = (self.kfp.page or json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _check_token(self) -> None:
        sent = self.headers.get("authorization")
        if self.kfp.token and sent != f"Bearer {self.kfp.token}":
            raise Refused(401, f"not signed in with {sent}")

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server calls


@contextmanager
def kfp_api() -> Iterator[Kfp]:
    """The stand-in, on a free port of this machine."""
    kfp = Kfp()
    handler = type("Handler", (_Handler,), {"kfp": kfp})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        kfp.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield kfp
        finally:
            server.shutdown()
            thread.join()
