from __future__ import annotations

import socket

import pytest

from churn.domain.errors import UserError
from serving.addresses import Address


def test_an_address_that_cannot_be_had_is_the_users_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(UserError, match=f"{taken}: cannot listen: Address already in use"):
            taken.probe()
    taken.probe()
    with pytest.raises(UserError, match="cannot listen"):
        Address("no.such.host.invalid", 80).bind()
    assert str(Address("::1", 80)) == "[::1]:80"
