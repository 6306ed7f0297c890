"""HTTP/2 by hand, for what no client of gRPC does."""

from __future__ import annotations

import struct

_HEADERS, _DATA, _SETTINGS = 1, 0, 4
_END_OF_HEADERS = 4
_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def half_a_message(path: str, message: bytes = b"\0" + struct.pack(">I", 1_000_000) + b"x" * 10_000) -> bytes:
    """A connection, a call of gRPC, and what there is of its message."""
    named = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x"}
    named |= {"content-type": "application/grpc", "te": "trailers"}
    headers = b"".join(_literal(name.encode(), value.encode()) for name, value in named.items())
    call = _START + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_OF_HEADERS, 1, headers)
    return call + (_frame(_DATA, 0, 1, message) if message else b"")


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
