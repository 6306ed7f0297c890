from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.access import keys
from serving.access.caller import NO_CREDENTIALS, Credentials, Trace
from serving.access.following import INTERVAL_S
from serving.errors import ForbiddenError, RequestError, TooManyRequestsError, UnauthenticatedError

HERE = "192.0.2.7"


def test_a_key_is_taken_from_either_header(door: Any) -> None:
    key = door.key("call-centre")
    access = door.access()
    for credentials in (Credentials(api_key=key), Credentials(authorization=b"bearer  " + key + b" ")):
        caller = access.admit(credentials, HERE, "predict")
        assert (caller.name, caller.label, caller.kind) == ("call-centre", "call-centre", "key")
        assert caller.identity == key[:15].decode()


def test_the_key_of_its_own_header_counts_and_not_a_proxys_authorization(door: Any) -> None:
    key = door.key()
    caller = door.access().admit(Credentials(api_key=key, authorization=b"Basic cHJveHk6cHJveHk="), HERE, "predict")
    assert caller.kind == "key"


@pytest.mark.parametrize(
    "given",
    [
        NO_CREDENTIALS,
        Credentials(api_key=b"nonsense"),
        Credentials(api_key=keys.make()[1].encode()),
        Credentials(authorization=b"Basic dXNlcjpwYXNz"),
        Credentials(authorization=b"Bearer"),
        Credentials(authorization=b"Bearer a.b.c"),
    ],
)
def test_whoever_gives_no_good_key_is_told_what_would_be(door: Any, given: Credentials) -> None:
    door.key()
    with pytest.raises(UnauthenticatedError) as refused:
        door.access().admit(given, HERE, "predict")
    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"].startswith('Bearer realm="churn"')


def test_an_unknown_id_and_a_wrong_secret_get_the_same_answer(door: Any) -> None:
    key = door.key()
    access = door.access()
    answers = set()
    for wrong in (keys.make()[1].encode(), key[:-1] + (b"A" if key[-1:] != b"A" else b"B")):
        with pytest.raises(UnauthenticatedError) as refused:
            access.admit(Credentials(api_key=wrong), HERE, "predict")
        answers.add((refused.value.message, tuple(refused.value.headers.items())))
    assert len(answers) == 1


def test_a_key_does_what_its_scopes_say_and_nothing_else(door: Any) -> None:
    key = door.key(scopes=["explain"])
    access = door.access()
    assert access.admit(Credentials(api_key=key), HERE, "explain").scopes == {"explain"}
    for scope in ("predict", "admin"):
        with pytest.raises(ForbiddenError) as refused:
            access.admit(Credentials(api_key=key), HERE, scope)  # type: ignore[arg-type]
        assert f'scope="{scope}"' in refused.value.headers["www-authenticate"]


def test_a_key_that_has_expired_is_refused(door: Any) -> None:
    now = datetime.now(UTC)
    past = door.key(expires=(now - timedelta(seconds=1)).isoformat())
    future = door.key(expires=(now + timedelta(hours=1)).isoformat())
    access = door.access()
    access.admit(Credentials(api_key=future), HERE, "predict")
    with pytest.raises(UnauthenticatedError, match="expired"):
        access.admit(Credentials(api_key=past), HERE, "predict")


def test_a_key_is_only_good_in_its_networks(door: Any) -> None:
    key = door.key(networks=["10.0.0.0/8", "2001:db8::/32"])
    access = door.access()
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"):
        access.admit(Credentials(api_key=key), address, "predict")
    for address in (HERE, "2001:db9::1", "", "nonsense"):
        with pytest.raises(ForbiddenError):
            access.admit(Credentials(api_key=key), address, "predict")


def test_a_network_that_is_not_allowed_learns_nothing_about_its_key(door: Any) -> None:
    key = door.key()
    access = door.access(ALLOWED_NETWORKS="10.0.0.0/8")
    access.admit(Credentials(api_key=key), "10.0.0.1", "predict")
    for credentials in (Credentials(api_key=key), Credentials(api_key=b"wrong"), NO_CREDENTIALS):
        with pytest.raises(ForbiddenError, match="network"):
            access.admit(credentials, HERE, "predict")


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(door: Any) -> None:
    key = door.key()
    access = door.access(ALLOWED_NETWORKS="198.51.100.0/24", TRUSTED_PROXIES="10.0.0.0/24")
    claimed = Credentials(api_key=key, forwarded_for=b"203.0.113.1, 198.51.100.9")
    access.admit(claimed, "10.0.0.5", "predict")
    with pytest.raises(ForbiddenError):
        access.admit(claimed, HERE, "predict")
    with pytest.raises(ForbiddenError):
        access.admit(Credentials(api_key=key, forwarded_for=b"198.51.100.9, 203.0.113.1"), "10.0.0.5", "predict")


