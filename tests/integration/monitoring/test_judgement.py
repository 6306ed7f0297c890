"""From the log and the outcomes to a judgement, on both databases."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from churn.domain.bundle import PROVENANCE, Provenance
from churn.domain.drift.verdict import Bounds
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.traffic import Variant
from churn.stores.traffic_store import open_traffic
from components.files import read_json, write_json
from components.monitor_assemble.bounds import bounds
from components.monitor_assemble.facts import CONTRACT, Facts, Share
from components.monitor_assemble.step import Asked, assemble
from components.monitor_assemble.times import moment
from components.monitor_judge.report import Monitoring
from components.monitor_judge.step import judge
from tests.bundles import publish, put_in_charge, shop, write_bundle
from tests.integration.monitoring.conftest import files_of, inputs_of
from tests.monitored import AS_OF, DAY, Shop
from tests.servers import free_port

Watch = Callable[..., Monitoring]


def test_customers_like_those_of_the_training_are_quiet(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(1200, AS_OF)
    found = watch(open_shop)
    assert (found.drift.status, found.drift.reason) == ("quiet", "quiet: nothing has drifted")
    assert (found.drift.rows, found.drift.judged, found.facts.rows) == (1200, 1200, 1200)
    assert [one.name for one in found.drift.findings] == [*open_shop.contract.raw, "probability"]
    rating = next(one for one in found.drift.findings if one.name == "rating")
    assert 0 < rating.missing < 0.2
    assert 0 < rating.missing_before < 0.2


def test_a_column_that_moved_is_named_with_what_it_was_and_is(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(1200, AS_OF, shift=100.0)
    found = watch(open_shop)
    assert found.drift.status == "drifted"
    spend = found.drift.drifted[0]
    assert spend.name == "spend"
    assert spend.mean is not None
    assert spend.mean_before is not None
    assert 80 < spend.mean - spend.mean_before < 120
    assert found.reason.startswith("drifted: spend by 0.")


def test_an_empty_log_is_said_and_not_judged(open_shop: Shop, watch: Watch) -> None:
    found = watch(open_shop)
    assert (found.drift.status, found.drift.findings, found.periods) == ("unjudged", (), ())
    assert found.reason == "not judged: no prediction was logged since 2026-01-31"


def test_a_window_too_small_is_said_and_not_guessed(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(150, AS_OF, shift=300.0)
    found = watch(open_shop)
    assert (found.drift.status, found.drift.findings) == ("unjudged", ())
    assert found.reason == "not judged: the window has 150 rows, and 200 are needed"


def test_a_customer_who_asks_often_counts_once_with_the_newest_row(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF - 3 * DAY, shift=300.0)
    open_shop.log(300, AS_OF)
    found = watch(open_shop)
    assert (found.facts.rows, found.drift.judged, found.drift.status) == (600, 300, "quiet")


def test_rows_without_an_id_count_each(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF, named=False)
    found = watch(open_shop)
    assert (found.drift.judged, found.facts.nameless, found.periods) == (300, 300, ())


def test_what_a_clock_has_dated_later_than_now_waits_for_its_time(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF)
    open_shop.log(300, AS_OF + DAY, seed=9, shift=400.0)
    assert watch(open_shop).drift.status == "quiet"
    assert watch(open_shop).facts.rows == 300
    assert watch(open_shop, as_of=AS_OF + 2 * DAY).drift.status == "drifted"


def test_copies_and_another_versions_answers_are_no_part_of_the_champions_probabilities(
    open_shop: Shop, watch: Watch
) -> None:
    open_shop.log(600, AS_OF)
    open_shop.log(600, AS_OF, version=2, variant="challenger", shadow=True, probabilities=_sure(600))
    found = watch(open_shop)
    assert (found.facts.rows, found.drift.status) == (600, "quiet")
    assert found.facts.traffic == (Share(1, "champion", False, 600), Share(2, "challenger", True, 600))
    assert {(one.version, one.predictions) for one in found.periods} == {(1, 600), (2, 600)}


def test_a_prediction_of_too_few_rows_is_left_out_and_the_columns_are_judged(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(600, AS_OF, version=2, variant="challenger", probabilities=_sure(600))
    found = watch(open_shop)
    assert "probability" not in {one.name for one in found.drift.findings}
    assert (found.drift.status, found.facts.positive_rate) == ("quiet", None)


def test_probabilities_that_moved_alone_are_a_drift_of_the_prediction(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(600, AS_OF, probabilities=_sure(600))
    found = watch(open_shop)
    assert [one.part for one in found.drift.drifted] == ["prediction"]
    assert found.facts.positive_rate == 1.0
    assert found.facts.positive_rate_before < 0.9


def test_rows_of_another_contract_are_left_out_and_counted(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF)
    other = shop(description="another")
    open_shop.log(300, AS_OF - DAY, contract=other, named=False, shift=400.0)
    found = watch(open_shop)
    assert (found.facts.foreign, found.drift.judged, found.drift.status) == (300, 300, "quiet")


def test_a_predecessor_whose_bundle_is_gone_is_not_held_against_its_promotion(open_shop: Shop, watch: Watch) -> None:
    predecessor = open_traffic(open_shop.settings).read("shop")
    assert predecessor is not None
    publish(open_shop.settings, open_shop.contract, version=2, seed=3)
    objects.open_store(open_shop.settings).delete(predecessor.champion.bundle)
    open_shop.log(300, AS_OF, version=2)
    assert watch(open_shop).drift.status == "quiet"


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01", "1970-12-31", "2026-02-30"])
def test_what_is_no_time_of_a_run_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"'{text}'"):
        moment(text)


def test_a_large_log_is_sampled_and_again_the_same(open_shop: Shop, tmp_path: Path) -> None:
    for part in range(6):
        open_shop.log(8000, AS_OF - part * DAY, named=False)
    windows = []
    for name in ("first", "second"):
        facts = assemble(open_shop.settings, Asked("shop", AS_OF), files_of(tmp_path / name))
        windows.append(pq.read_table(files_of(tmp_path / name).window))
        assert facts.rows == 48_000
    assert windows[0] == windows[1]
    assert windows[0].num_rows == 20_000
    found = judge(inputs_of(tmp_path / "first"))
    assert (found.drift.judged, found.drift.status) == (10_000, "quiet")


def test_predictions_are_judged_when_their_horizon_has_passed(open_shop: Shop, watch: Watch) -> None:
    asked = AS_OF - 35 * DAY
    open_shop.log(400, asked)
    open_shop.log(400, AS_OF - DAY)
    left = {f"c{row}": asked + 5 * DAY if row % 4 == 0 else None for row in range(300)}
    open_shop.became(left, AS_OF)
    found = watch(open_shop)
    total, *weeks = found.periods
    assert (total.week, total.predictions, total.judged, total.pending, total.leavers) == (None, 800, 300, 500, 75)
    assert [(str(one.week), one.judged, one.pending) for one in weeks] == [
        ("2026-01-19", 300, 100), ("2026-02-23", 0, 400),
    ]  # fmt: skip
    assert weeks[1].auc is None
    assert total.auc is not None
    assert total.auc.low <= total.auc.value <= total.auc.high


def test_a_version_that_falls_short_of_what_it_was_promoted_for_is_worse(open_shop: Shop, tmp_path: Path) -> None:
    open_shop.log(400, AS_OF - 35 * DAY)
    open_shop.became({f"c{row}": AS_OF - 20 * DAY if row % 2 else None for row in range(400)}, AS_OF)
    facts = assemble(open_shop.settings, Asked("shop", AS_OF), files_of(tmp_path))
    for auc, worse in ((0.99, True), (0.4, False)):
        write_json(files_of(tmp_path).facts, replace(facts, promoted={1: {"roc_auc": auc}}))
        found = judge(inputs_of(tmp_path))
        assert (found.worse, "at promotion" in found.reason) == (worse, worse)
        assert [(one.measure, one.promoted) for one in found.standing] == [("auc", auc)]


def test_what_was_known_of_the_champion_at_its_promotion_goes_along(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "bundle")
        digest = write_bundle(folder, made.contract, seed=3)
        write_json(folder / PROVENANCE, Provenance("run", "2026-01-31T00:00:00"))
        address = objects.open_store(made.settings).put_folder(folder, f"bundles/{digest}")
    put_in_charge(made.settings, "shop", Variant(2, digest, address))
    facts = assemble(made.settings, Asked("shop", AS_OF), files_of(tmp_path))
    assert (facts.version, facts.promoted, facts.trained_to) == (2, {}, AS_OF - 30 * DAY)
    assert judge(inputs_of(tmp_path)).age_days == 30


def test_a_leaver_is_pending_too_until_the_horizon_has_passed(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF - 10 * DAY)
    open_shop.became({f"c{row}": AS_OF - 5 * DAY for row in range(300)}, AS_OF)
    assert (watch(open_shop).periods[0].judged, watch(open_shop).periods[0].pending) == (0, 300)


def test_an_outcome_that_changed_changes_the_judgement(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF - 40 * DAY)
    open_shop.became({f"c{row}": None for row in range(300)}, AS_OF - DAY)
    assert watch(open_shop).periods[0].leavers == 0
    open_shop.became({f"c{row}": AS_OF - 20 * DAY for row in range(10)}, AS_OF)
    assert watch(open_shop).periods[0].leavers == 10


def test_who_had_left_before_is_counted_apart_since_a_clock_may_be_wrong(open_shop: Shop, watch: Watch) -> None:
    open_shop.log(300, AS_OF - 40 * DAY)
    open_shop.became({"c0": AS_OF - 41 * DAY, "c1": None}, AS_OF)
    found = watch(open_shop)
    assert (found.facts.gone, found.periods[0].judged) == (1, 1)


def test_a_reference_of_another_contract_is_refused(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    made.log(300, AS_OF)
    assemble(made.settings, Asked("shop", AS_OF), files_of(tmp_path))
    reference = pq.read_table(files_of(tmp_path).reference)
    for digest in ("f" * 64, None):
        metadata = {CONTRACT: digest} if digest else None
        pq.write_table(reference.replace_schema_metadata(metadata), files_of(tmp_path).reference)
        with pytest.raises(UserError, match="the reference: is of"):
            judge(inputs_of(tmp_path))


def test_a_reference_that_is_too_small_is_said(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    made.log(300, AS_OF)
    assemble(made.settings, Asked("shop", AS_OF), files_of(tmp_path))
    reference = pq.read_table(files_of(tmp_path).reference)
    pq.write_table(reference.slice(0, 20), files_of(tmp_path).reference)
    assert judge(inputs_of(tmp_path)).reason == "not judged: the reference has 20 rows, and 200 are needed"


def test_no_key_and_no_pseudonym_leaves_the_store(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    made.log(300, AS_OF)
    assemble(made.settings, Asked("shop", AS_OF), files_of(tmp_path))
    for name in ("reference", "window", "predictions"):
        schema = pq.read_schema(tmp_path / f"{name}.parquet")
        assert not [field.name for field in schema if field.name in {"customer", "customer_id", "request_id", "record"}]
        assert not any(pa.types.is_binary(field.type) for field in schema)


def test_without_a_champion_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    with pytest.raises(UserError, match="has no champion"):
        assemble(made.settings, Asked("other", AS_OF), files_of(tmp_path))


def test_a_window_of_no_days_is_refused(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    with pytest.raises(UserError, match="0 days"):
        assemble(made.settings, Asked("shop", AS_OF, days=0), files_of(tmp_path))


def test_a_database_that_is_away_is_said_without_its_password(tmp_path: Path) -> None:
    import msgspec

    made = Shop.open(tmp_path / "home")
    away = f"postgresql://churn:secret@127.0.0.1:{free_port()}/churn"
    with pytest.raises(UserError) as refusal:
        assemble(msgspec.structs.replace(made.settings, database=away), Asked("shop", AS_OF), files_of(tmp_path))
    assert "secret" not in str(refusal.value)


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    made = Shop.open(tmp_path / "home")
    put_in_charge(made.settings, "shop", Variant(2, "e" * 64, f"{made.settings.objects}/bundles/{'e' * 64}"))
    with pytest.raises(UserError):
        assemble(made.settings, Asked("shop", AS_OF), files_of(tmp_path))


def test_the_bound_is_a_setting_that_goes_to_the_judge(open_shop: Shop, tmp_path: Path) -> None:
    open_shop.log(1200, AS_OF, shift=100.0)
    asked = Asked("shop", AS_OF, bounds=bounds({"CHURN_DRIFT_EFFECT": "0.6"}))
    assemble(open_shop.settings, asked, files_of(tmp_path))
    assert read_json(files_of(tmp_path).facts, Facts).bounds == Bounds(effect=0.6)
    assert judge(inputs_of(tmp_path)).drift.status == "quiet"


@pytest.mark.parametrize("given", ["0", "1", "-0.1", "much", "nan"])
def test_a_bound_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="CHURN_DRIFT_EFFECT"):
        bounds({"CHURN_DRIFT_EFFECT": given})


def test_the_age_of_the_model_is_unknown_where_nobody_wrote_it_down(open_shop: Shop, watch: Watch) -> None:
    assert watch(open_shop).age_days is None


def _sure(rows: int):
    import numpy as np

    return np.linspace(0.9, 0.99, rows)
