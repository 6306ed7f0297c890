"""The roles on this machine: each is a virtual environment made from the same lock as its image."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from churn.domain.errors import UserError
from components.images import Role

PROJECT = Path(__file__).resolve().parents[2]


class Environments:
    """The folder of the roles' environments: `CHURN_ENVIRONMENTS`, else `.venvs` in the project."""

    def __init__(self) -> None:
        self.folder = Path(os.environ.get("CHURN_ENVIRONMENTS") or PROJECT / ".venvs").absolute()

    def prefix(self, role: Role) -> Path:
        """The folder of a role's environment, whether it is there or not."""
        return self.folder / role

    def python(self, role: Role) -> Path:
        """The interpreter of a role. Raises UserError when the role's environment is not there."""
        self.check([role])
        return self._python(role)

    def check(self, roles: Iterable[Role]) -> None:
        """Looks for all of these roles' environments. Raises UserError, which names those that are not there."""
        missing = sorted({role for role in roles if not self._python(role).exists()})
        if missing:
            raise UserError(f"no environment for {', '.join(missing)}", where=str(self.folder), remedy="make install")

    def _python(self, role: Role) -> Path:
        return self.prefix(role) / "bin" / "python"
