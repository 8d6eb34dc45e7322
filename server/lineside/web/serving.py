"""Serving an application with uvicorn, set up for media: the direct WebSocket, no compression, no request log."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from lineside.observe.log import hide_secrets
from lineside.web.direct import DirectProtocol

PING_EVERY = 20.0  # s; keeps proxies from taking a silent direction for a dead one
LARGEST = 65_536  # bytes a message; the carrier's are about 350
SHUTDOWN = 10  # s for requests in progress


def config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    """How we serve. The carrier's pongs are not relied on: whether it answers pings promptly is not documented."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http="httptools",
        ws=DirectProtocol,
        ws_max_size=LARGEST,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_EVERY,
        ws_ping_timeout=None,
        proxy_headers=False,  # who may speak for the carrier is decided by the guard
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN,
    )


class _Server(uvicorn.Server):
    """One that leaves signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in this loop until the block is left; gives `host:port`.

    Raises:
        OSError: the port is taken.
        RuntimeError: the application did not start.
    """
    hide_secrets()
    listener = await _listen(host, port)
    bound = listener.getsockname()
    server = _Server(config(app, host, port))
    task = asyncio.get_running_loop().create_task(server.serve([listener]), name="server")
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the application did not start")
            await asyncio.sleep(0.01)
        yield f"{bound[0]}:{bound[1]}"
    finally:
        server.should_exit = True
        await task


async def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. The server's own way to one ends the process when the port is taken."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    # With its protocol named: for a socket without one asyncio does not turn Nagle's delay off.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, exc.strerror, f"{host}:{port}") from None
    return listener
