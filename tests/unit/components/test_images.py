from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from components.images import ROLES, Role, image, role_of

REFERENCES = [
    "churn/{role}:dev",
    "{role}",
    "ghcr.io/acme/churn/{role}:1.4.0",
    "registry.local:5000/{role}",
    "registry.local:5000/churn/{role}:v1@sha256:0123456789abcdef",
    "churn/{role}@sha256:0123456789abcdef",
]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHURN_IMAGE_REGISTRY", raising=False)
    monkeypatch.delenv("CHURN_IMAGE_TAG", raising=False)


def test_roles_are_the_extras_of_the_project_that_have_a_lock_beside_their_image() -> None:
    project = Path(__file__).parents[3]
    extras = tomllib.loads((project / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert set(ROLES) == set(extras) - {"local", "dev"}
    assert all((project / "docker" / role / "requirements.lock").exists() for role in ROLES)


def test_an_image_is_named_for_this_machine_when_nothing_is_said() -> None:
    assert image("monitoring") == "churn/monitoring:dev"


def test_the_environment_names_registry_and_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_IMAGE_REGISTRY", "ghcr.io/acme/churn/")
    monkeypatch.setenv("CHURN_IMAGE_TAG", "1.4.0")

    assert image("model-serving") == "ghcr.io/acme/churn/model-serving:1.4.0"


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_IMAGE_REGISTRY", "ghcr.io/acme")
    monkeypatch.setenv("CHURN_IMAGE_TAG", "1.4.0")

    assert image("model-training", registry="localhost:5000/churn", tag="2") == "localhost:5000/churn/model-training:2"


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_read_back_from_any_reference(role: Role, reference: str) -> None:
    assert role_of(reference.format(role=role)) == role


def test_a_compiled_reference_moves_to_another_registry() -> None:
    moved = [image(role_of(image(role)), registry="ghcr.io/acme", tag="1") for role in ROLES]

    assert moved == [f"ghcr.io/acme/{role}:1" for role in ROLES]


@pytest.mark.parametrize("reference", ["python:3.11-slim", "monitoring/agent:dev", "", "churn/monitoring-extra:dev"])
def test_an_image_of_no_role_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match="the image of no role"):
        role_of(reference)
