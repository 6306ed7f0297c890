from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churn.domain.errors import UserError
from local import main, packages
from local.schedules import cron, declaration
from local.schedules.client import address

HEAD = "owner: churn\nexperiment: churn\nschedules:\n"
GOOD = '  - {name: night, pipeline: batch, cron: "0 0 2 * * *", parameters: {model: telco}}\n'


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Any]:
    return packages.pipelines()


def read(tmp_path: Path, text: str, pipelines: dict[str, Any]) -> declaration.Declaration:
    file = tmp_path / "schedules.yaml"
    file.write_text(text, encoding="utf-8")
    return declaration.read(file, pipelines)


def test_the_shipped_schedules_run_every_pipeline_that_needs_no_table(pipelines: dict[str, Any]) -> None:
    shipped = declaration.read(declaration.DEFAULT, pipelines)
    assert {schedule.pipeline for schedule in shipped.schedules} == set(pipelines) - {"training"}
    assert all(schedule.enabled and schedule.max_concurrency == 1 for schedule in shipped.schedules)
    assert not any(schedule.catch_up for schedule in shipped.schedules)


def test_a_schedule_has_the_experiment_of_all_unless_it_names_its_own(
    tmp_path: Path, pipelines: dict[str, Any]
) -> None:
    own = GOOD.replace("name: night", "name: day, experiment: special")
    assert [one.experiment for one in read(tmp_path, HEAD + GOOD + own, pipelines).schedules] == ["churn", "special"]


def test_no_schedules_at_all_have_to_be_said(tmp_path: Path, pipelines: dict[str, Any]) -> None:
    assert read(tmp_path, "owner: churn\nexperiment: churn\nschedules: []\n", pipelines).schedules == ()
    with pytest.raises(UserError, match="the document"):
        read(tmp_path, "", pipelines)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "pipeline: batch",
            "pipeline: bacth",
            r"schedules\[0\] \(night\)\.pipeline: there is no pipeline 'bacth'.*batch",
        ),
        ("pipeline: batch", "pipeline: monitoring, enable: true", r"schedules\[0\]: .*`enable`"),
        ("{model: telco}", "{modle: telco}", r"\(night\)\.parameters: .*no parameter 'modle'.*model"),
        ("{model: telco}", "{model: 7}", r"\(night\)\.parameters\.model: 7 is not text"),
        ("{model: telco}", "{shards: two}", r"parameters\.shards: 'two' is not an integer"),
        ("{model: telco}", "{shards: 2.0}", r"parameters\.shards: 2\.0 is not an integer"),
        ("{model: telco}", "{shards: true}", r"parameters\.shards: True is not an integer"),
        ("{model: telco}", "{reasons: 1}", r"parameters\.reasons: 1 is not true or false"),
        ("{model: telco}", "{model: null}", r"parameters\.model: None is not text"),
        ("{model: telco}", "{model: a/b}", r"\(night\)\.parameters\.model: 'a/b' cannot name a model"),
        ("{model: telco}", "{shards: 1001}", r"\(night\)\.parameters\.shards: 1001 are none"),
        ("{model: telco}", "{threads: -1}", r"\(night\)\.parameters\.threads: -1 are none"),
        ("{model: telco}", "{out: 's3://a/b'}", r"\(night\)\.parameters\.out: .*bucket"),
        ("{model: telco}", "{as_of: soon}", r"\(night\)\.parameters\.as_of: 'soon' is not a date"),
        ("{model: telco}", "{as_of: '2962-01-05'}", r"\(night\)\.parameters\.as_of: 2962-01-05 has not come yet"),
        ("pipeline: batch", "pipeline: training", r"\(night\)\.parameters: pipeline training needs 'data'"),
        ("0 0 2 * * *", "0 2 * * *", r"\(night\)\.cron: '0 2 \* \* \*' has five fields.*write '0 0 2 \* \* \*'"),
        ("name: night", "name: Night", r"schedules\[0\]\.name"),
        ("name: night", 'name: "night\\n"', r"schedules\[0\]\.name"),
        ("name: night", "name: night, max_concurrency: 0", r"schedules\[0\]\.max_concurrency"),
        ("name: night", "name: night, enabled: yes", r"schedules\[0\]\.enabled"),
        ("name: night", "name: night, name: day", "the key 'name' stands twice"),
        ("owner: churn", "owner: two words", r"owner"),
        ("owner: churn\n", "", "`owner`"),
        ("owner: churn", "owner: churn\ntime_zone: UTC", "`time_zone`"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    tmp_path: Path, pipelines: dict[str, Any], old: str, new: str, says: str
) -> None:
    text = HEAD + GOOD
    assert old in text
    with pytest.raises(UserError, match=says) as refused:
        read(tmp_path, text.replace(old, new, 1), pipelines)
    assert str(tmp_path / "schedules.yaml") in refused.value.where


