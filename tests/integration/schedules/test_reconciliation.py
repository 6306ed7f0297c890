"""Schedules by KFP's own client, against a stand-in of its API server; tests/kfp_api.py says why."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from churn.domain.errors import UserError
from churn.stores.retry import Backoff
from local import main, packages
from local.schedules import declaration
from local.schedules.client import Client
from local.schedules.declaration import Declaration
from local.schedules.reconciliation import Reconciled, reconcile
from tests.kfp_api import Kfp, Refused, kfp_api

AT_ONCE = Backoff(attempts=6, base_s=0)


@pytest.fixture(autouse=True)
def nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH", "CHURN_IMAGE_TAG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The packages are compiled once for all tests of this file; test_packages.py compiles them anew."""
    folder = tmp_path_factory.mktemp("packages")
    real, kept = packages.compiled, {}

    def compiled(name: str, _: Path) -> Path:
        if name not in kept:
            kept[name] = real(name, folder)
        return kept[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "compiled", compiled)
        yield


@pytest.fixture
def kfp() -> Iterator[Kfp]:
    with kfp_api() as server:
        yield server


def declared(*schedules: dict[str, Any], owner: str = "churn") -> Declaration:
    return declaration.Declaration(
        owner=owner,
        experiment="churn",
        schedules=tuple(declaration.Schedule(**{"experiment": "churn", **one}) for one in schedules),
    )


def nightly(**changed: Any) -> dict[str, Any]:
    return {
        "name": "batch-telco",
        "pipeline": "batch",
        "cron": "0 0 2 * * *",
        "parameters": {"model": "telco"},
    } | changed


def daily(**changed: Any) -> dict[str, Any]:
    parameters = {"model": "telco", "days": 30}
    return {"name": "look", "pipeline": "monitoring", "cron": "0 0 5 * * *", "parameters": parameters} | changed


def bring_about(kfp: Kfp, what: Declaration, **options: Any) -> Reconciled:
    return reconcile(what, Client(kfp.url), patience=AT_ONCE, **options)


def test_the_shipped_schedules_are_created_and_enabled(kfp: Kfp) -> None:
    shipped = declaration.read(declaration.DEFAULT, packages.pipelines())
    done = bring_about(kfp, shipped)
    assert kfp.enabled() == sorted(schedule.name for schedule in shipped.schedules)
    assert all(run["no_catchup"] and run["max_concurrency"] == "1" for run in kfp.runs.values())
    assert {row["id"] for row in done.schedules} == set(kfp.runs)
    assert {version["display_name"] for version in kfp.versions.values()} == {row["version"] for row in done.schedules}


def test_the_same_again_changes_nothing(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly(), daily()))
    before = kfp.changes
    assert bring_about(kfp, declared(nightly(), daily())).steps == []
    assert kfp.changes == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(kfp: Kfp) -> None:
    foreseen = bring_about(kfp, declared(nightly()), dry_run=True)
    assert kfp.changes == []
    assert [step.kind for step in foreseen.steps] == [
        "create pipeline", "upload version", "create experiment", "create", "enable",
    ]  # fmt: skip
    assert bring_about(kfp, declared(nightly())).steps == foreseen.steps


def test_a_changed_schedule_gets_a_successor_before_its_predecessor_goes(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly()))
    [old] = kfp.runs
    done = bring_about(kfp, declared(nightly(cron="0 30 3 * * *")))
    assert [step.kind for step in done.steps] == ["create", "disable", "enable", "delete"]
    [(new, run)] = kfp.runs.items()
    assert new != old
    assert run["trigger"]["cron_schedule"]["cron"] == "0 30 3 * * *"
    assert kfp.enabled() == ["batch-telco"]
    assert kfp.most_enabled == 1


def test_another_image_is_another_version_and_the_schedule_follows(kfp: Kfp, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_about(kfp, declared(nightly()))
    real = packages.version
    monkeypatch.setattr(packages, "version", lambda package: f"{real(package)}-next")
    done = bring_about(kfp, declared(nightly()))
    assert [step.kind for step in done.steps] == ["upload version", "create", "disable", "enable", "delete"]
    [run] = kfp.runs.values()
    version = kfp.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["display_name"].endswith("-next")


def test_what_is_declared_disabled_or_no_more_is_disabled_and_kept(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly(), daily()))
    ids = set(kfp.runs)
    done = bring_about(kfp, declared(nightly(enabled=False)))
    assert sorted((step.kind, step.subject, step.because) for step in done.steps) == [
        ("disable", "batch-telco", "declared disabled"),
        ("disable", "look", "no longer declared"),
    ]
    assert kfp.enabled() == []
    assert set(kfp.runs) == ids
    assert bring_about(kfp, declared(nightly(enabled=False))).steps == []