def test_without_keys_everybody_predicts_and_nobody_administers(door: Any) -> None:
    access = door.access(API_KEYS="")
    assert access.admit(NO_CREDENTIALS, "127.0.0.1", "predict").label == "anonymous"
    assert access.admit(Credentials(api_key=b"whatever"), "127.0.0.1", "explain").kind == "anonymous"
    with pytest.raises(ForbiddenError):
        access.admit(NO_CREDENTIALS, "127.0.0.1", "admin")


def test_a_rate_is_held_and_said(door: Any) -> None:
    key = door.key(rate="3/h")
    access = door.access()
    credentials = Credentials(api_key=key)
    told = []
    for _ in range(3):
        headers = dict(access.admit(credentials, HERE, "predict").rate_headers())
        told.append(int(headers[b"ratelimit-remaining"]))
    assert told == [2, 1, 0]
    assert (headers[b"ratelimit-limit"], headers[b"ratelimit-policy"]) == (b"3", b"3;w=3600")
    with pytest.raises(TooManyRequestsError) as refused:
        access.admit(credentials, HERE, "predict")
    assert refused.value.status == 429
    assert 1190 <= int(refused.value.headers["retry-after"]) <= 1200
    assert refused.value.headers["ratelimit-remaining"] == "0"


def test_rows_are_what_a_rate_counts(door: Any) -> None:
    credentials = Credentials(api_key=door.key(rate="100/h"))
    access = door.access()
    caller = access.admit(credentials, HERE, "predict")
    access.charge(caller, 1000, credentials, HERE)  # one batch may overdraw
    with pytest.raises(TooManyRequestsError):
        access.charge(caller, 2, credentials, HERE)  # another that was let in meanwhile may not
    with pytest.raises(TooManyRequestsError) as refused:
        access.admit(credentials, HERE, "predict")
    assert int(refused.value.headers["retry-after"]) > 30000


def test_the_common_rate_is_for_each_key_that_has_none(door: Any) -> None:
    one, other, rich = door.key("one"), door.key("other"), door.key("rich", rate="5/h")
    access = door.access(RATE_LIMIT="1/h")
    for key in (one, other, rich, rich):
        access.admit(Credentials(api_key=key), HERE, "predict")
    with pytest.raises(TooManyRequestsError):
        access.admit(Credentials(api_key=one), HERE, "predict")


def test_anonymous_callers_are_counted_by_address_and_by_64_in_ipv6(door: Any) -> None:
    access = door.access(API_KEYS="", RATE_LIMIT="1/h")
    for address in ("127.0.0.1", "127.0.0.2", "2001:db8::1", "2001:db8:0:1::1"):
        access.admit(NO_CREDENTIALS, address, "predict")
    for address in ("127.0.0.1", "2001:db8::2"):
        with pytest.raises(TooManyRequestsError):
            access.admit(NO_CREDENTIALS, address, "predict")


def test_each_worker_has_its_share_of_a_rate(door: Any) -> None:
    credentials = Credentials(api_key=door.key(rate="8/h"))
    let_in = 0
    for access in (door.access(workers=4), door.access(workers=4), door.access(workers=4), door.access(workers=4)):
        for _ in range(8):
            try:
                access.admit(credentials, HERE, "predict")
                let_in += 1
            except TooManyRequestsError:
                pass
    assert let_in == 8


def refreshed(access: Any) -> None:
    time.sleep(INTERVAL_S + 0.05)
    access.refresh()


def test_a_new_keys_file_is_taken_over_and_what_was_spent_stays_spent(door: Any) -> None:
    first = door.key("first", rate="2/h")
    access = door.access()
    access.admit(Credentials(api_key=first), HERE, "predict")
    second = door.key("second")
    with pytest.raises(UnauthenticatedError):
        access.admit(Credentials(api_key=second), HERE, "predict")
    refreshed(access)
    access.admit(Credentials(api_key=second), HERE, "predict")
    access.admit(Credentials(api_key=first), HERE, "predict")
    with pytest.raises(TooManyRequestsError):
        access.admit(Credentials(api_key=first), HERE, "predict")
    door.revoke_all()
    refreshed(access)
    with pytest.raises(UnauthenticatedError):
        access.admit(Credentials(api_key=second), HERE, "predict")
    assert [line["audit"] for line in door.audited() if line["outcome"] == "done"] == ["keys reloaded"] * 2


def test_a_broken_keys_file_leaves_the_old_keys_and_says_so(door: Any, caplog: pytest.LogCaptureFixture) -> None:
    key = door.key()
    access = door.access()
    door.file.write_text("{")
    refreshed(access)
    access.admit(Credentials(api_key=key), HERE, "predict")
    assert str(door.file) in caplog.text
    assert access.problems
    door.file.unlink()
    refreshed(access)
    access.admit(Credentials(api_key=key), HERE, "predict")
    again = door.key()
    refreshed(access)
    access.admit(Credentials(api_key=again), HERE, "predict")
    assert not access.problems