@pytest.mark.parametrize(
    ("pipeline", "given", "says"),
    [
        ("monitoring", "days: 0", "days: 0 days are no window"),
        ("retraining", "days: 99999", "days: 99999 days are no window"),
        ("retraining", "window_days: -3", "window_days: -3 days are no window"),
        ("retraining", "share: 7.0", "share: 7 is no share of the customers"),
        ("retraining", "comparison: foo", "comparison: 'foo' is no rule"),
        ("retraining", "candidates: 'xgboost, bar'", "candidates: unknown candidate 'bar'"),
        ("training", "data: a.csv, candidates: bar", "candidates: unknown candidate 'bar'"),
        ("training", "data: a.csv, comparison: foo", "comparison: 'foo' is no rule"),
        ("training", "data: a.csv, tune_trials: -1", "tune_trials: there are no -1 trials"),
        ("training", "data: a.csv, tune_sampler: dice", "tune_sampler: .*dice"),
        ("training", "data: ''", "data: no table is given"),
    ],
)
def test_a_parameter_that_its_pipeline_would_refuse_is_refused_when_it_is_declared(
    tmp_path: Path, pipelines: dict[str, Any], pipeline: str, given: str, says: str
) -> None:
    text = HEAD + GOOD.replace("batch", pipeline).replace("{model: telco}", f"{{model: telco, {given}}}")
    with pytest.raises(UserError, match=rf"schedules\[0\] \(night\)\.parameters\.{says}"):
        read(tmp_path, text, pipelines)


def test_what_pipelines_take_can_be_declared(tmp_path: Path, pipelines: dict[str, Any]) -> None:
    given = {
        "batch": "data: customers.parquet, out: 's3://scores/telco', shards: 4, reasons: true, threads: 2",
        "training": "data: a.csv, candidates: '', tune_trials: 5, tune_sampler: grid, comparison: ''",
        "monitoring": "days: 7",
        "retraining": "share: 0.1, candidates: xgboost, comparison: superior, force: true",
    }
    good = [
        f'  - {{name: {name}, pipeline: {name}, cron: "@daily", parameters: {{model: telco, {more}}}}}\n'
        for name, more in given.items()
    ]
    assert len(read(tmp_path, HEAD + "".join(good), pipelines).schedules) == 4


def test_a_name_given_twice_is_refused(tmp_path: Path, pipelines: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="the name 'night' stands 2 times"):
        read(tmp_path, HEAD + GOOD + GOOD, pipelines)


def test_a_file_that_is_none_is_refused(tmp_path: Path, pipelines: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        declaration.read(tmp_path / "nosuch.yaml", pipelines)


def test_what_a_schedule_does_is_in_its_digest_and_whether_it_is_enabled_is_not() -> None:
    def digest(**changed: Any) -> str:
        said = {"name": "night", "pipeline": "batch", "cron": "0 0 2 * * *", "parameters": {"a": 1, "b": 2}}
        return declaration.Schedule(**(said | changed)).digest("batch-1")

    assert digest() == digest(enabled=False) == digest(parameters={"b": 2, "a": 1})
    others = [{"cron": "0 0 3 * * *"}, {"parameters": {"a": 1}}, {"catch_up": True}, {"max_concurrency": 2}]
    assert len({digest(), *(digest(**other) for other in others)}) == 5


# Each was given to robfig/cron 1.2.0's cron.Parse, and its next time asked for.
@pytest.mark.parametrize(
    "expression",
    [
        "0 0 2 * * *",
        "0 0 9 ? * 2-6",
        "30 */15 8-18/2 1,15 jan-JUN,12 MON-fri",
        "0 0 0 29 2 *",
        "0 0 0 31 2 1",
        "5/20 0 0 ? * 6",
        "@daily",
        "@every 12h",
        "@every 1h30m",
    ],
)
def test_kfps_cron_is_accepted(expression: str) -> None:
    cron.check(expression, "here")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "0 fields"),
        ("* * *", "3 fields"),
        ("0 0 2 * * * *", "7 fields"),
        ("TZ=UTC 0 0 2 * * *", "7 fields"),
        ("60 0 2 * * *", "'60' is no second"),
        ("0 0 24 * * *", "'24' is no hour"),
        ("0 0 2 0 * *", "'0' is no day of the month"),
        ("0 0 2 * 13 *", "'13' is no month"),
        ("0 0 2 * * 7", "'7' is no day of the week"),
        ("0 0 2 * * mon-sun", "'mon-sun' is no day of the week"),
        ("0 0/0 2 * * *", "'0/0' is no minute"),
        ("0 1-2-3 2 * * *", "'1-2-3' is no minute"),
        ("0 0 2 L * *", "'L' is no day of the month"),
        ("0 0 2 31 4 *", "would never run"),
        ("0 0 2 30 2 */2", "would never run"),
        ("0 -1 2 * * *", "'-1' is no minute"),
        ("@often", "known are"),
        ("@every 0s", "known are"),
        ("@every", "known are"),
    ],
)
def test_other_cron_is_refused_in_words(expression: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        cron.check(expression, "schedules[0].cron")
    assert refused.value.where == "schedules[0].cron"


@pytest.mark.parametrize("host", ["", "localhost:8888", "ftp://kfp", "http://", "https://me:secret@kfp"])
def test_an_address_that_is_none_is_refused_without_being_told(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    with pytest.raises(UserError, match="--host") as refused:
        address(host)
    assert "secret" not in str(refused.value)


def test_the_address_may_come_from_kfps_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "https://kfp.example/pipeline/")
    assert address("") == "https://kfp.example/pipeline"


def test_the_command_without_an_address_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    assert main._run(["pipeline", "schedule"]) == 2
    assert "KF_PIPELINES_ENDPOINT" in capsys.readouterr().err
