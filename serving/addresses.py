"""Where the predictor listens. A port that is taken is said before anything is loaded."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from churn.domain.errors import UserError


@dataclass(frozen=True)
class Address:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bind(self) -> socket.socket:
        """A socket that holds the address, not listening yet. Raises UserError when it cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
        except OSError as error:
            bound.close()
            raise self.refused(error) from error
        return bound

    def probe(self) -> None:
        """Raises UserError when the address cannot be had now."""
        self.bind().close()

    def refused(self, error: OSError | None = None) -> UserError:
        """Why nobody can listen here: it is taken, unless the system says something else."""
        reason = os.strerror(error.errno) if error and error.errno and error.errno > 0 else "Address already in use"
        return UserError(f"cannot listen: {reason}", where=str(self), remedy="choose another port or host")
