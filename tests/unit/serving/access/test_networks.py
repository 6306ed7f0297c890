from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain.errors import UserError
from serving.access.networks import Networks, Proxies, address_of, grpc_peer, truncated

PROXY, CLIENT = "10.0.0.5", "203.0.113.9"
PROXIES = Proxies(Networks.parse(["10.0.0.0/8", "fd00::/8"], ""))


def test_ipv4_is_found_in_the_dress_of_ipv6() -> None:
    networks = Networks.parse(["192.0.2.0/24", "::ffff:198.51.100.0/120"], "")
    for address in ("192.0.2.9", "::ffff:192.0.2.9", "::ffff:c000:209", "198.51.100.1", "::ffff:198.51.100.1"):
        assert address in networks
    for address in ("192.0.3.9", "::ffff:192.0.3.9", "::192.0.2.9", "", "192.0.2.9:80", "192.0.2.09", "localhost"):
        assert address not in networks


def test_a_zone_does_not_hide_an_address() -> None:
    assert "fe80::1%eth0" in Networks.parse(["fe80::/10"], "")


@pytest.mark.parametrize(
    ("text", "says"), [("10.0.0.1/8", "10.0.0.0/8"), ("10.0.0.0/33", "CIDR"), ("home", "CIDR"), ("10.0.0.0-9", "CIDR")]
)
def test_what_is_no_network_is_refused_with_the_setting(text: str, says: str) -> None:
    with pytest.raises(UserError, match="CHURN_ALLOWED_NETWORKS") as refused:
        Networks.parse([text], "CHURN_ALLOWED_NETWORKS")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (b"", PROXY),
        (CLIENT.encode(), CLIENT),
        (b"1.2.3.4, 203.0.113.9", CLIENT),
        (b"10.9.9.9, 203.0.113.9, 10.0.0.6,10.0.0.7", CLIENT),
        (b"nonsense, 203.0.113.9", CLIENT),
        (b"203.0.113.9:4711", CLIENT),
        (b"::ffff:203.0.113.9", CLIENT),
        (b"[2001:db8::1]:443", "2001:db8::1"),
        (b"2001:db8::1, fd00::3", "2001:db8::1"),
        (b"10.0.0.8, 10.0.0.9", "10.0.0.8"),
        (b"203.0.113.9, nonsense", ""),
        (b"203.0.113.9, unknown, 10.0.0.9", ""),
        (b",", ""),
        (b"\xff\xfe", ""),
        (b"1.2.3.4," * 500, ""),
    ],
)
def test_the_client_is_the_rightmost_that_is_no_trusted_proxy(forwarded_for: bytes, client: str) -> None:
    assert PROXIES.client(PROXY, forwarded_for) == client


def test_who_is_no_proxy_is_the_client_whatever_it_says() -> None:
    assert PROXIES.client(CLIENT, b"10.0.0.1") == CLIENT
    assert PROXIES.client("", b"10.0.0.1") == ""


@given(prefix=st.binary(max_size=200))
def test_nothing_a_client_sends_itself_moves_its_address(prefix: bytes) -> None:
    """What its first trusted proxy appends is what counts."""
    assert PROXIES.client(PROXY, prefix + b", 203.0.113.9") == CLIENT


@given(st.one_of(st.ip_addresses().map(str), st.text(max_size=50)))
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = address_of(text)
    assert found is None or isinstance(found, ipaddress.IPv4Address | ipaddress.IPv6Address)
    assert (truncated(text) == "") == (found is None)
    assert isinstance(text in PROXIES._trusted, bool)


@given(st.text(max_size=50))
def test_any_peer_of_grpc_is_an_address_or_nothing_that_is_in_a_network(text: str) -> None:
    assert isinstance(grpc_peer(text) in PROXIES._trusted, bool)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:5000", "192.0.2.1"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5B2001:db8::1%5D:5000", "2001:db8::1"),
        ("unix:/run/predictor.sock", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_the_peer_of_grpc_gives_its_address(peer: str, address: str) -> None:
    assert grpc_peer(peer) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.77", "192.0.2.0/24"), ("::ffff:192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48")],
)
def test_an_address_is_truncated_to_its_network(address: str, network: str) -> None:
    assert truncated(address) == network
