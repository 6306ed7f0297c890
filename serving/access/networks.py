"""Networks of clients, and which address a client has when it comes through proxies."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from churn.domain.errors import UserError
from serving.access.bounded import Bounded

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_REMEMBERED = 4096
_HOPS = 32
_LONGEST = 64
"""Characters of an address with a port, brackets and a zone."""


def address_of(text: str) -> Address | None:
    """An address; one of IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is IPv4. None for anything else."""
    try:
        found = ip_address(text.partition("%")[0]) if len(text) <= _LONGEST else None
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def grpc_peer(peer: str) -> str:
    """The address in gRPC's name of a peer (`ipv4:192.0.2.1:50`, `ipv6:%5B::1%5D:50`); empty for a socket's path."""
    kind, _, rest = peer.partition(":")
    return _without_port(unquote(rest)) if kind in ("ipv4", "ipv6") else ""


class Networks:
    """A list of networks that answers quickly for addresses it has met."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self.networks = tuple(_unmapped(network) for network in networks)
        self._met: Bounded[str, bool] = Bounded(_REMEMBERED)

    @classmethod
    def parse(cls, texts: Iterable[str], where: str) -> Networks:
        """From CIDRs or single addresses. Raises UserError naming `where`."""
        return cls([_network(text, where) for text in texts])

    def __contains__(self, address: str) -> bool:
        """Whether the address, as text, lies in one of them. What is no address lies in none."""
        met = self._met.get(address)
        return self._met.put(address, self._holds(address)) if met is None else met

    def _holds(self, text: str) -> bool:
        address = address_of(text)
        return address is not None and any(address in network for network in self.networks)


class Proxies:
    """The proxies whose X-Forwarded-For is believed."""

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self._met: Bounded[tuple[str, bytes], str] = Bounded(_REMEMBERED)

    def client(self, peer: str, forwarded_for: bytes) -> str:
        """The address of the client: the rightmost of the header that is no trusted proxy, if the peer is one.

        A peer that is no trusted proxy is the client, whatever it says. Empty when a trusted proxy hands on what is no
        address: then nobody knows, and no network holds it."""
        if not forwarded_for or peer not in self._trusted:
            return peer
        if len(forwarded_for) > _HOPS * _LONGEST:
            return ""
        known = self._met.get((peer, forwarded_for))
        return self._met.put((peer, forwarded_for), self._walk(peer, forwarded_for)) if known is None else known

    def _walk(self, peer: str, forwarded_for: bytes) -> str:
        client = peer
        for part in reversed(forwarded_for.decode("latin-1").split(",")):
            address = address_of(_without_port(part.strip()))
            if address is None:
                return ""
            client = str(address)
            if client not in self._trusted:
                break
        return client


def truncated(address: str) -> str:
    """The network an address lies in: /24 of IPv4, /48 of IPv6. Empty for what is no address."""
    found = address_of(address)
    if found is None:
        return ""
    return str(ip_network(f"{found}/{24 if found.version == 4 else 48}", strict=False))


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.rpartition(":")
    return host if colon and port.isdecimal() and ":" not in host else text


def _network(text: str, where: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        problem, remedy = f"'{text[:60]}' is no network", "write CIDRs, as in 10.0.0.0/8,2001:db8::/32"
        if "host bits" in str(error):
            problem, remedy = f"'{text[:60]}' has host bits set", f"write {ip_network(text, strict=False)}"
        raise UserError(problem, where=where, remedy=remedy) from error


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        return IPv4Network(f"{inner}/{network.prefixlen - 96}")
    return network