def test_no_secret_reaches_the_audit_or_a_refusal(door: Any, caplog: pytest.LogCaptureFixture) -> None:
    key = door.key(scopes=["explain"])
    access = door.access(AUDIT_ADDRESSES="full")
    secret = key.partition(b".")[2].decode()
    attempts = [
        Credentials(api_key=key),
        Credentials(api_key=secret.encode()),
        Credentials(api_key=(secret + "." + key[:15].decode()).encode()),
        Credentials(api_key=keys.make()[0].encode() + b"." + secret.encode()),
        Credentials(authorization=b"Basic " + key),
        Credentials(authorization=key),
        Credentials(authorization=b"Bearer " + secret.encode()),
    ]
    for credentials in attempts:
        with pytest.raises(RequestError) as refused:
            access.admit(credentials, HERE, "predict", Trace("id-1", "00-ab-cd-01"))
        said = f"{refused.value} {refused.value.headers}"
        assert secret[:8] not in said + repr(credentials) + "".join(map(str, credentials.__rich_repr__()))
    access.close()
    written = door.audit.read_text() + caplog.text
    assert not [start for start in range(len(secret) - 8) if secret[start : start + 8] in written]
    door._open.clear()


def test_what_callers_do_is_watched(door: Any) -> None:
    key = door.key()
    access = door.access(WATCH_UNKNOWN_IDS="3")
    caller = access.admit(Credentials(api_key=key), HERE, "predict")
    assert access.saw(caller, ids=["a", "b"], unknown_ids=2, rows=2) == ()
    assert access.saw(caller, ids=["c", "d"], unknown_ids=2, rows=2) == ("walks_ids",)
    assert access.watch.suspicious == {("call-centre", "walks_ids"): 1}


def test_an_administrative_act_is_written_down_with_who_and_where(door: Any) -> None:
    key = door.key("operator", scopes=["admin"])
    access = door.access()
    credentials, trace = Credentials(api_key=key), Trace("id-7", "00-ab-cd-01")
    caller = access.admit(credentials, HERE, "admin", trace)
    access.acted("load", "done", caller, credentials, HERE, trace)
    (line,) = door.audited()
    assert {name: line[name] for name in line if name != "time"} == {
        "audit": "load",
        "outcome": "done",
        "caller": "operator",
        "client": "192.0.2.0/24",
        "request_id": "id-7",
        "traceparent": "00-ab-cd-01",
        "key": key[:15].decode(),
    }


HEADER = st.one_of(
    st.binary(max_size=80),
    st.from_regex(rb"ck_[0-9a-f]{12}\.[A-Za-z0-9_-]{43}", fullmatch=True),
    st.binary(max_size=70).map(lambda rest: b"Bearer " + rest),
    st.binary(max_size=70).map(lambda rest: b"ck_" + rest),
)


@settings(max_examples=400, deadline=None)
@given(api_key=HEADER, authorization=HEADER, forwarded_for=HEADER, peer=st.text(max_size=40), scope=st.text(max_size=9))
def test_whatever_stands_in_the_headers_nothing_but_a_refusal_comes_of_it(
    fuzzed: Any, api_key: bytes, authorization: bytes, forwarded_for: bytes, peer: str, scope: Any
) -> None:
    credentials = Credentials(api_key, authorization, forwarded_for)
    for address in (peer, "10.0.0.1"):
        with pytest.raises(RequestError):
            fuzzed.admit(credentials, address, scope, Trace(peer, scope))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.unit.serving.access.conftest import Door

    door = Door(tmp_path_factory.mktemp("fuzzed"))
    door.key()
    yield door.access(TRUSTED_PROXIES="10.0.0.0/8")
    door.close()


@given(
    st.lists(
        st.tuples(st.sampled_from([b"x-api-key", "authorization", b"x-forwarded-for", "te", b"te"]), st.binary())
        | st.tuples(st.just("authorization"), st.text())
    )
)
def test_credentials_are_found_among_any_headers(headers: list[Any]) -> None:
    found = Credentials.of(headers)
    for name, value in zip(("x-api-key", "authorization", "x-forwarded-for"), _fields(found), strict=True):
        values = [given for key, given in headers if key in (name, name.encode())]
        expected = b",".join(one if isinstance(one, bytes) else one.encode("utf-8", "replace") for one in values)
        assert value == expected


def _fields(credentials: Credentials) -> tuple[bytes, bytes, bytes]:
    return credentials.api_key, credentials.authorization, credentials.forwarded_for


def test_a_key_given_twice_is_no_key(door: Any) -> None:
    key = door.key()
    credentials = Credentials.of([(b"x-api-key", key), (b"x-api-key", key)])
    with pytest.raises(UnauthenticatedError):
        door.access().admit(credentials, HERE, "predict")
