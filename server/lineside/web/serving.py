"""Serving an application with uvicorn, set up for media: the direct WebSocket, no compression, no request log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from lineside.observe.log import HidePasses
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
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).addFilter(HidePasses())
    server = _Server(config(app, host, port))
    task = asyncio.get_running_loop().create_task(server.serve(), name="server")
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the application did not start")
            await asyncio.sleep(0.01)
        bound = server.servers[0].sockets[0].getsockname()
        yield f"{bound[0]}:{bound[1]}"
    finally:
        server.should_exit = True
        await task
