"""What is declared: the schedules of a YAML, checked against the pipelines that they start."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from churn.domain import strict_yaml
from churn.domain.errors import UserError
from churn.domain.formula import nearest
from local.schedules import cron, parameters

DEFAULT = Path(__file__).resolve().parents[2] / "pipelines" / "schedules.yaml"

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")]
Concurrency = Annotated[int, msgspec.Meta(ge=1, le=10)]

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "String": ((str,), "text"),
    "Integer": ((int,), "an integer"),
    "Float": ((int, float), "a number"),
    "Boolean": ((bool,), "true or false"),
    "List": ((list,), "a list"),
    "Dict": ((dict,), "a mapping"),
}


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a pipeline runs, and with what; `experiment` is the declaration's where it is empty."""

    name: Name
    pipeline: str
    cron: str
    parameters: dict[str, Any] = {}
    enabled: bool = True
    max_concurrency: Concurrency = 1
    catch_up: bool = False
    experiment: str = ""

    def digest(self, version: str) -> str:
        """What names this schedule of this version of its pipeline: 16 hexadecimal digits."""
        meant = {**msgspec.to_builtins(self), "version": version, "enabled": True}
        return hashlib.sha256(msgspec.json.encode(meant, order="sorted")).hexdigest()[:16]


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All schedules of one owner; those of other owners, and of nobody, are not its business."""

    owner: Name
    experiment: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    schedules: tuple[Schedule, ...]


def read(path: Path, pipelines: Mapping[str, Any]) -> Declaration:
    """The schedules of a file, each with its experiment. Raises UserError that names the file and the place in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError("cannot be read", where=str(path), remedy=error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise UserError("is no text in UTF-8", where=str(path)) from error
    try:
        declared = msgspec.convert(strict_yaml.parse(text, str(path)), Declaration)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        raise UserError(problem, where=f"{path}: {place.strip('`').removeprefix('$.') or 'the document'}") from error
    for number, schedule in enumerate(declared.schedules):
        _check(schedule, f"{path}: schedules[{number}] ({schedule.name})", pipelines)
    for name, count in Counter(schedule.name for schedule in declared.schedules).items():
        if count > 1:
            raise UserError(f"the name '{name}' stands {count} times", where=f"{path}: schedules")
    named = [
        msgspec.structs.replace(schedule, experiment=schedule.experiment or declared.experiment)
        for schedule in declared.schedules
    ]
    return msgspec.structs.replace(declared, schedules=tuple(named))


def _check(schedule: Schedule, where: str, pipelines: Mapping[str, Any]) -> None:
    if schedule.pipeline not in pipelines:
        remedy = nearest(schedule.pipeline, list(pipelines))
        raise UserError(f"there is no pipeline '{schedule.pipeline}'", where=f"{where}.pipeline", remedy=remedy)
    cron.check(schedule.cron, f"{where}.cron")
    inputs = pipelines[schedule.pipeline].component_spec.inputs or {}
    for name, value in schedule.parameters.items():
        if name not in inputs:
            remedy = nearest(name, list(inputs))
            raise UserError(f"pipeline {schedule.pipeline} has no parameter '{name}'", f"{where}.parameters", remedy)
        _check_value(value, inputs[name].type, f"{where}.parameters.{name}")
    for name, spec in inputs.items():
        if not spec.optional and name not in schedule.parameters:
            raise UserError(f"pipeline {schedule.pipeline} needs '{name}'", where=f"{where}.parameters")
    parameters.check(schedule.pipeline, schedule.parameters, f"{where}.parameters")


def _check_value(value: Any, kind: str, where: str) -> None:
    types, said = _KINDS.get(kind, ((object,), kind))
    wrong = not isinstance(value, types) or (isinstance(value, bool) and bool not in types and object not in types)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{value!r} is not {said}", where=where)
