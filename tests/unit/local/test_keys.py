from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import keys, main
from serving.access import Access, Credentials
from serving.errors import UnauthenticatedError


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main._run(["keys", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("name", ["keys.yaml", "keys.json"])
def test_a_key_is_printed_once_and_opens_the_predictor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = tmp_path / name
    options = ("--scope", "predict", "--scope", "explain", "--rate", "100/s", "--network", "10.0.0.0/8", "--bulk")
    code, out, err = run(capsys, "create", "call-centre", *options, "--expires", "2999-12-31", "--file", str(file))
    assert code == 0, err
    key = out.strip()
    secret = key.partition(".")[2]
    assert secret not in file.read_text()
    assert secret not in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    access = Access.load({"CHURN_API_KEYS": str(file)})
    caller = access.admit(Credentials(api_key=key.encode()), "10.0.0.1", "explain")
    assert (caller.name, caller.bulk, caller.scopes) == ("call-centre", True, {"predict", "explain"})
    listed = run(capsys, "list", "--json", "--file", str(file))[1]
    (shown,) = json.loads(listed)
    assert shown["expires"] == "2999-12-31T23:59:59Z"
    assert "hash" not in shown
    assert "call-centre" in run(capsys, "list", "--file", str(file))[1]


def test_a_revoked_key_opens_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.yaml"
    made = [
        json.loads(run(capsys, "create", "shop", "--scope", "predict", "--file", str(file), "--json")[1])
        for _ in range(2)
    ]
    code, _, err = run(capsys, "revoke", "shop", "--file", str(file))
    assert code == 2
    assert made[0]["id"] in err
    assert run(capsys, "revoke", made[0]["id"], "--file", str(file))[0] == 0
    access = Access.load({"CHURN_API_KEYS": str(file)})
    with pytest.raises(UnauthenticatedError):
        access.admit(Credentials(api_key=made[0]["key"].encode()), "127.0.0.1", "predict")
    access.admit(Credentials(api_key=made[1]["key"].encode()), "127.0.0.1", "predict")
    assert run(capsys, "revoke", "shop", "--file", str(file))[0] == 0
    assert run(capsys, "list", "--json", "--file", str(file))[1].strip() == "[]"
    Access.load({"CHURN_API_KEYS": str(file)})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "Call Centre", "--scope", "predict"], "hyphens"),
        (["create", "jwt", "--scope", "predict"], "jwt"),
        (["create", "shop"], "--scope"),
        (["create", "shop", "--scope", "everything"], "predict, explain, admin"),
        (["create", "shop", "--scope", "predict", "--rate", "fast"], "--rate"),
        (["create", "shop", "--scope", "predict", "--network", "office"], "--network"),
        (["create", "shop", "--scope", "predict", "--expires", "soon"], "--expires"),
        (["create", "shop", "--scope", "predict", "--expires", "2001-01-01"], "over"),
        (["revoke", "shop"], "churn keys list"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    file = tmp_path / "keys.yaml"
    code, out, err = run(capsys, *arguments, "--file", str(file))
    assert code == 2
    assert out == ""
    assert says in err
    assert not file.exists()


def test_a_file_that_is_broken_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("keys: [")
    assert run(capsys, "create", "shop", "--scope", "predict", "--file", str(file))[0] == 2
    assert file.read_text() == "keys: ["


def test_a_group_that_may_read_the_file_still_may(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    keys.create(file, keys.Wanted("shop", ["predict"]))
    file.chmod(0o644)
    keys.create(file, keys.Wanted("shop", ["predict"]))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_people_who_make_keys_at_once_lose_none(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: keys.create(file, keys.Wanted(f"k{number}", ["predict"])), range(24)))
    assert {entry.id for entry in keys.listed(file)} == {one.id for one in made}


def test_the_file_is_the_predictors_or_lies_in_the_home(tmp_path: Path) -> None:
    assert keys.default_file({"CHURN_API_KEYS": "/etc/keys.yaml"}, tmp_path) == Path("/etc/keys.yaml")
    assert keys.default_file({}, tmp_path) == tmp_path / "keys.yaml"


def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "create", "shop", "--scope", "predict", "--file", str(tmp_path / "file" / "keys.yaml"))
    assert code == 2
    assert "cannot be written" in err
