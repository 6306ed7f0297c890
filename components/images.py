"""The container images that steps run in: one image a role, named in one place.

A component's image is fixed when its module is imported, from `CHURN_IMAGE_REGISTRY` and `CHURN_IMAGE_TAG`. To compile
a pipeline for a cluster, rewrite each image of its document: `image(role_of(reference), registry=..., tag=...)`.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

Role = Literal["data-processing", "model-training", "model-serving", "monitoring"]

ROLES: tuple[Role, ...] = get_args(Role)

DEFAULT_REGISTRY = "churn"
DEFAULT_TAG = "dev"


def image(role: Role, *, registry: str | None = None, tag: str | None = None) -> str:
    """The reference of the image of a role, `<registry>/<role>:<tag>`; what is not given comes from the environment."""
    registry = registry or os.environ.get("CHURN_IMAGE_REGISTRY") or DEFAULT_REGISTRY
    tag = tag or os.environ.get("CHURN_IMAGE_TAG") or DEFAULT_TAG
    return f"{registry.rstrip('/')}/{_known(role)}:{tag}"


def role_of(reference: str) -> Role:
    """The role whose image a reference names, whatever its registry, tag or digest. Raises ValueError when none is."""
    repository = reference.partition("@")[0].rpartition("/")[2]
    return _known(repository.partition(":")[0], reference)


def _known(name: str, reference: str = "") -> Role:
    for role in ROLES:
        if role == name:
            return role
    raise ValueError(f"{reference or name} is the image of no role; the roles are {', '.join(ROLES)}")
