from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from serving.access import keys
from serving.access.caller import Refused
from serving.access.keys import Keys

ID = "ck_0123456789ab"
HASH = "sha256:" + "0" * 64
GOOD = f"keys: [{{id: {ID}, name: shop, hash: '{HASH}', scopes: [predict]}}]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expected"),
        ("[]", "Expected `object`"),
        ("keys: 5", "keys"),
        (GOOD.replace("}]", ", secret: abc}]"), "secret"),
        (GOOD.replace(HASH, "hunter2"), "hash"),
        (GOOD.replace(HASH, "md5:" + "0" * 32), "hash"),
        (GOOD.replace(ID, "mine"), "id"),
        (GOOD.replace("name: shop", "name: Shop One"), "name"),
        (GOOD.replace("name: shop", r'name: "shop\n"'), "name"),
        (GOOD.replace("name: shop", "name: jwt"), "jwt"),
        (GOOD.replace("[predict]", "[everything]"), "scopes"),
        (GOOD.replace("[predict]", "[]"), "scopes"),
        (GOOD.replace("}]", ", rate: fast}]"), "keys[0].rate"),
        (GOOD.replace("}]", ", networks: [10.0.0.1/8]}]"), "10.0.0.0/8"),
        (GOOD.replace("}]", ", expires: 2027-01-01}]"), "expires"),
        (GOOD.replace("}]", ", expires: '2027-01-01T00:00:00'}]"), "expires"),
        (GOOD.replace("]\n", "]").replace("}]", "}, ") + GOOD.removeprefix("keys: ["), "twice"),
        ("keys: [\n", "line"),
        ("keys: []\nkeys: []\n", "twice"),
    ],
)
def test_a_file_that_is_not_one_of_keys_is_refused_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as refused:
        Keys.read(file, "CHURN_API_KEYS")
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"CHURN_API_KEYS.*No such file"):
        Keys.read(tmp_path / "none.yaml", "CHURN_API_KEYS")


def test_a_file_that_everybody_may_change_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(GOOD)
    file.chmod(0o666)
    with pytest.raises(UserError, match="everybody"):
        Keys.read(file, "")


@pytest.mark.parametrize("name", ["keys.yaml", "keys.json", "anything"])
def test_yaml_and_json_are_read(tmp_path: Path, name: str) -> None:
    entry = f'{{"id": "{ID}", "name": "shop", "hash": "{HASH}", "scopes": ["predict"], "bulk": true}}'
    (tmp_path / name).write_text(f'{{"keys": [{entry}]}}')
    (key,) = Keys.read(tmp_path / name, "").by_id.values()
    assert (key.id, key.name, key.bulk) == (ID, "shop", True)


def test_a_made_key_is_long_random_and_found_again(tmp_path: Path) -> None:
    made = [keys.make() for _ in range(50)]
    assert len({key for _, key, _ in made} | {identity for identity, _, _ in made}) == 100
    entries = [f"{{id: {identity}, name: shop, hash: '{digest}', scopes: [predict]}}" for identity, _, digest in made]
    (tmp_path / "keys.yaml").write_text(f"keys: [{', '.join(entries)}]")
    read = Keys.read(tmp_path / "keys.yaml", "")
    for identity, key, _ in made:
        assert len(key.partition(".")[2]) == 43
        assert keys.is_key(key.encode())
        assert read.find(key.encode(), time.time()).id == identity


@pytest.mark.parametrize("secret", ["password", "a" * 43, "0123456789ab" * 3 + "0123456"])
def test_a_secret_that_somebody_chose_opens_nothing_even_with_its_hash_in_the_file(tmp_path: Path, secret: str) -> None:
    key = f"{ID}.{secret}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    (tmp_path / "keys.yaml").write_text(GOOD.replace("0" * 64, digest))
    with pytest.raises(Refused):
        Keys.read(tmp_path / "keys.yaml", "").find(key.encode(), time.time())


def test_a_secret_is_good_with_its_own_id_alone(tmp_path: Path) -> None:
    made = [keys.make(), keys.make()]
    entries = [f"{{id: {identity}, name: shop, hash: '{digest}', scopes: [predict]}}" for identity, _, digest in made]
    (tmp_path / "keys.yaml").write_text(f"keys: [{', '.join(entries)}]")
    swapped = made[0][0] + "." + made[1][1].partition(".")[2]
    with pytest.raises(Refused, match="wrong_secret"):
        Keys.read(tmp_path / "keys.yaml", "").find(swapped.encode(), time.time())
