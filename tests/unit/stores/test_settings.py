from __future__ import annotations

from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from churn.domain.errors import UserError
from churn.stores.settings import S3Access, Settings

SECRET = "hunter2"


def test_everything_lies_under_the_home_by_default(tmp_path: Path) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path)})

    assert settings.home == tmp_path
    assert settings.objects == f"{tmp_path}/objects"
    assert settings.traffic == f"{tmp_path}/traffic"
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert settings.mlflow_artifacts == f"{tmp_path}/mlflow/artifacts"
    assert settings.feast_registry == f"{tmp_path}/feast/registry.db"
    assert settings.online_store == f"sqlite:///{tmp_path}/feast/online.db"
    assert settings.database == f"sqlite:///{tmp_path}/churn.db"
    assert settings.statement_timeout == 600


def test_the_home_is_dot_churn_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert Settings.load({}).home == tmp_path / ".churn"


def test_relative_places_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = Settings.load({"CHURN_OBJECTS": "here", "CHURN_DATABASE": "sqlite:///own.db"})

    assert settings.objects == f"{tmp_path}/here"
    assert settings.database == f"sqlite:///{tmp_path}/own.db"


def test_stores_elsewhere_are_taken_as_given() -> None:
    settings = Settings.load(
        {
            "CHURN_OBJECTS": "s3://bucket/prefix/",
            "CHURN_TRAFFIC": "s3://bucket",
            "CHURN_MLFLOW_URI": "https://mlflow.example:5000",
            "CHURN_FEAST_REGISTRY": "postgres://feast@db/feast",
            "CHURN_ONLINE_STORE": "redis://cache:6379",
            "CHURN_DATABASE": "postgres://churn:pw@db/churn",
        }
    )

    assert settings.objects == "s3://bucket/prefix"
    assert settings.traffic == "s3://bucket"
    assert settings.mlflow_uri == "https://mlflow.example:5000"
    assert settings.mlflow_artifacts == "", "a tracking server decides where its files lie"
    assert settings.feast_registry == "postgresql://feast@db/feast"
    assert settings.online_store == "redis://cache:6379"
    assert settings.database == "postgresql://churn:pw@db/churn"


def test_an_empty_variable_counts_as_absent(tmp_path: Path) -> None:
    assert Settings.load({"CHURN_HOME": str(tmp_path), "CHURN_OBJECTS": ""}).objects == f"{tmp_path}/objects"


