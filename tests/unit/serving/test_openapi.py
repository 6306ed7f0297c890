"""The description of requests says what the check takes, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import assume, event, given, settings
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from churn.domain import contract as contracts
from churn.domain.contract import Column, Contract
from serving import openapi, v1, v2_body
from serving.asked import Options
from serving.checking import check
from serving.fields import CUSTOMER_ID, id_names
from serving.openapi import commands, examples
from serving.openapi.answers import SAID, structures
from serving.openapi.document import document
from serving.openapi.fields import customer, key, tensors
from serving.v1 import Instances
from serving.v2 import Tensors
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import answers, asked
from tests.unit.serving.test_plain import tables

TELCO = contracts.load(Path(__file__).parents[3] / "feature_repo/contracts/telco.yaml")


@pytest.fixture(scope="module")
def described(shop: Version) -> Any:
    return json.loads(openapi.render("shop", shop))


def nodes(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
    for part in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from nodes(part)


def found_at(document: Any, pointer: str) -> Any:
    for part in pointer.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/")]
    return document


def valid(of: Contract, schema: dict[str, Any], instance: Any) -> bool:
    whole = {**schema, "components": {"schemas": {"CustomerId": key(of)}}}
    return bool(Draft202012Validator(whole).is_valid(instance))


def accepted(of: Contract, instance: dict[str, Any]) -> bool:
    return not check(of, Instances([instance])).failures


def test_every_pointer_leads_somewhere(described: Any) -> None:
    pointers = {node["$ref"] for node in nodes(described) if "$ref" in node}
    assert pointers
    for pointer in pointers:
        assert found_at(described, pointer)


def test_every_schema_is_one(described: Any) -> None:
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_nothing_is_described_that_nobody_points_at(described: Any) -> None:
    pointers = {node["$ref"] for node in nodes(described) if "$ref" in node}
    for kind in ("schemas", "responses", "headers"):
        unused = {name for name in described["components"][kind] if f"#/components/{kind}/{name}" not in pointers}
        assert {name for name in unused if name[-3:] not in ("404", "405", "409", "501")} == set()


def test_operations_have_names_of_their_own(described: Any) -> None:
    named = [one["operationId"] for methods in described["paths"].values() for one in methods.values()]
    assert sorted(set(named)) == sorted(named)


def test_the_same_version_is_described_once_and_the_same_bundle_in_the_same_bytes(
    trained: Callable[..., Version], shop: Version
) -> None:
    assert openapi.render("shop", shop) is openapi.render("shop", shop)
    assert openapi.page("shop", shop) is openapi.page("shop", shop)
    other = trained()
    assert other is not shop
    assert openapi.render("shop", other) == openapi.render("shop", shop)


def test_what_is_said_of_fields_is_said_of_fields_that_there_are() -> None:
    known = structures()
    for name, fields in SAID.items():
        assert set(fields) <= set(known[name]["properties"])
    assert set(SAID["Options"]) == set(Options.__struct_fields__)


def test_bodies_have_the_fields_that_are_read(described: Any) -> None:
    for name, kind in (("Instances", v1.Body), ("PartialInstances", v1.Body), ("Tensors", v2_body.Body)):
        assert set(described["components"]["schemas"][name]["properties"]) == set(kind.__struct_fields__)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(tables())
def test_a_customer_is_valid_where_the_check_takes_him(table: tuple[Contract, list[dict[str, Any]]]) -> None:
    of, (row, *_) = table
    for name, value in row.items():
        if isinstance(value, str):
            assume(value == value.strip())  # the check does not mind blanks; a schema had better not say so
        if isinstance(value, float):  # JSON Schema takes 0.0 for 0 and for an integer; the check is stricter
            assume(abs(value) < 2**53)
            assume(not value.is_integer() or (name in of.columns and of.columns[name].type != "category"))
        if isinstance(value, int):
            assume(value.bit_length() < 1024)
            assume(name in of.columns or not str(value).startswith("-") or value > -(2**63))
    assume(digits_alone(of, row))
    taken = accepted(of, row)
    event("taken" if taken else "refused")
    assert valid(of, customer(of), row) == taken


def digits_alone(of: Contract, row: dict[str, Any]) -> bool:
    """Whether an integer id in text has the form that is described; the check knows some more, such as 1e3."""
    if of.key is None or of.key.type != "integer":
        return True
    given = [row[name] for name in id_names(of) if isinstance(row.get(name), str)]
    return all(re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not re.search(r"[0-9]", text) for text in given)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (bundles.CUSTOMER, True),
        ({CUSTOMER_ID: "ann"}, True),
        ({CUSTOMER_ID: "ann", "visits": 3}, True),
        ({CUSTOMER_ID: 7}, True),
        ({CUSTOMER_ID: " "}, False),
        ({CUSTOMER_ID: True}, False),
        ({}, False),
        ({**bundles.CUSTOMER, "plan": 1}, True),
        ({**bundles.CUSTOMER, "plan": "1"}, True),
        ({**bundles.CUSTOMER, "plan": "2"}, False),
        ({**bundles.CUSTOMER, "plan": None}, False),
        ({**bundles.CUSTOMER, "region": None}, True),
        ({**bundles.CUSTOMER, "region": "NA"}, True),
        ({**bundles.CUSTOMER, "discount": None}, True),
        ({**bundles.CUSTOMER, "visits": 500.0}, True),
        ({**bundles.CUSTOMER, "visits": 501}, False),
        ({**bundles.CUSTOMER, "visits": 1.5}, False),
        ({**bundles.CUSTOMER, "visit": 1}, False),
    ],
)
def test_customers_of_the_shop(row: dict[str, Any], expected: bool) -> None:
    of = bundles.shop()
    assert (valid(of, customer(of), row), accepted(of, row)) == (expected, expected)


def test_units_ranges_and_words_come_from_the_contract() -> None:
    tenure = customer(TELCO)["properties"]["tenure"]
    assert (tenure["type"], tenure["minimum"], tenure["maximum"], tenure["x-unit"]) == ("integer", 0, 120, "months")
    assert tenure["description"] == "how long the customer has been with the company; in months"
    senior = customer(TELCO)["properties"]["senior_citizen"]["anyOf"]
    assert senior == [
        {"type": "string", "enum": ["No", "Yes"]},
        {"description": "Other spellings.", "enum": ["0", "1", 0, 1]},
    ]


def test_both_names_of_an_id_are_not_given_at_once() -> None:
    of = bundles.shop(key=contracts.Key("account", type="integer"))
    assert valid(of, customer(of), {"account": 5})
    assert valid(of, customer(of), {CUSTOMER_ID: "5"})
    assert not valid(of, customer(of), {"account": 5, CUSTOMER_ID: 5})
    assert not valid(of, customer(of), {"account": "ann"})


def test_a_contract_that_requires_nothing_takes_nothing() -> None:
    of = bundles.shop(columns={"rating": Column("number", nullable=True)}, derived={})
    assert valid(of, customer(of), {})
    assert accepted(of, {})


def test_tensors_are_described_by_their_names(described: Any) -> None:
    schema = described["components"]["schemas"]["Tensors"]
    whole = Draft202012Validator({**schema, "components": described["components"]})
    good = {"name": "visits", "datatype": "INT64", "shape": [2, 1], "data": [[3], [4]]}
    assert whole.is_valid({"inputs": [good], "parameters": {"explain": True, "binary_data_output": True}})
    for changes in ({"name": "visit"}, {"datatype": "BYTES"}, {"shape": [0]}, {"shape": [2, 2]}, {"data": ["3"]}):
        assert not whole.is_valid({"inputs": [{**good, **changes}]})
    assert [one["title"] for one in tensors(bundles.shop())] == [CUSTOMER_ID, *bundles.shop().raw]


@pytest.mark.parametrize("estimator", ["logistic", "xgboost"])
def test_real_answers_are_as_described(trained: Callable[..., Version], estimator: str) -> None:
    version = trained(estimator=estimator)
    whole = document("shop", version)["components"]
    rows = [{**bundles.CUSTOMER, CUSTOMER_ID: "ann"}, bundles.CUSTOMER, {"plan": "gold"}]
    found = answers(version, asked(*rows, explain=True, partial=True))
    for name, rendered in (("Predictions", v1.render(found)), ("Explanations", v1.render_explanations(found))):
        schema = {"$ref": f"#/components/schemas/{name}", "components": whole}
        jsonschema.validate(json.loads(msgspec.json.encode(rendered)), schema, Draft202012Validator)


@pytest.mark.parametrize("make", [examples.predictions, examples.explanations, examples.inferences])
def test_examples_are_valid_and_taken(shop: Version, described: Any, make: Callable[[Version], Any]) -> None:
    name = "Tensors" if make is examples.inferences else "Instances"
    names = ["Tensors"] if name == "Tensors" else ["Instances", "PartialInstances"]
    ways = [{"$ref": f"#/components/schemas/{one}"} for one in names]
    schema = {"anyOf": ways, "components": described["components"]}
    shown = make(shop)
    assert len(shown) >= 2
    for key_of, one in shown.items():
        content = msgspec.json.encode(one["value"])
        whole = key_of != "partial"  # of two customers, the other one
        assert Draft202012Validator(schema).is_valid(one["value"])
        read: Instances | Tensors = v2_body.read(content, None, "shop") if name == "Tensors" else v1.read(content)
        assert (not check(shop.contract, read).failures) == whole


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(version: Version) -> Tags:
    tags = Tags()
    tags.feed(openapi.page("shop", version))
    return tags


def test_nothing_on_the_page_runs_or_comes_from_elsewhere(shop: Version) -> None:
    tags = read_page(shop)
    assert not tags.names & {"script", "link", "img", "iframe", "object", "form"}
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("src", "style")]
    assert all(str(value).startswith(("#", "/")) for name, value in tags.attributes if name == "href")
    assert "@import" not in tags.text
    assert "url(" not in tags.text


def test_the_page_names_every_field_code_and_address(shop: Version, described: Any) -> None:
    said = read_page(shop).text
    codes = described["components"]["schemas"]["Refusal"]["properties"]["code"]["enum"]
    for name in [*shop.contract.raw, *codes, *described["paths"], CUSTOMER_ID, "contributions"]:
        assert name in said


def test_what_a_contract_says_is_no_html(trained: Callable[..., Version]) -> None:
    of = bundles.shop(description="<script>alert(1)</script>")
    of = replace(of, columns={**of.columns, "rating": Column("number", description="<b>&", nullable=True)})
    page = openapi.page("shop", trained(of))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize("value", [{}, [], {"a": [1, {"b": "x" * 200}], "c": {"d": ["y" * 120] * 3}}, "it's", 1e300])
def test_json_for_people_is_json(value: Any) -> None:
    assert json.loads(commands.laid_out(value)) == value
