"""Who meets the challenger, what it answers, and that nobody is worse off for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from msgspec import UNSET

from churn.domain import partition
from churn.domain.contract import Column
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.records import Logged
from serving import v1, v2_body
from serving.answering import SHADOWS, Answering
from serving.answers import Answers
from serving.errors import InvalidValuesError
from serving.lineup import SPLIT_SALT, Lineup, place
from serving.settings import Log
from serving.v2 import Tensors
from serving.version import INLINE, Version
from tests import bundles
from tests.unit.serving.conftest import answering, answers, asked, call, predictions, run

ANN = bundles.CUSTOMER
PEOPLE = [f"customer-{number}" for number in range(10_000)]


@pytest.fixture(scope="session")
def split(shop: Version, trained: Callable[..., Version]) -> Lineup:
    """A line-up of two versions, each with half of the customers."""
    return Lineup(shop, trained(version=2, seed=1), share=0.5)


def known(key: str, **changes: object) -> dict[str, object]:
    return {"customer_id": key, **ANN, **changes}


def meets(lineup: Lineup, keys: list[str]) -> set[str]:
    return {keys[row] for row in lineup.meets_challenger(keys)}


def test_the_share_of_customers_who_meet_the_challenger_is_near_what_is_asked(split: Lineup) -> None:
    for share in (0.01, 0.1, 0.5, 0.9):
        found = len(meets(replace(split, share=share), PEOPLE)) / len(PEOPLE)
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / len(PEOPLE)) ** 0.5)
    assert meets(replace(split, share=0.0), PEOPLE) == set()
    assert meets(replace(split, share=1.0), PEOPLE) == set(PEOPLE)


def test_a_customer_who_meets_the_challenger_does_so_again_and_with_every_larger_share(split: Lineup) -> None:
    smaller, larger = replace(split, share=0.2), replace(split, share=0.3)
    assert meets(smaller, PEOPLE) == meets(smaller, PEOPLE[::-1])
    assert meets(smaller, PEOPLE) < meets(larger, PEOPLE)


def test_the_split_is_the_hash_of_the_design_and_independent_of_the_hold_out() -> None:
    own = np.array([place(key) for key in PEOPLE])
    np.testing.assert_array_equal(own, partition.unit_hash(pa.array(PEOPLE), SPLIT_SALT))
    held_out = partition.unit_hash(pa.array(PEOPLE), partition.HOLDOUT_SALT)
    assert abs(np.corrcoef(own, held_out)[0, 1]) < 0.05
    assert place(7) == place("7")


def test_customers_without_an_id_meet_the_champion(split: Lineup) -> None:
    everybody = replace(split, share=1.0)
    assert everybody.meets_challenger(None) == []
    assert everybody.meets_challenger([UNSET, "ann", UNSET]) == [1]
    assert [one.variant for one in predictions(everybody, ANN, known("ann"))] == ["champion", "challenger"]


@pytest.mark.parametrize("count", [40, INLINE + 100])
def test_a_mixed_batch_keeps_its_order_and_names_each_answers_version(split: Lineup, count: int) -> None:
    rows = [known(key, visits=1 + number % 40) for number, key in enumerate(PEOPLE[:count])]
    found = predictions(split, *rows)
    by_role = {
        "champion": predictions(Lineup(split.champion), *rows),
        "challenger": predictions(Lineup(split.challenger), *rows),
    }
    challenged = meets(split, PEOPLE[:count])
    assert 0 < len(challenged) < count
    for number, (row, one) in enumerate(zip(rows, found, strict=True)):
        role = "challenger" if row["customer_id"] in challenged else "champion"
        assert (one.customer_id, one.variant) == (row["customer_id"], role)
        assert one.model_version == {"champion": 1, "challenger": 2}[role]
        assert one.probability == pytest.approx(by_role[role][number].probability, abs=1e-6)
        assert (
            abs(one.probability - by_role[{"champion": "challenger"}.get(role, "champion")][number].probability) > 1e-6
        )


def test_a_mixed_batch_of_tensors_says_no_single_version(split: Lineup) -> None:
    rows = [known(key) for key in PEOPLE[:20]]
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    tensors = [
        {"name": n, "shape": [20], "datatype": kinds[type(rows[0][n])], "data": [row[n] for row in rows]}
        for n in rows[0]
    ]
    what: Tensors = v2_body.read(msgspec.json.encode({"inputs": tensors}), None, "shop")
    found = answers(split, what)
    document = msgspec.json.decode(v2_body.render(found, what)[0])
    outputs = {one["name"]: one["data"] for one in document["outputs"]}
    assert set(outputs["model_version"]) == {1, 2}
    assert "model_version" not in document
    assert outputs["variant"] == found.variant
    assert found.one_variant == "mixed"


def test_one_bad_customer_spoils_neither_variants_answers(split: Lineup) -> None:
    rows = [
        known(key, **({"visits": 0} if number == 3 else {"plan": "gold"} if number == 4 else {}))
        for number, key in enumerate(PEOPLE[:20])
    ]
    found = predictions(split, *rows, partial=True)
    assert [place for place, one in enumerate(found) if isinstance(one, v1.Unanswered)] == [3, 4]
    assert {one.variant for one in found if isinstance(one, v1.Answer)} <= {"champion", "challenger"}
    with pytest.raises(InvalidValuesError) as refused:
        predictions(split, *rows)
    assert [fault.path for fault in refused.value.details] == ["instances[3]", "instances[4].plan"]


def wider() -> dict[str, Column]:
    """The shop's columns, and one that a customer must bring."""
    return {"tickets": Column("integer", range=(0, 99)), **bundles.shop().columns}