def test_a_child_process_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load({"CHURN_OBJECTS": "s3://bucket", "CHURN_STATEMENT_TIMEOUT": "7.5"})
    server = Settings.load({"CHURN_MLFLOW_URI": "http://mlflow"})

    monkeypatch.chdir("/")

    assert Settings.load(settings.environment()) == settings
    assert Settings.load(server.environment()) == server


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CHURN_HOME", "s3://bucket/home", "plain path"),
        ("CHURN_OBJECTS", "gs://bucket", "plain path"),
        ("CHURN_OBJECTS", "s3://", "s3://bucket/prefix"),
        ("CHURN_TRAFFIC", "s3://B_UCKET/x", "s3://bucket/prefix"),
        ("CHURN_DATABASE", "oracle://db", "sqlite://, postgresql://"),
        ("CHURN_DATABASE", "churn.db", "sqlite://, postgresql://"),
        ("CHURN_DATABASE", "postgresql://user:pw@host:port/db", "port"),
        ("CHURN_DATABASE", "postgresql://user:p@ss/w@host/db", "percent-encode"),
        ("CHURN_ONLINE_STORE", "memcached://x", "redis://"),
        ("CHURN_MLFLOW_URI", "ftp://x", "http://"),
        ("CHURN_FEAST_REGISTRY", "redis://x", "postgresql://"),
        ("CHURN_STATEMENT_TIMEOUT", "soon", "seconds"),
        ("CHURN_STATEMENT_TIMEOUT", "-1", "seconds"),
        ("CHURN_STATEMENT_TIMEOUT", "inf", "seconds"),
        ("AWS_ENDPOINT_URL", "minio:9000", "http://host:port"),
        ("AWS_ENDPOINT_URL", "http://minio/path", "http://host:port"),
        ("AWS_ENDPOINT_URL", "http://minio:http", "port"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(name: str, value: str, says: str) -> None:
    with pytest.raises(UserError, match=name) as caught:
        Settings.load({name: value})

    assert says in str(caught.value)


def test_a_misspelled_variable_is_refused_with_the_one_it_resembles() -> None:
    with pytest.raises(UserError, match=r"CHURN_OBJECT: .*did you mean CHURN_OBJECTS\?"):
        Settings.load({"CHURN_OBJECT": "here"})


def test_an_unknown_variable_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(UserError, match=r"CHURN_Q+: .*CHURN_HOME, .*CHURN_TRAFFIC"):
        Settings.load({f"CHURN_{'Q' * 30}": "1"})


@pytest.mark.parametrize(
    "name",
    [
        "CHURN_TERMINATION_LOG",
        "CHURN_ENVIRONMENTS",
        "CHURN_IMAGE_REGISTRY",
        "CHURN_IMAGE_TAG",
        "CHURN_TELCO_CSV",
        "CHURN_PREDICTOR_SERVICE_HOST",
        "CHURN_PREDICTOR_SERVICE_PORT_HTTP",
        "CHURN_PREDICTOR_PORT_8080_TCP_ADDR",
        "CHURN_PORT",
    ],
)
def test_variables_of_others_and_of_kubernetes_services_are_let_pass(name: str) -> None:
    Settings.load({name: "anything"})


def test_half_a_key_pair_is_refused() -> None:
    with pytest.raises(UserError, match="AWS_SECRET_ACCESS_KEY"):
        Settings.load({"AWS_ACCESS_KEY_ID": "key"})


@pytest.mark.parametrize("name", ["CHURN_DATABASE", "CHURN_ONLINE_STORE", "CHURN_FEAST_REGISTRY"])
def test_a_refused_address_does_not_show_its_password(name: str) -> None:
    with pytest.raises(UserError) as caught:
        Settings.load({name: f"mongodb://user:{SECRET}@host/db"})

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("show", [repr, str, pretty_repr], ids=["repr", "str", "rich"])
def test_settings_show_no_secret(show: object) -> None:
    settings = Settings.load(
        {
            "CHURN_DATABASE": f"postgresql://user:{SECRET}@host/db",
            "CHURN_ONLINE_STORE": f"redis://:{SECRET}@host:6379",
            "CHURN_FEAST_REGISTRY": f"postgresql://host/db?user=me&password={SECRET}",
            "CHURN_MLFLOW_URI": f"http://user:{SECRET}@host",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": SECRET,
        }
    )
    assert callable(show)

    assert SECRET not in show(settings)
    assert SECRET not in show(settings.s3)
    assert "user:***@host/db" in show(settings)


def test_the_standard_variables_lead_to_s3() -> None:
    env = {
        "AWS_ENDPOINT_URL": "http://minio:9000/",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }

    assert Settings.load(env).s3 == S3Access("http://minio:9000", "eu-west-1", "key", SECRET)


def test_preparing_makes_the_home(tmp_path: Path) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "a" / "b")})

    assert settings.prepare() is settings
    assert list(settings.home.iterdir()) == []


@pytest.mark.parametrize("home", ["/proc/churn", "a-file/below"])
def test_a_home_that_cannot_be_written_is_refused(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()

    with pytest.raises(UserError, match="set CHURN_HOME"):
        Settings.load({"CHURN_HOME": home}).prepare()


def test_loading_touches_nothing(tmp_path: Path) -> None:
    Settings.load({"CHURN_HOME": str(tmp_path / "home")})

    assert list(tmp_path.iterdir()) == []
