"""Sources on S3, the registry in PostgreSQL, and the process that all of this runs in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.settings import Settings
from feature_repo import names
from feature_repo.materialisation import Materialised, materialise
from feature_repo.online import Known, OnlineFeatures
from feature_repo.registration import apply
from feature_repo.training import training_set
from tests.integration.feature_repo.samples import DAY, NOW, contract, customer, entities, write_source
from tests.servers import S3Server, redis_server, s3_kind

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", [s3_kind()])
def test_sources_on_s3_are_joined_and_materialised(s3: S3Server, kind: str, tmp_path: Path) -> None:
    env = {"CHURN_HOME": str(tmp_path / "home"), "CHURN_OBJECTS": s3.make_bucket("sources") + "/deep"}
    settings = Settings.load(env | s3.environment)
    made = contract()
    local = write_source(made, tmp_path / "features", [customer("a", NOW, tenure=3, amount_y=8.0)])
    source = objects.open_store(settings).put_folder(Path(local), "features/0123456789ab/x/2026-01-01")
    assert source.startswith("s3://sources/deep/features/")

    apply(settings, made, source)
    joined = training_set(settings, made, entities(made, [("a", NOW)]), expected_source=source)
    assert joined.select(["tenure", "amount_y", "amount_by_month_y", "band"]).to_pylist() == [
        {"tenure": 3, "amount_y": 8.0, "amount_by_month_y": 2.0, "band": "new"}
    ]
    assert materialise(settings, made, NOW, source) == Materialised(written=1, kept=0)


def test_a_source_that_is_gone_is_named(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    source = write_source(made, tmp_path / "features", [customer("a", NOW)])
    apply(settings, made, source)
    Path(f"{source}/raw.parquet").unlink()
    with pytest.raises(UserError, match=r"raw\.parquet"):
        training_set(settings, made, entities(made, [("a", NOW)]))


def test_the_registry_may_lie_in_postgresql(postgres: str, tmp_path: Path) -> None:
    env = {"CHURN_HOME": str(tmp_path / "home"), "CHURN_FEAST_REGISTRY": postgres, "CHURN_ONLINE_STORE": postgres}
    settings = Settings.load(env)
    made = contract()
    with pytest.raises(UserError, match=r"\*\*\*@.*: the feature registry holds nothing of this contract"):
        training_set(settings, made, entities(made, [("a", NOW)]))
    source = write_source(made, tmp_path / "features", [customer("a", NOW - DAY, tenure=3)])
    apply(settings, made, source)
    apply(settings, made, source)
    assert training_set(settings, made, entities(made, [("a", NOW)]), source)["tenure"].to_pylist() == [3]
    assert materialise(settings, made, NOW, source) == Materialised(written=1, kept=0)
    (answer,) = OnlineFeatures(settings, made).read(["a"])
    assert isinstance(answer, Known)
    assert not (tmp_path / "home" / "feast").exists()


def test_a_redis_password_may_be_anything(tmp_path: Path) -> None:
    from redis import Redis

    made = contract()
    with redis_server() as url:
        Redis.from_url(url).config_set("requirepass", 'a,b="1')
        guarded = url.replace("://", "://:a%2Cb%3D%221@") + "/3"
        settings = Settings.load({"CHURN_HOME": str(tmp_path / "home"), "CHURN_ONLINE_STORE": guarded})
        apply(settings, made, write_source(made, tmp_path / "features", [customer("a", NOW)]))
        assert materialise(settings, made, NOW) == Materialised(written=1, kept=0)
        assert Redis.from_url(guarded).dbsize() == 1


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_nothing_is_said_on_either_stream(settings: Settings, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from churn.stores.settings import Settings
from feature_repo import materialisation, online, registration, training
from tests.integration.feature_repo.samples import NOW, contract, customer, entities, write_source
settings, made = Settings.load({"CHURN_HOME": sys.argv[1]}), contract()
registration.apply(settings, made, write_source(made, Path(sys.argv[2]), [customer("a", NOW)]))
training.training_set(settings, made, entities(made, [("a", NOW)]))
materialisation.materialise(settings, made, NOW)
online.OnlineFeatures(settings, made).read(["a"])
"""
    done = python(code, str(settings.home), str(tmp_path / "features"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_costs_nothing_until_it_is_used() -> None:
    code = """
import sys, warnings
from feature_repo import materialisation, names, online, registration, training
filters = list(warnings.filters)
assert not {"feast", "duckdb", "ibis", "pandas"} & set(sys.modules), sorted(sys.modules)
import feature_repo.quiet
assert "feast" in sys.modules and warnings.filters == filters
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_the_predictor_reads_without_an_offline_store(settings: Settings, tmp_path: Path) -> None:
    made = contract()
    apply(settings, made, write_source(made, tmp_path / "features", [customer("a", NOW, tenure=3)]))
    materialise(settings, made, NOW)
    (tmp_path / "contract.yaml").write_text(made.to_yaml())
    code = """
import sys
sys.modules |= {"duckdb": None, "ibis": None}
from churn.domain import contract
from churn.stores.settings import Settings
from feature_repo.online import OnlineFeatures
made = contract.parse(open(sys.argv[2]).read())
print(OnlineFeatures(Settings.load({"CHURN_HOME": sys.argv[1]}), made).read(["a"])[0].raw["tenure"])
"""
    done = python(code, str(settings.home), str(tmp_path / "contract.yaml"))
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert names.layout(made).project == "telco_mini"
