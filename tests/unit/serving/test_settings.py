from __future__ import annotations

from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.variables import VARIABLES
from serving.settings import MIB, ServingSettings
from tests import bundles


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return bundles.settings_of(tmp_path)


def test_without_variables_the_usual_holds(home: Settings) -> None:
    usual = ServingSettings.load({}, home)
    assert (usual.limits.batch, usual.limits.body_bytes, usual.limits.receive) == (10_000, 16 * MIB, 10.0)
    assert (usual.map_unknown, usual.durability, usual.said) == (False, "batched", "refused")
    assert usual.spool.is_relative_to(home.home)
    assert usual.log_key.is_relative_to(home.home)


def test_variables_take_the_place_of_the_usual(home: Settings, tmp_path: Path) -> None:
    given = ServingSettings.load(
        {
            "CHURN_BATCH_LIMIT": "5",
            "CHURN_BODY_LIMIT_MB": "2",
            "CHURN_UNKNOWN_CATEGORY": "other",
            "CHURN_DRAIN_SECONDS": "0",
            "CHURN_REQUEST_LOG": "all",
            "CHURN_LOG_DURABILITY": "durable",
            "CHURN_LOG_SPOOL": str(tmp_path / "s"),
            "CHURN_LOG_SPOOL_MB": "3",
        },
        home,
    )
    assert (given.limits.batch, given.limits.body_bytes, given.map_unknown, given.drain) == (5, 2 * MIB, True, 0)
    assert (given.said, given.durability, given.spool, given.spool_bytes) == ("all", "durable", tmp_path / "s", 3 * MIB)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("CHURN_BATCH_LIMIT", given) for given in ("0", "-1", "1.5", "many", "1000001", "9" * 50, "²")),
        *(("CHURN_BODY_LIMIT_MB", given) for given in ("0", "2048")),
        ("CHURN_RECEIVE_SECONDS", "0"),
        ("CHURN_ONLINE_DEADLINE_MS", "0.25"),
        *(("CHURN_DRAIN_SECONDS", given) for given in ("-1", "601")),
        ("CHURN_LOG_SPOOL_MB", "0"),
        ("CHURN_UNKNOWN_CATEGORY", "drop"),
        ("CHURN_REQUEST_LOG", "some"),
        ("CHURN_LOG_DURABILITY", "Durable"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_variable(home: Settings, name: str, given: str) -> None:
    with pytest.raises(UserError) as refused:
        ServingSettings.load({name: given}, home)
    assert refused.value.where == name
    assert refused.value.remedy.startswith("give ")


class Remembering(dict[str, str]):
    """An environment that knows what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(name)
        return default


def test_every_variable_is_listed_where_people_look_for_it(home: Settings) -> None:
    env = Remembering()
    ServingSettings.load(env, home)
    assert env.names <= set(VARIABLES)


@pytest.mark.parametrize("spool", ["/dev/null/spool", "/proc/spool"])
def test_a_spool_that_can_not_be_written_is_refused_where_answers_are_to_be_durable(home: Settings, spool: str) -> None:
    ServingSettings.load({"CHURN_LOG_SPOOL": spool}, home).require_spool()
    durable = ServingSettings.load({"CHURN_LOG_SPOOL": spool, "CHURN_LOG_DURABILITY": "durable"}, home)
    with pytest.raises(UserError, match=f"CHURN_LOG_SPOOL: {spool} cannot be written"):
        durable.require_spool()


def test_trying_a_spool_leaves_nothing_in_it(home: Settings, tmp_path: Path) -> None:
    env = {"CHURN_LOG_SPOOL": str(tmp_path / "new/spool"), "CHURN_LOG_DURABILITY": "durable"}
    ServingSettings.load(env, home).require_spool()
    assert list((tmp_path / "new/spool").iterdir()) == []