def test_what_was_disabled_comes_back_as_a_new_one_that_has_missed_nothing(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly()))
    [paused] = kfp.runs
    bring_about(kfp, declared(nightly(enabled=False)))
    bring_about(kfp, declared(nightly()))
    assert kfp.enabled() == ["batch-telco"]
    assert paused not in kfp.runs


def test_schedules_of_people_and_of_other_owners_are_left_alone(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly(), owner="other-team"))
    [theirs] = kfp.runs
    bring_about(kfp, declared(nightly()))
    [ours] = set(kfp.runs) - {theirs}
    copied = {**kfp.runs[ours], "recurring_run_id": "copy", "display_name": "Clone of batch-telco"}
    kfp.runs |= {"copy": copied, "person": {**copied, "recurring_run_id": "person", "description": "mine"}}
    bring_about(kfp, declared())
    assert {name for name, run in kfp.runs.items() if run["status"] == "ENABLED"} == {theirs, "copy", "person"}


def test_two_that_were_enabled_at_once_become_one(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly()))
    [first] = kfp.runs
    kfp.runs["rival"] = {**kfp.runs[first], "recurring_run_id": "rival", "created_at": "2026-02-01T00:00:00Z"}
    bring_about(kfp, declared(nightly()))
    assert set(kfp.runs) == {first}


def test_more_schedules_than_a_page_holds_are_all_seen(kfp: Kfp) -> None:
    kfp.page_size = 1
    many = declared(*(nightly(name=f"batch-{number}") for number in range(5)), daily())
    bring_about(kfp, many)
    assert len(kfp.runs) == 6
    assert bring_about(kfp, many).steps == []


BEGINNINGS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "created": ([], [nightly(), daily()]),
    "changed": ([nightly(), daily()], [nightly(cron="0 0 4 * * *"), daily()]),
    "enabled again": ([nightly(enabled=False)], [nightly()]),
    "disabled": ([nightly(), daily()], [nightly(enabled=False)]),
}


def _interrupted(kfp: Kfp, number: int, *, done: bool) -> Callable[[str], None]:
    """Breaks the change of this number: 500 is final, so the reconciliation ends there as if it had been killed."""
    counted = itertools.count()

    def interrupt(call: str) -> None:
        if not call.startswith("GET ") and next(counted) == number:
            raise Refused(500, f"broken {'after' if done else 'before'} {call}")

    return interrupt


@pytest.mark.parametrize("done", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("scenario", BEGINNINGS)
def test_killed_at_any_call_it_never_leaves_two_and_the_next_time_completes_it(scenario: str, done: bool) -> None:
    before, after = (declared(*schedules) for schedules in BEGINNINGS[scenario])
    wanted = sorted(schedule.name for schedule in after.schedules if schedule.enabled)
    for number in itertools.count():
        with kfp_api() as kfp:
            bring_about(kfp, declared(*({**one, "enabled": True} for one in BEGINNINGS[scenario][0])))
            bring_about(kfp, before)
            setattr(kfp, "after" if done else "before", _interrupted(kfp, number, done=done))
            try:
                bring_about(kfp, after)
            except UserError as error:
                assert "500" in error.problem  # noqa: PT017 - the last number interrupts nothing
                interrupted = True
            else:
                interrupted = False
            kfp.before = kfp.after = lambda call: None
            assert kfp.most_enabled <= 1
            bring_about(kfp, after)
            assert kfp.enabled() == wanted
            assert kfp.most_enabled <= 1
            assert sum(run["status"] == "DISABLED" for run in kfp.runs.values()) == (2 if scenario == "disabled" else 0)
            assert bring_about(kfp, after).steps == []
        if not interrupted:
            break
    assert number >= {"created": 7, "changed": 4, "enabled again": 3, "disabled": 2}[scenario]


@pytest.mark.parametrize("seed", range(10))
def test_overload_and_lost_answers_in_between_are_lived_through(kfp: Kfp, seed: int) -> None:
    chance = random.Random(seed)
    before, after = declared(nightly(), daily()), declared(nightly(cron="0 0 4 * * *"), daily(enabled=False))
    bring_about(kfp, before)

    def overloaded(call: str) -> None:
        if chance.random() < 0.08:
            raise Refused(503, "upstream connect error")

    def lost(call: str) -> None:
        if chance.random() < 0.08:
            raise ConnectionError

    kfp.before, kfp.after = overloaded, lost
    reconcile(after, Client(kfp.url), patience=Backoff(attempts=100, base_s=0))
    assert kfp.enabled() == ["batch-telco"]
    assert kfp.most_enabled == 1


def test_what_kfp_refuses_leaves_the_predecessor_at_work(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly()))
    [old] = kfp.runs
    with pytest.raises(UserError, match=r"KFP answers 400: .*parameter.* nosuch"):
        bring_about(kfp, declared(nightly(parameters={"nosuch": 1})))
    assert set(kfp.runs) == {old}
    assert kfp.enabled() == ["batch-telco"]


