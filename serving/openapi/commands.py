"""Examples that can be pasted into a shell: the server's answer to each is the one that it gives to everybody."""

from __future__ import annotations

import json
from typing import Any

from churn.domain.contract import Contract
from serving.info import INPUTS
from serving.launch import GRPC_PORT, HOST, HTTP_PORT
from serving.openapi import examples
from serving.version import Version

_WIDE = 100

SETUP = f"""\
SERVER=http://{HOST}:{HTTP_PORT}
export GRPC_SERVER={HOST}:{GRPC_PORT}
export KEY=            # an API key, where the server wants one
CUSTOMER={examples.ID}          # somebody whom your online store knows"""

_CONTENTS = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP64": "fp64_contents"}


def predict(model: str, version: Version) -> str:
    """One customer by features, v1."""
    one, *_ = examples.customers(version)
    return _curl(f"/v1/models/{model}:predict", {"instances": [one]})


def by_id(model: str, version: Version) -> str:
    """One customer by id, v1."""
    quote = '"' if isinstance(examples.key(version.contract), str) else ""
    body = json.dumps({"instances": [{examples.id_name(version.contract): "@"}]}).replace(
        '"@"', f"{quote}$CUSTOMER{quote}"
    )
    return _command(f"/v1/models/{model}:predict", '"' + body.replace('"', '\\"') + '"')


def explain(model: str, version: Version) -> str:
    """One customer with reasons, v1."""
    one, *_ = examples.customers(version)
    return _curl(f"/v1/models/{model}:explain", {"instances": [one], "parameters": {"top": 2}})


def partial(model: str, version: Version) -> str:
    """Two customers, one of them with a fault."""
    one, other, *_ = examples.customers(version)
    body = {"instances": [one, examples.incomplete(version.contract, other)], "parameters": {"partial": True}}
    return _curl(f"/v1/models/{model}:predict", body)


def infer(model: str, version: Version) -> str:
    """Two customers as tensors."""
    one, other, *_ = examples.customers(version)
    body = {"inputs": examples.tensors(version.contract, [one, other]), "parameters": {"explain": True, "top": 1}}
    return _curl(f"/v2/models/{model}/infer", body)


def grpc(model: str, version: Version) -> str:
    """One customer over gRPC, in Python."""
    one, *_ = examples.customers(version)
    lines = [f"    ({name!r}, {datatype!r}, [{value!r}])," for name, datatype, value in _typed(version.contract, one)]
    return "\n".join(
        [
            "import os",
            "",
            "import grpc",
            "from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb",
            "from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub",
            "",
            f"CONTENTS = {_CONTENTS!r}",
            f"request = pb.ModelInferRequest(model_name={model!r})",
            "for name, datatype, values in [",
            *lines,
            "]:",
            "    tensor = request.inputs.add(name=name, datatype=datatype, shape=[len(values)])",
            "    getattr(tensor.contents, CONTENTS[datatype]).extend(values)",
            'request.parameters["explain"].bool_param = True',
            'with grpc.insecure_channel(os.environ["GRPC_SERVER"]) as channel:',
            '    key = [("x-api-key", os.environ.get("KEY", ""))]',
            "    answer = GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=key)",
            "for output in answer.outputs:",
            "    print(output.name, output.shape, output.contents)",
        ]
    )


def laid_out(document: Any) -> str:
    """JSON as people write it: short parts in a line, long ones in several."""
    return _laid_out(document, 0)


def _typed(contract: Contract, customer: examples.Customer) -> list[tuple[str, str, Any]]:
    found = []
    for name, value in customer.items():
        if value is not None:  # typed contents hold no null; what may be null may be left out
            datatype = INPUTS[contract.columns[name].type]
            found.append((name, datatype, value.encode() if isinstance(value, str) else value))
    return found


def _curl(path: str, body: Any) -> str:
    return _command(path, "'" + laid_out(body).replace("'", "'\\''") + "'")


def _command(path: str, body: str) -> str:
    headers = "-H 'Content-Type: application/json' -H \"X-API-Key: $KEY\""
    return f'curl -s "$SERVER{path}" \\\n  {headers} \\\n  -d {body}'


def _laid_out(value: Any, depth: int) -> str:
    short = json.dumps(value, ensure_ascii=False)
    inner, outer = "  " * (depth + 1), "  " * depth
    if len(short) + len(outer) <= _WIDE or not isinstance(value, dict | list):
        return short
    if isinstance(value, list):
        parts = [_laid_out(one, depth + 1) for one in value]
        return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}]"
    lines: list[str] = []
    for name, one in value.items():
        part = f"{json.dumps(name, ensure_ascii=False)}: {_laid_out(one, depth + 1)}"
        joins = lines and "\n" not in part and "\n" not in lines[-1]
        if joins and len(inner) + len(lines[-1]) + len(part) + 2 <= _WIDE:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return "{\n" + ",\n".join(inner + line for line in lines) + f"\n{outer}}}"
