from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.access.admission import Access
from serving.call import Call
from serving.errors import ForbiddenError, UnavailableError, UnknownModelError
from serving.repository import Repository
from tests.unit.serving.conftest import run


class Administered:
    """A repository whose reloads are counted, and its audit."""

    def __init__(self, folder: Path) -> None:
        self._audit = folder / "audit"
        self.access = Access.load({"CHURN_AUDIT_FILE": str(self._audit)})
        self.reloads = 0
        self.broken = False
        self.repository = Repository("shop", self._reload, self.access)
        self.call = Call("repository", "request-1", peer="10.1.2.3", caller=self.access._callers.of_address("10.1.2.3"))

    async def _reload(self) -> None:
        self.reloads += 1
        if self.broken:
            raise UnavailableError("what the traffic document names cannot be loaded")

    def audited(self) -> list[Any]:
        lines = [json.loads(line) for line in self._audit.read_text().splitlines()]
        return [(line["audit"], line["outcome"]) for line in lines]


@pytest.fixture
def administered(tmp_path: Path) -> Iterator[Administered]:
    made = Administered(tmp_path)
    yield made
    made.access.close()


def test_load_reads_the_document_and_is_written_down(administered: Administered) -> None:
    run(administered.repository.load("shop", administered.call))
    assert (administered.reloads, administered.audited()) == (1, [("load", "done")])


def test_a_load_that_fails_is_written_down_as_such(administered: Administered) -> None:
    administered.broken = True
    with pytest.raises(UnavailableError):
        run(administered.repository.load("shop", administered.call))
    assert administered.audited() == [("load", "failed")]


def test_unload_is_refused_and_written_down(administered: Administered) -> None:
    with pytest.raises(ForbiddenError, match="decided by a promotion"):
        administered.repository.unload("shop", administered.call)
    assert administered.audited() == [("unload", "refused")]


def test_another_model_is_not_known(administered: Administered) -> None:
    with pytest.raises(UnknownModelError):
        run(administered.repository.load("garage", administered.call))
    with pytest.raises(UnknownModelError):
        administered.repository.unload("garage", administered.call)
    assert administered.reloads == 0
    assert administered.audited() == [("load", "failed"), ("unload", "refused")]
