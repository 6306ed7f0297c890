"""The online layout as a bundle freezes it. Needs no Feast; holds what Feast 0.67 does, and a test holds it to that."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from churn.domain.bundle import Field, Online
from churn.domain.contract import Contract
from churn.domain.encoding import feature_type
from feature_repo import names

KEY_VERSION = 3
"""The version of Feast's encoding of entity keys with which online stores are written and read."""

_TYPES: dict[pa.DataType, Literal["int64", "double", "string"]] = {
    pa.int64(): "int64",
    pa.float64(): "double",
    pa.string(): "string",
}


def freeze(contract: Contract) -> Online:
    """Where and how the online store will keep this contract's columns."""
    layout = names.layout(contract)
    return Online(
        project=layout.project,
        view=layout.view,
        ttl_days=contract.ttl_days,
        key=names.key(contract),
        key_type="int64" if pa.types.is_integer(names.key_type(contract)) else "string",
        key_version=KEY_VERSION,
        columns=tuple(Field(names.field(name), _TYPES[feature_type(contract, name)]) for name in contract.raw),
    )
