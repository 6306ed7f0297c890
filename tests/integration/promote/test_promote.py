"""Promotion against a real registry, a real object store and the traffic document."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from churn.domain import bundle as bundles
from churn.domain.bundle import Provenance
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.errors import ConflictError
from churn.stores.registry import Registry
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Comparison, Evaluation
from components.promote.step import promote
from tests.bundles import settings_of, shop, write_bundle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "home").prepare()


class Candidate:
    """A bundle on disk with the run that logged it, and the gate's word on it."""

    def __init__(self, settings: Settings, folder: Path, seed: int) -> None:
        self.settings, self.folder = settings, folder
        self.digest = write_bundle(folder, shop(), seed)
        with Registry(settings).run("shop") as run:
            run.log_bundle(folder, self.digest, np.zeros((1, len(shop().raw))))
        self.provenance = Provenance(run.id, datetime.now(UTC).isoformat())

    def judged(self, *, passed: bool = True, digest: str = "", met: str = "") -> Evaluation:
        comparison = Comparison(version=1, digest=met, candidate="logistic") if met else None
        empty = {
            "type": "Evaluation",
            "passed": passed,
            "reason": "refused: too slow" if not passed else "promoted: better",
        }
        return _evaluation(empty | {"digest": digest or self.digest}, comparison)

    def promote(self, evaluation: Evaluation | None = None):
        return promote(self.settings, shop(), self.folder, evaluation or self.judged(), self.provenance)


def _evaluation(known: dict[str, object], comparison: Comparison | None) -> Evaluation:
    """An evaluation of which only the verdict matters here."""
    fields = {field.name: None for field in msgspec.structs.fields(Evaluation)}
    return Evaluation(**{**fields, "comparison": comparison, **{k: v for k, v in known.items() if k != "type"}})


@pytest.fixture
def first(settings: Settings, tmp_path: Path) -> Candidate:
    return Candidate(settings, tmp_path / "first", seed=1)


@pytest.fixture
def second(settings: Settings, tmp_path: Path) -> Candidate:
    return Candidate(settings, tmp_path / "second", seed=2)


def test_the_first_promotion_registers_publishes_and_puts_in_charge(first: Candidate) -> None:
    promoted = first.promote()
    document = open_traffic(first.settings).read("shop")
    assert document is not None
    assert (document.champion.version, document.champion.digest) == (1, first.digest)
    assert promoted.previous == 0
    published = objects.open_store(first.settings).fetch_folder(document.champion.bundle)
    assert bundles.load(published, first.digest).digest == first.digest
    assert (published / "evaluation.json").is_file()
    assert (published / "provenance.json").is_file()
    [info] = Registry(first.settings).versions("shop")
    assert info.aliases == ("champion",)


def test_the_predecessor_is_kept(first: Candidate, second: Candidate) -> None:
    first.promote()
    promoted = second.promote(second.judged(met=first.digest))
    assert (promoted.version, promoted.previous) == (2, 1)
    document = open_traffic(first.settings).read("shop")
    assert document is not None
    assert document.previous is not None
    assert document.previous.digest == first.digest


def test_what_the_gate_refused_is_refused(first: Candidate) -> None:
    with pytest.raises(UserError, match="too slow"):
        first.promote(first.judged(passed=False))
    assert open_traffic(first.settings).read("shop") is None
    assert Registry(first.settings).versions("shop") == []


def test_a_bundle_that_the_gate_never_saw_is_refused(first: Candidate) -> None:
    with pytest.raises(UserError, match="another bundle"):
        first.promote(first.judged(digest="0" * 64))


def test_a_bundle_that_changed_since_is_refused(first: Candidate) -> None:
    (first.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.onnx"):
        first.promote()


def test_a_promotion_repeated_changes_nothing(first: Candidate) -> None:
    once = first.promote()
    document = open_traffic(first.settings).read("shop")
    assert first.promote() == once
    assert open_traffic(first.settings).read("shop") == document
    assert len(Registry(first.settings).versions("shop")) == 1


def test_a_model_compared_with_yesterdays_champion_is_not_promoted(first: Candidate, second: Candidate) -> None:
    first.promote()
    with pytest.raises(ConflictError, match="another promotion was faster"):
        second.promote(second.judged())
    document = open_traffic(first.settings).read("shop")
    assert document is not None
    assert document.champion.digest == first.digest


RACE = """
import sys
from pathlib import Path
from tests.integration.promote.test_promote import Candidate
from tests.bundles import settings_of
settings = settings_of(Path(sys.argv[1])).prepare()
candidate = Candidate(settings, Path(sys.argv[2]), int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
try:
    candidate.promote()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(3)
print("promoted")
"""


def test_of_two_promotions_at_once_one_wins_and_the_other_says_so(tmp_path: Path) -> None:
    home = settings_of(tmp_path / "home").prepare().home
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(home), str(tmp_path / str(seed)), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n", racer.stderr and racer.stderr.read()
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=120)[0] for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 3], said
    assert any("ConflictError" in text for text in said), said
    assert open_traffic(settings_of(home)).read("shop") is not None