def test_a_challenger_of_another_contract_reads_the_request_its_own_way(
    shop: Version, trained: Callable[..., Version]
) -> None:
    other_order = dict(reversed(bundles.shop().columns.items()))
    challenger = trained(bundles.shop(columns=other_order, derived={}), version=2, seed=1)
    found = predictions(Lineup(shop, challenger, share=1.0), known("ann"), ANN, known("bob", visits=30))
    assert [one.variant for one in found] == ["challenger", "champion", "challenger"]
    alone = predictions(challenger, ANN, {**ANN, "visits": 30})
    assert [found[0].probability, found[2].probability] == [one.probability for one in alone]
    assert found[1].probability == predictions(shop, ANN)[0].probability


def test_a_field_that_only_the_champion_knows_is_no_fault_of_the_caller(
    shop: Version, trained: Callable[..., Version]
) -> None:
    narrow = {name: one for name, one in bundles.shop().columns.items() if name != "discount"}
    lineup = Lineup(shop, trained(bundles.shop(columns=narrow), version=3), share=1.0)
    assert [one.variant for one in predictions(lineup, known("ann"))] == ["champion"]


def test_customers_whom_the_challenger_cannot_answer_are_answered_by_the_champion(
    shop: Version, trained: Callable[..., Version]
) -> None:
    """It needs a column that nobody sends, and no online store has."""
    lineup = Lineup(shop, trained(bundles.shop(columns=wider()), version=2), share=0.5)
    rows = [known(key) for key in PEOPLE[:20]]
    found = predictions(lineup, *rows)
    assert [one.variant for one in found] == ["champion"] * 20
    assert found == predictions(shop, *rows)


def test_a_formula_that_only_the_challenger_cannot_compute_leaves_the_customer_to_the_champion(
    trained: Callable[..., Version],
) -> None:
    lineup = Lineup(trained(bundles.shop(derived={}), version=4), trained(version=2, seed=1), share=1.0)
    fine, odd = predictions(lineup, known("ann"), known("bob", visits=0))
    assert {fine.variant, odd.variant} <= {"champion", "challenger"}
    assert odd.variant == "champion"


@dataclass
class Kept:
    """A log in memory."""

    records: list[Logged] = field(default_factory=list)

    def append(self, record: Logged) -> None:
        self.records.append(record)


def shadowing(lineup: Lineup, log: Kept) -> Answering:
    return answering(replace(lineup, mode="shadow", share=1.0), Log(log, Pseudonyms(b"k" * 32)))


