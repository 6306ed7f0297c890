"""The contracts this repository carries, one YAML file each, and how a contract is found by its name or address."""

from __future__ import annotations

from pathlib import Path

from churn.domain.contract import Contract, parse
from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.stores import objects
from churn.stores.addresses import is_s3
from churn.stores.settings import Settings

_FOLDER = Path(__file__).parent
_SUFFIXES = (".yaml", ".yml")


def known() -> list[str]:
    """Names of the contracts in this folder."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def resolve(settings: Settings, address: str, model: str = "") -> Contract:
    """The contract at an address: a name from `known`, a YAML file's path, or an `s3://` object.

    `model`, when given, becomes its name. Raises UserError when there is none, or when it is no valid contract."""
    contract = parse(_read(_find(settings, address), address), where=address)
    if not model or model == contract.name:
        return contract
    return parse(contract.named(model).to_yaml(), where=f"model '{model}'")


def _find(settings: Settings, address: str) -> Path:
    if is_s3(address):
        return objects.fetch(settings, address)
    if "/" in address or address.endswith(_SUFFIXES):
        return Path(address)
    path = _FOLDER / f"{address}.yaml"
    if not path.is_file():
        advice = f"{nearest(address, known())}; the contract of a table of your own is given as a .yaml file"
        raise UserError("there is no contract of this name", where=address or "contract", remedy=advice)
    return path


def _read(path: Path, address: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        remedy = "check the path, or draft one: churn contract draft"
        raise UserError("there is no such contract", where=address, remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", where=address, remedy="save the contract as UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=address) from error
