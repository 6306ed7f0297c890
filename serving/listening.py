"""uvicorn's server, with clocks for TLS: its own lets a handshake take a minute, and a goodbye half of one."""

from __future__ import annotations

import asyncio
from socket import socket
from typing import Any

import uvicorn


class Listener(uvicorn.Server):
    """Takes connections on sockets that are bound; TLS has `patience_s` for its handshake and for its goodbye."""

    def __init__(self, config: uvicorn.Config, patience_s: float) -> None:
        super().__init__(config)
        self._patience_s = patience_s

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """What uvicorn does for sockets that it is given; it passes no timeouts on."""
        await self.lifespan.startup()
        config, loop = self.config, asyncio.get_running_loop()
        patience = self._patience_s if config.ssl else None
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=bound,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=patience,
                ssl_shutdown_timeout=patience,
            )
            for bound in sockets or []
        ]
        self.started = True

    def _connection(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
