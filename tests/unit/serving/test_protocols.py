"""Whatever JSON or tensors come, there is an answer or a refusal, and never another exception."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from serving import v1, v2, v2_body
from serving.champion import Champion
from serving.documents import parse
from serving.errors import MalformedError, RequestError
from serving.stock import InferRequest
from tests import bundles

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["basic", "north", ""])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
FIELDS = st.sampled_from([*bundles.CUSTOMER, "customer_id", "visit", "gone", ""])
INSTANCES = st.lists(st.dictionaries(FIELDS, JSON), max_size=4)
QUIET = hypothesis(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUIET
@given(changes=INSTANCES)
def test_v1_answers_or_refuses_any_instances(shop: Champion, changes: list[dict[str, Any]]) -> None:
    rows = [{**bundles.CUSTOMER, **change} for change in changes]
    with suppress(RequestError):
        asked = v1.decode(parse(json.dumps({"instances": rows}).encode()))
        assert len(asked.render(shop.answer(asked))["predictions"]) == len(rows)


@QUIET
@given(document=JSON)
def test_v1_and_v2_refuse_any_other_document(document: Any) -> None:
    body = json.dumps(document).encode()
    with pytest.raises(MalformedError):
        v1.decode(parse(body))
    with pytest.raises(MalformedError):
        v2.decode(v2_body.read(body, None, "shop"))


@QUIET
@given(body=st.binary(), length=st.none() | st.text() | st.integers().map(str))
def test_v2_refuses_any_bytes(body: bytes, length: str | None) -> None:
    with pytest.raises(MalformedError):
        v2_body.read(body, length, "shop")


DATATYPES = st.sampled_from(["BOOL", "INT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "FP63"])
TENSORS = st.fixed_dictionaries(
    {
        "name": FIELDS,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | st.lists(st.integers()),
        "datatype": DATATYPES,
    },
    optional={
        "data": st.lists(JSON, max_size=3),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 9) | JSON}),
    },
)


@QUIET
@given(tensors=st.lists(TENSORS, max_size=3), tail=st.binary(max_size=20), outputs=st.lists(JSON, max_size=2))
def test_v2_answers_or_refuses_any_tensors(
    shop: Champion, tensors: list[dict[str, Any]], tail: bytes, outputs: list[Any]
) -> None:
    plain = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in bundles.CUSTOMER.items()
    ]
    named = {tensor["name"]: tensor for tensor in [*plain, *tensors]}
    head = json.dumps({"inputs": list(named.values()), "outputs": outputs}).encode()
    with suppress(RequestError):
        asked = v2.decode(v2_body.read(head + tail, str(len(head)), "shop"))
        asked.render(shop.answer(asked)).to_rest()


def test_a_request_of_kserves_own_making_is_understood(shop: Champion) -> None:
    body, _ = InferRequest("shop", [], request_id="1").to_rest()
    with pytest.raises(MalformedError, match="inputs is empty"):
        v2.decode(v2_body.read(json.dumps(body).encode(), None, "shop"))