def test_one_that_somebody_deletes_meanwhile_is_made_anew(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly()))

    def deleted(call: str) -> None:
        if call.endswith(":disable"):
            kfp.runs.pop(call.rsplit("/", maxsplit=1)[-1].removesuffix(":disable"), None)

    kfp.before = deleted
    bring_about(kfp, declared(nightly(cron="0 0 4 * * *")))
    assert kfp.enabled() == ["batch-telco"]
    assert len(kfp.runs) == 1


def test_an_archived_experiment_is_named(kfp: Kfp) -> None:
    bring_about(kfp, declared(nightly()))
    [experiment] = kfp.experiments.values()
    experiment["storage_state"] = "ARCHIVED"
    with pytest.raises(UserError, match="churn: the experiment is archived"):
        bring_about(kfp, declared(nightly()))


def test_in_a_shared_kfp_everything_is_in_the_namespace(kfp: Kfp) -> None:
    reconcile(declared(nightly()), Client(kfp.url, "team-a"), patience=AT_ONCE)
    kept = [*kfp.pipelines.values(), *kfp.experiments.values(), *kfp.runs.values()]
    assert {one["namespace"] for one in kept} == {"team-a"}
    assert reconcile(declared(nightly()), Client(kfp.url, "team-a"), patience=AT_ONCE).steps == []


def test_the_token_is_sent_and_never_told(
    kfp: Kfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("right-token\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    kfp.token = "right-token"
    bring_about(kfp, declared(nightly()))
    token.write_text("wrong-token\n")
    with pytest.raises(
        UserError, match=r"401: not signed in with Bearer \*\*\*.*KF_PIPELINES_SA_TOKEN_PATH"
    ) as refused:
        bring_about(kfp, declared(nightly()))
    assert "wrong-token" not in str(refused.value) + caplog.text


def test_a_token_file_that_is_missing_is_named(kfp: Kfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UserError, match="KF_PIPELINES_SA_TOKEN_PATH: there is no such file"):
        Client(kfp.url)


def test_where_nothing_answers_or_something_else_that_is_said(kfp: Kfp) -> None:
    with pytest.raises(UserError, match="does not answer"):
        reconcile(declared(nightly()), Client("http://127.0.0.1:1"), patience=AT_ONCE)
    kfp.page = "<html>welcome</html>"
    with pytest.raises(UserError, match="something else than KFP's API"):
        bring_about(kfp, declared(nightly(enabled=False)))
    kfp.page = ""
    with pytest.raises(UserError, match=r"404: Not Found .is it the address of KFP"):
        reconcile(declared(nightly()), Client(f"{kfp.url}/elsewhere"), patience=AT_ONCE)


def test_the_command_prints_one_document_or_a_line_a_step(kfp: Kfp, capfd: pytest.CaptureFixture[str]) -> None:
    assert main._run(["pipeline", "schedule", "--host", kfp.url, "--dry-run"]) == 0
    told = capfd.readouterr()
    assert "create pipeline    batch: there is none of this name\n" in told.out
    assert "batch-telco: batch at 0 0 2 * * *, version batch-" in told.out
    assert told.err == "nothing was done: this was a dry run\n"
    assert kfp.changes == []
    assert main._run(["pipeline", "schedule", "--host", kfp.url, "--json"]) == 0
    document = msgspec.json.decode(capfd.readouterr().out)
    assert {row["id"] for row in document["schedules"]} == set(kfp.runs)
    assert [step["kind"] for step in document["steps"]].count("enable") == len(kfp.runs)
    assert main._run(["pipeline", "schedule", "--host", kfp.url]) == 0
    assert "all schedules are as declared" in capfd.readouterr().out


@pytest.mark.parametrize("call", ["/pipelines", "/upload_version", "/experiments", "/recurringruns"])
def test_a_rival_in_the_middle_leaves_one_of_each(kfp: Kfp, call: str) -> None:
    def rival(seen: str) -> None:
        if seen.startswith("POST ") and seen.endswith(call):
            kfp.before = lambda _: None
            bring_about(kfp, declared(nightly()))

    kfp.before = rival
    bring_about(kfp, declared(nightly()))
    assert kfp.enabled() == ["batch-telco"]
    assert [len(kept) for kept in (kfp.pipelines, kfp.versions, kfp.experiments, kfp.runs)] == [1, 1, 1, 1]
