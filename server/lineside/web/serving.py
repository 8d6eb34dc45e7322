"""Serving an application with uvicorn, set up for media: the direct WebSocket, no compression, no request log."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from lineside.observe.log import hide_secrets
from lineside.web.direct import DirectProtocol

PING_EVERY = 20.0  # s; keeps proxies from taking a silent direction for a dead one
LARGEST = 65_536  # bytes a message; the carrier's are about 350
SHUTDOWN = 10  # s for requests in progress

_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


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
        OSError: the port is taken, or the host is not this machine.
    """
    hide_secrets()
    listeners = await _listen(host, port)
    bound = listeners[0].getsockname()
    settings = config(app, host, port)
    settings.lifespan = "off"  # what is served was started before
    server = _Server(settings)
    task = asyncio.get_running_loop().create_task(server.serve(listeners), name="server")
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server ended before it had begun")
            await asyncio.sleep(0.01)
        yield f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
    finally:
        server.should_exit = True
        await task


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, one for each address of `host`. The server's own way to them ends the process if one is taken."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    failure: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            # With its protocol named: for a socket without one asyncio does not turn Nagle's delay off.
            listener = socket.socket(family, kind, protocol)
            _bind(listener, (address[0], port, *address[2:]))
        except OSError as exc:
            failure = exc
            if exc.errno in _NOT_HERE:  # `localhost` may have an IPv6 address where there is no IPv6
                continue
            break
        listeners.append(listener)
        port = listener.getsockname()[1]
    else:
        if listeners:
            return listeners
    for listener in listeners:
        listener.close()
    reason = failure or OSError(errno.EADDRNOTAVAIL, "no address")
    raise OSError(reason.errno, reason.strerror, f"{host}:{port}")


def _bind(listener: socket.socket, address: tuple[Any, ...]) -> None:
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
