"""The same promises of every online store: SQLite, Redis, PostgreSQL, the real ones."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from churn.domain.contract import Contract
from churn.domain.derivation import Derivation
from churn.domain.encoding import decode, encode
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from feature_repo import names, store
from feature_repo.materialisation import Materialised, materialise
from feature_repo.online import Known, OnlineFeatures, Stale, Unknown
from feature_repo.registration import apply
from feature_repo.training import training_set
from tests.integration.feature_repo.samples import (
    DAY,
    EXACT,
    NOW,
    Customer,
    contract,
    customer,
    entities,
    raw_table,
    rewrite_raw,
    write_source,
)

Run = Callable[..., Materialised]
Start = Callable[..., subprocess.Popen[str]]
BLANK = dict.fromkeys(contract().raw)


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    env = {"CHURN_HOME": str(tmp_path / "home")}
    if request.param != "sqlite":
        env["CHURN_ONLINE_STORE"] = request.getfixturevalue(request.param)
    return Settings.load(env)


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Contract:
    """A contract of its own for each test: servers outlive tests."""
    return contract(name=f"m{abs(hash(request.node.name)):x}")


@pytest.fixture
def run(made: Contract, tmp_path: Path) -> Run:
    """One run: a source of these customers, registered and materialised."""

    def run(settings: Settings, customers: list[Customer], as_of: object = NOW) -> Materialised:
        source = write_source(made, tmp_path / f"run{len(list(tmp_path.glob('run*')))}", customers)
        apply(settings, made, source)
        return materialise(settings, made, as_of, source)  # type: ignore[arg-type]

    return run


def test_values_come_back_as_they_were(online: Settings, made: Contract, run: Run) -> None:
    values = {"tenure": 3, "balance": EXACT - 1, "amount_y": 0.1 + 0.2, "rn": -7, "plan": "extra großes"}
    assert run(online, [customer("é 1 / '\"", NOW, **values)]) == Materialised(written=1, kept=0)
    (answer,) = OnlineFeatures(online, made).read(["é 1 / '\""])
    assert answer == Known(NOW, values)
    assert {name: type(value) for name, value in values.items()} == {
        name: type(value) for name, value in answer.raw.items()
    }


def test_an_unknown_customer_is_not_a_blank_one(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("blank", NOW)])
    features = OnlineFeatures(online, made)
    assert features.read(["nobody", "blank", "nobody"]) == [Unknown(), Known(NOW, BLANK), Unknown()]
    assert features.read([]) == []


def test_a_customer_of_another_contract_is_unknown(online: Settings, made: Contract, run: Run, tmp_path: Path) -> None:
    other = contract(name=made.name, ttl=46)
    run(online, [customer("a", NOW)])
    apply(online, other, write_source(other, tmp_path / "other", [customer("b", NOW)]))
    materialise(online, other, NOW)
    assert OnlineFeatures(online, made).read(["a", "b"]) == [Known(NOW, BLANK), Unknown()]


def test_values_older_than_the_ttl_are_not_served(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("old", NOW - 46 * DAY, tenure=1), customer("new", NOW, tenure=2)])
    features = OnlineFeatures(online, made)
    old, new = features.read(["old", "new"])
    assert old == Stale(NOW - 46 * DAY)
    assert isinstance(new, Known)
    assert isinstance(features.read(["new"], now=NOW + 45 * DAY)[0], Known)
    assert features.read(["new"], now=NOW + 45 * DAY + timedelta(seconds=1)) == [Stale(NOW)]


def test_the_latest_row_before_the_date_is_materialised(online: Settings, made: Contract, run: Run) -> None:
    rows = [customer("a", NOW - days * DAY, tenure=days) for days in (3, 1, 2, 0)]
    assert run(online, rows, as_of=NOW - DAY) == Materialised(written=1, kept=0)
    assert OnlineFeatures(online, made).read(["a"]) == [Known(NOW - DAY, BLANK | {"tenure": 1})]


def test_older_values_never_replace_newer_ones(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("a", NOW, tenure=9), customer("b", NOW - 3 * DAY, tenure=9)])
    older = [customer(id_, NOW - DAY, tenure=1) for id_ in "abc"]
    assert run(online, older) == Materialised(written=2, kept=1)
    tenures = [answer.raw["tenure"] for answer in OnlineFeatures(online, made).read(list("abc"))]  # type: ignore[union-attr]
    assert tenures == [9, 1, 1]


def test_a_value_is_corrected_at_the_same_timestamp(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("a", NOW, tenure=1, plan="basic")])
    run(online, [customer("a", NOW, tenure=2)])
    assert OnlineFeatures(online, made).read(["a"]) == [Known(NOW, BLANK | {"tenure": 2})]


def test_a_value_changed_in_feast_changes_the_answer(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("a", NOW - DAY, tenure=1)])
    changed = raw_table(made, [customer("a", NOW, tenure=5, amount_y=2.5)])
    renamed = changed.rename_columns([names.field(name) for name in changed.column_names])
    frame = renamed.to_pandas(types_mapper=pd.ArrowDtype)
    store.open_online(online, names.project(made)).write_to_online_store(names.raw_view(made), frame)
    assert OnlineFeatures(online, made).read(["a"]) == [Known(NOW, BLANK | {"tenure": 5, "amount_y": 2.5})]


def test_feast_itself_serves_the_view(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("a", NOW, tenure=7, balance=EXACT - 1)])
    opened = store.open_online(online, names.project(made))
    view = names.raw_view(made)
    wanted = [f"{view}:tenure", f"{view}:balance", f"{view}:plan"]
    served = opened.get_online_features(wanted, [{"customer_id": "a"}]).to_dict()
    assert served == {"customer_id": ["a"], "tenure": [7], "balance": [EXACT - 1], "plan": [None]}
    assert opened.get_feature_view(view).state.name == "AVAILABLE_ONLINE"


def test_training_serving_and_derivation_agree_to_the_bit(online: Settings, made: Contract, run: Run) -> None:
    plans = ["basic", None, "it's all"]
    rows = [
        customer(f"c{n}", NOW, plan=plans[n % 3], amount_y=n / 7 if n % 5 else None, balance=EXACT - n)
        | ({"tenure": n % 40} if n % 11 else {})
        for n in range(1_000)
    ]
    run(online, rows)
    ids = [row["customer_id"] for row in rows]
    training = training_set(online, made, entities(made, [(id_, NOW) for id_ in ids]))
    answers = OnlineFeatures(online, made).read(ids)
    served = raw_table(made, [{"customer_id": id_} | a.raw for id_, a in zip(ids, answers, strict=True)])  # type: ignore[union-attr]
    derived = decode(made, Derivation(made).run(encode(made, served)), made.features)
    assert derived.combine_chunks().equals(training.select(made.features).combine_chunks())


def test_without_the_registry_nothing_is_materialised_or_read(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("a", NOW)])
    Path(online.feast_registry).unlink()
    with pytest.raises(UserError, match="registry holds nothing of this contract"):
        materialise(online, made, NOW)
    with pytest.raises(UserError, match="registry holds nothing of this contract"):
        OnlineFeatures(online, made)
    assert not Path(online.feast_registry).exists()


def test_an_integer_that_a_model_cannot_hold_is_not_materialised(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    source = write_source(made, tmp_path / "features", [customer("a", NOW)])
    rewrite_raw(source, "balance", pa.array([EXACT + 1]))
    apply(settings, made, source)
    with pytest.raises(UserError, match="column balance: holds integers beyond"):
        materialise(settings, made, NOW)
    assert OnlineFeatures(settings, made).read(["a"]) == [Unknown()]


def test_threads_share_one_handle(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer(f"c{n}", NOW, tenure=n) for n in range(50)])
    features = OnlineFeatures(online, made)

    def read(n: int) -> bool:
        first, second = features.read([f"c{n % 50}", f"c{(n + 1) % 50}"])
        return (first, second) == (
            Known(NOW, BLANK | {"tenure": n % 50}),
            Known(NOW, BLANK | {"tenure": (n + 1) % 50}),
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(400)))


def test_a_bundle_carries_where_its_values_lie(online: Settings, made: Contract, run: Run) -> None:
    run(online, [customer("a", NOW, tenure=1)])
    other = contract(name="renamed")
    assert OnlineFeatures(online, other, names.layout(made)).read(["a"]) == [Known(NOW, BLANK | {"tenure": 1})]
    with pytest.raises(UserError, match="registry holds nothing of this contract"):
        OnlineFeatures(online, other, names.Layout(project=names.project(made), view="raw_000000000000"))


def test_integer_keys_are_read_from_numbers_and_from_text(settings: Settings, tmp_path: Path) -> None:
    made = contract(key="integer")
    apply(settings, made, write_source(made, tmp_path / "features", [customer(2**60 + 1, NOW, tenure=1)]))
    materialise(settings, made, NOW)
    features = OnlineFeatures(settings, made)
    known = Known(NOW, BLANK | {"tenure": 1})
    assert features.read([2**60 + 1, str(2**60 + 1), 2**60, "-3"]) == [known, known, Unknown(), Unknown()]
    for bad in ("abc", "1.0", "", "٣", str(2**63)):
        with pytest.raises(UserError, match="customer_id"):
            features.read([bad])


def test_a_reader_that_lost_its_connection_connects_anew(
    made: Contract, run: Run, postgres: str, tmp_path: Path
) -> None:
    import psycopg2

    settings = Settings.load({"CHURN_HOME": str(tmp_path / "home"), "CHURN_ONLINE_STORE": postgres})
    run(settings, [customer("a", NOW)])
    features = OnlineFeatures(settings, made)
    assert features.read(["a"]) == [Known(NOW, BLANK)]
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'churn'"
        )
    with pytest.raises(Exception, match=r"terminating connection|closed"):
        features.read(["a"])
    assert features.read(["a"]) == [Known(NOW, BLANK)]


MATERIALISE = """
import sys
from churn.domain import contract
from churn.stores.settings import Settings
from datetime import datetime
from feature_repo.materialisation import materialise
made = contract.parse(open(sys.argv[1]).read())
print(materialise(Settings.load(), made, datetime.fromisoformat(sys.argv[2])))
"""


@pytest.fixture
def started(settings: Settings, made: Contract, tmp_path: Path) -> Start:
    """Starts a process that materialises 12,000 customers, each with a row of today and of yesterday."""
    rows = [customer(f"c{n}", NOW - age * DAY, tenure=n % 70 + age) for n in range(12_000) for age in (0, 1)]
    apply(settings, made, write_source(made, tmp_path / "features", rows))
    (tmp_path / "contract.yaml").write_text(made.to_yaml())

    def start(age: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", MATERIALISE, str(tmp_path / "contract.yaml"), (NOW - age * DAY).isoformat()]
        environment = os.environ | {"CHURN_HOME": str(settings.home)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    return start


def written(settings: Settings, made: Contract) -> int:
    with sqlite3.connect(settings.home / "feast" / "online.db") as connection:
        table = f"{names.project(made)}_{names.raw_view(made)}"
        return int(connection.execute(f'SELECT count(DISTINCT entity_key) FROM "{table}"').fetchone()[0])


def test_a_materialisation_that_was_killed_leaves_the_view_in_use(
    settings: Settings, made: Contract, started: Start
) -> None:
    process = started()
    while not written(settings, made):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    done = written(settings, made)
    assert 0 < done < 12_000
    assert done % 1_000 == 0
    answers = OnlineFeatures(settings, made).read([f"c{n}" for n in range(12_000)])
    assert sum(isinstance(answer, Known) for answer in answers) == done
    assert all(isinstance(answer, Unknown) or len(answer.raw) == 5 for answer in answers)  # type: ignore[union-attr]
    assert training_set(settings, made, entities(made, [("c5", NOW)]))["tenure"].to_pylist() == [5]
    assert materialise(settings, made, NOW) == Materialised(written=12_000, kept=0)
    assert written(settings, made) == 12_000


def test_readers_do_not_wait_for_who_writes(settings: Settings, made: Contract, run: Run) -> None:
    run(settings, [customer("a", NOW)])
    features = OnlineFeatures(settings, made)
    with closing(sqlite3.connect(settings.home / "feast" / "online.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert features.read(["a"]) == [Known(NOW, BLANK)]


def test_two_materialisations_at_once_keep_the_newer_values(settings: Settings, made: Contract, started: Start) -> None:
    processes = [started(age) for age in (0, 1)]
    told = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert told[0] == "Materialised(written=12000, kept=0)\n"
    ids = [f"c{n}" for n in range(12_000)]
    expected = [Known(NOW, BLANK | {"tenure": n % 70}) for n in range(12_000)]
    assert OnlineFeatures(settings, made).read(ids) == expected