async def answered(by: Answering, *rows: dict[str, object]) -> Answers:
    found = await by.answer(asked(*rows), call())
    await by.settle()
    return found


def test_a_shadow_is_scored_and_logged_and_never_answered(split: Lineup) -> None:
    log = Kept()
    found = run(answered(shadowing(split, log), known("ann"), ANN, known("bob")))
    assert found.variant == ["champion"] * 3
    assert found.version == [1] * 3
    champion, shadow = log.records
    assert (champion.variant, champion.version, champion.shadow, champion.rows) == ("champion", 1, False, 3)
    assert (shadow.variant, shadow.version, shadow.shadow, shadow.rows) == ("challenger", 2, True, 2)
    assert shadow.request_id == champion.request_id
    assert shadow.customers == [champion.customers[0], champion.customers[2]]
    alone = predictions(Lineup(split.challenger), known("ann"), known("bob"))
    assert np.frombuffer(shadow.probabilities).tolist() == pytest.approx([one.probability for one in alone], abs=1e-6)


def test_a_shadow_that_breaks_harms_nobody_and_says_nothing_of_the_customer(
    split: Lineup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary-4411")

    monkeypatch.setattr(split.challenger.scorer, "probability", broken)
    log = Kept()
    with caplog.at_level(logging.WARNING):
        found = run(answered(shadowing(split, log), known("canary-4411")))
    assert found.variant == ["champion"]
    assert len(log.records) == 1
    assert "shadow failed: RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_customers_of_a_challenger_that_is_broken_are_answered_by_the_champion(
    split: Lineup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary-4411")

    monkeypatch.setattr(split.challenger.scorer, "probability", broken)
    by = answering(replace(split, share=1.0))
    for _ in range(3):
        found = run(by.answer(asked(known("canary-4411"), ANN), call()))
        assert found.variant == ["champion"] * 2
    assert caplog.text.count("the challenger failed: RuntimeError (version 2; said once)") == 1
    assert "canary" not in caplog.text
    assert failures(by, "split") == 3


def failures(by: Answering, kind: str) -> float:
    return float(by._recorder._metrics.challenger_failures.labels(kind)._value.get())


def test_shadows_beyond_a_hundred_are_left_out_and_those_at_work_end_with_the_server(
    split: Lineup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: object) -> None:
        await asyncio.sleep(3600)

    by = shadowing(split, Kept())
    monkeypatch.setattr(by, "_asked_challenger", endless)

    async def ask() -> None:
        for _ in range(SHADOWS + 5):
            assert (await by.answer(asked(known("ann")), call())).variant == ["champion"]
        assert len(by._shadows) == SHADOWS
        assert failures(by, "dropped") == 5
        at_work = list(by._shadows)
        await by.settle(0.01)
        await asyncio.sleep(0)
        assert all(one.cancelled() for one in at_work)

    run(ask())
    assert failures(by, "dropped") == SHADOWS + 5


def test_a_request_keeps_the_line_up_it_began_with(split: Lineup, monkeypatch: pytest.MonkeyPatch) -> None:
    by = answering(Lineup(split.champion))
    resolve = Version.resolve

    async def switched_meanwhile(self: Version, what: object) -> object:
        by.lineup = Lineup(split.challenger)
        return await resolve(self, what)

    monkeypatch.setattr(Version, "resolve", switched_meanwhile)
    first = run(by.answer(asked(known("ann"), known("bob")), call()))
    assert (set(first.version), by.lineup.champion.variant.version) == ({1}, 2)
    assert set(run(by.answer(asked(known("ann")), call())).version) == {2}


def test_the_challengers_share_is_changed_from_one_request_to_the_next(split: Lineup) -> None:
    by = answering(Lineup(split.champion))
    variants = []
    for share in (0.0, 1.0, 0.0):
        by.lineup = replace(split, share=share)
        variants += run(by.answer(asked(known("ann")), call())).variant
    assert variants == ["champion", "challenger", "champion"]
