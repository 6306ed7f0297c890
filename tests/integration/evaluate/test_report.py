"""The page a manager reads: complete, safe, self-contained, whatever the evaluation holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from components.evaluate.evaluation import Candidate, Comparison, Evaluation, Spread
from components.evaluate.figures import figures
from components.evaluate.report import render
from tests.integration.evaluate.shop import Trained, contract_with

Judge = Callable[..., Evaluation]
Make = Callable[..., Trained]
VOID = {"meta", "br", "img", "link", "input"}
HARMLESS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "section",
    "h1",
    "h2",
    "p",
    "b",
    "ul",
    "li",
}
HARMLESS |= {"dl", "dt", "dd", "div", "span", "small", "code", "details", "summary"}
HARMLESS |= {"table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"}
HARMLESS |= {"svg", "line", "text", "polyline", "circle", "rect"}


class Page(HTMLParser):
    """Reads a page; fails on a tag that is not closed, or is not harmless."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in HARMLESS, tag
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in HARMLESS, tag
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def candidates() -> tuple[Candidate, ...]:
    cv = {"roc_auc": Spread(mean=0.88, std=0.01), "log_loss": Spread(mean=0.35, std=None)}
    return (
        Candidate(name="logistic", chosen=True, cv=cv),
        Candidate(name="lightgbm", note="left out: it needs libgomp1"),
    )


@pytest.fixture
def promoted(judge: Judge, honest: Trained, candidates: tuple[Candidate, ...]) -> Evaluation:
    return replace(judge(honest), candidates=candidates)


def test_it_tells_the_verdict_the_worth_and_every_check(promoted: Evaluation) -> None:
    page = Page(render(promoted)).words

    assert "Passed the gate" in page
    assert promoted.reason.removeprefix("promoted: ") in page
    assert f"{promoted.worth.model:,.0f}" in page
    assert f"{promoted.worth.everyone:,.0f} if everyone is contacted" in page
    for check in promoted.gate:
        assert check.note in page
    assert "0.880 ± 0.010" in page
    assert "left out: it needs libgomp1" in page
    for digest in (promoted.digest, promoted.contract, promoted.data.digest):
        assert digest in page


def test_it_tells_a_refusal_fault_by_fault_and_who_keeps_serving(
    judge: Judge, honest: Trained, worse: Trained, serve: Callable[[Trained], None]
) -> None:
    serve(honest)
    found = judge(worse)
    page = Page(render(found)).words

    assert "Refused by the gate" in page
    assert "✗ no" in page
    assert "Version 3 keeps serving." in page
    assert "Against version 3, which serves" in page
    assert found.comparison is not None
    assert f"{found.comparison.metrics['roc_auc']:.3f}" in page


def test_it_holds_no_script_and_fetches_nothing(promoted: Evaluation) -> None:
    html = render(promoted)
    page = Page(html)

    assert not re.search(r"https?:|url\(|@import|javascript:", html)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"src", "href", "style"}]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_names_and_categories_cannot_smuggle_in_markup(judge: Judge, make: Make, table: pa.Table) -> None:
    nasty = '<script>alert("&")</script>'
    contract = contract_with(columns={"region": {"type": "category", "categories": ["north", nasty]}})
    region = pa.array(np.where(table["region"].to_numpy() == "south", nasty, "north"))
    marked = table.set_column(table.column_names.index("region"), "region", region)
    found = judge(make(contract, marked))
    page = Page(render(replace(found, reason=f"promoted: {nasty}", candidate=nasty)))

    assert page.words.count(nasty) >= 3


def test_every_point_of_every_figure_lies_inside_it(promoted: Evaluation) -> None:
    for figure in figures(promoted):
        for line in figure.lines:
            for point in figure.path(line).split():
                x, y = (float(value) for value in point.split(","))
                assert figure.left <= x <= figure.width - figure.right
                assert figure.top <= y <= figure.height - figure.bottom
        for axis, place in ((figure.x, figure.px), (figure.y, figure.py)):
            assert 3 <= len(axis.ticks) <= 8
            assert all(0 <= place(tick) <= max(figure.width, figure.height) for tick in axis.ticks)


@pytest.mark.parametrize(
    "change",
    [
        {"candidates": ()},
        {"slices": ()},
        {"importance": (), "latency_ms": 8.1},
        {"comparison": Comparison(version=2, digest="e", candidate="c", obstacle="it reads column x")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_it_is_whole_where_a_part_is_missing(promoted: Evaluation, change: dict[str, object]) -> None:
    page = Page(render(replace(promoted, **change)))

    assert "Versions" in page.words


def test_a_model_that_contacts_nobody_is_shown_as_such(judge: Judge, make: Make) -> None:
    """A contact that costs more than it can bring: the threshold is 1, the profit 0, and everyone would be a loss."""
    found = judge(make(contract_with(costs={"contact": 90})))
    page = Page(render(found)).words

    assert found.worth.model == found.worth.contacted == 0
    assert found.worth.everyone < -50_000
    assert f"{found.worth.everyone:,.0f} if everyone is contacted" in page
