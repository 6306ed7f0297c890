"""The page for people: one document, nothing in it runs, and nothing comes from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec
import numpy as np

from churn.domain import bundle as bundles
from churn.domain.contract import Contract
from serving import v1
from serving.answers import Answers, fill, judge
from serving.asked import Options
from serving.fields import id_names
from serving.openapi import commands, paths, predictions, refusals
from serving.openapi.answers import SAID, structures
from serving.openapi.fields import needed_without_id, spelled
from serving.openapi.style import STYLE
from serving.outputs import ERROR, EXPLAINED, OUTPUTS
from serving.version import Version

_PARTS = {
    "fields": "Fields",
    "ask": "Ask",
    "answer": "Answer",
    "tensors": "Tensors",
    "errors": "Errors",
    "addresses": "Addresses",
}


def page(model: str, version: Version) -> str:
    """HTML. Blocks: it holds an answer of the model itself."""
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in _PARTS.items())
    sections = (
        _fields(version.contract),
        _ask(model, version),
        _answer(),
        _tensors(),
        _errors(),
        _addresses(model, version),
    )
    body = "".join(
        f'<section id="{name}"><h2>{title}</h2>{content}</section>'
        for (name, title), content in zip(_PARTS.items(), sections, strict=True)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(model)} {version.variant.version}</title><style>{STYLE}</style></head><body>"
        f"<header><div>{_head(model, version)}</div></header><nav><div>{links}</div></nav>"
        f"<main>{body}{_foot(version)}</main></body></html>"
    )


def _head(model: str, version: Version) -> str:
    manifest, contract = version.bundle.manifest, version.contract
    facts = {
        "Version": str(version.variant.version),
        "Horizon": f"{contract.target.horizon_days} days" if contract.target.horizon_days else "",
        "Acts from": f"{manifest.threshold:.3g}",
        "High risk from": f"{manifest.risk[1]:.3g}",
        "Reasons": "exact" if version.explainer.exact else "approximate",
        "Estimator": manifest.estimator.rpartition(".")[2],
        "Trained as of": version.trained_as_of or "",
    }
    shown = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items() if value)
    said = contract.description or "Customers, and who of them leaves."
    return f"<h1>{escape(model)}</h1><p>{escape(said)}</p><dl>{shown}</dl>"


def _fields(contract: Contract) -> str:
    needed, ids = needed_without_id(contract), id_names(contract)
    rows = [
        (
            _code(name) + _small(column.label),
            escape(column.type + (f", {column.unit}" if column.unit else "")),
            _allowed(contract, name),
            '<span class="need">required</span>' if name in needed else '<span class="null">may be null</span>',
            escape(column.description),
        )
        for name, column in contract.columns.items()
    ]
    named = " or ".join(_code(name) for name in ids)
    return (
        f"<p>A customer comes by id ({named}), by all fields that are required, or by id with fresh values for some of "
        "the fields. What is not known may be null, or left out.</p>"
        + _table(("Field", "Type", "Values", "", "Meaning"), rows)
    )


def _allowed(contract: Contract, name: str) -> str:
    column = contract.columns[name]
    if column.type == "category":
        labels = ", ".join(_code(label) for label in column.categories)
        others = ", ".join(f"{_code(text)} for {_code(meant)}" for text, meant in spelled(column).items())
        return labels + _small(f"also {others}" if others else "", ready=True)
    low, high = column.range or (None, None)
    if low is not None and high is not None:
        return f"{low:,.15g} to {high:,.15g}"
    return f"from {low:,.15g}" if low is not None else f"up to {high:,.15g}" if high is not None else "any"


def _ask(model: str, version: Version) -> str:
    explained = v1.render_explanations(_example(model, version))
    parts = [
        ("", "Once, in a shell:", commands.SETUP),
        ("By features", "", commands.predict(model, version)),
        (
            "By id",
            "The other fields come from the online store; each that is given takes precedence.",
            commands.by_id(model, version),
        ),
        ("With reasons", "", commands.explain(model, version)),
    ]
    shown = "".join(_block(*part) for part in parts)
    told = commands.laid_out(msgspec.json.decode(msgspec.json.encode(explained)))
    more = [
        (
            "Who can be answered",
            "With <code>partial</code>, a customer with a fault does not spoil the others.",
            commands.partial(model, version),
        ),
        ("Tensors", "The open inference protocol: v2, as JSON.", commands.infer(model, version)),
        ("gRPC", "In Python; <code>pip install kserve grpcio</code>.", commands.grpc(model, version)),
    ]
    return f'{shown}<pre class="answer">{escape(told)}</pre>' + "".join(_block(*part) for part in more)


def _answer() -> str:
    known = structures()
    rows = []
    for name, said in known["Answer"]["properties"].items():
        words = SAID["Answer"].get(name, {})
        kind = said.get("type") or (
            "object" if "$ref" in said else "string or integer" if "anyOf" in said else "string"
        )
        choice = ", ".join(_code(str(one)) for one in said.get("enum", []))
        rows.append((_code(name), escape(kind), escape(words.get("description", "")) or choice))
    asked = [
        (_code(name), escape(str(said.get("type", "number"))), escape(SAID["Options"][name]["description"]))
        for name, said in known["Options"]["properties"].items()
    ]
    return (
        f"<p>One for each customer, in order.</p>{_table(('Field', 'Type', 'Meaning'), rows)}"
        f"<h3>Parameters of a request</h3>{_table(('Parameter', 'Type', 'Meaning'), asked)}"
    )


def _tensors() -> str:
    shapes = {"contributions": "[n, columns]", "reasons": "[n, top]", "reason_columns": "[n, top]"}
    rows = [(_code(name), escape(kind), shapes.get(name, "[n]"), "") for name, kind in OUTPUTS.items()]
    rows += [(_code(name), escape(kind), shapes.get(name, "[n]"), "with explain") for name, kind in EXPLAINED.items()]
    rows.append((_code(ERROR), "BYTES", "[n]", "with partial"))
    return (
        "<p>v2 has the same answers as named output tensors, in JSON, in binary and over gRPC. One input tensor for "
        "each field: texts are <code>BYTES</code>, numbers of any integer or float datatype that holds them.</p>"
        + _table(("Output", "Datatype", "Shape", ""), rows)
    )


def _errors() -> str:
    grpc = refusals.grpc_codes()
    rows = [
        (_code(code), str(status), escape(grpc.get(code, "")), escape(meaning))
        for code, (status, meaning) in refusals.known().items()
    ]
    form = '{"error": {"code": "…", "message": "…", "details": [{"path": "instances[3].…", "problem": "…"}]}}'
    return (
        f"<p>Every fault of a request is told, with its place. On v2 paths <code>error</code> is a text, with "
        f"<code>code</code> and <code>details</code> beside it.</p><pre>{escape(form)}</pre>"
        + _table(("Code", "HTTP", "gRPC", "Meaning"), rows)
    )


def _addresses(model: str, version: Version) -> str:
    there = predictions.paths(model, version) | paths.paths(model)
    rows = [
        (f"{method.upper()} {_code(path)}", escape(one["summary"]))
        for path, methods in there.items()
        for method, one in methods.items()
    ]
    return _table(("Address", "Meaning"), rows)


def _foot(version: Version) -> str:
    manifest = version.bundle.manifest
    return (
        f"<footer>Bundle <code>{version.bundle.digest}</code>, contract <code>{manifest.contract}</code>. "
        'For programs: <a href="/openapi.json">/openapi.json</a>.</footer>'
    )


def _example(model: str, version: Version) -> Answers:
    """What the model says of its bundle's first row, with reasons."""
    content = (version.bundle.folder / "example.json").read_bytes()
    row = msgspec.json.decode(content, type=bundles.Example).columns[:1]
    columns = np.array([[np.nan if value is None else value for value in one] for one in row], np.float64)
    options, answers = Options(explain=True, top=2), Answers.empty(1, model, None)
    fill(answers, judge(version, "champion", range(1), columns, options), options)
    return answers


def _block(title: str, said: str, content: str) -> str:
    heading = f"<h3>{title}</h3>" if title else ""
    return f"{heading}{f'<p>{said}</p>' if said else ''}<pre>{escape(content)}</pre>"


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{_name(name)}>{cell}</td>" for name, cell in zip(names, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _name(name: str) -> str:
    """What stands before a cell where the head of the table does not: not before what speaks for itself."""
    return f' data-name="{name}"' if name in ("Type", "Values", "HTTP", "gRPC", "Datatype", "Shape") else ""


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _small(text: str, *, ready: bool = False) -> str:
    return f"<br><small>{text if ready else escape(text)}</small>" if text else ""
