"""A server that is measured, as a process: on a free port of this machine, on a core of its own, until stdin ends."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"


def arguments(description: str) -> argparse.Namespace:
    """The command line of a measured server: `port`, `provider` and `core`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="0: any that is free (default)")
    parser.add_argument("--provider", required=True, help="the provider stand-in, as ws://host:port")
    parser.add_argument("--core", type=int, help="run on this processor core only")
    return parser.parse_args()


def serve(app: ASGIApp, ws: str, *, port: int = 0, core: int | None = None) -> None:
    """Serve `app`; says `listening on 127.0.0.1:port` on stdout when it takes requests.

    Args:
        ws: uvicorn's name of a WebSocket implementation, or the import path of one.
    """
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})  # before any thread starts: they inherit it
    config = uvicorn.Config(app, loop="uvloop", http="httptools", ws=ws, log_level="warning", access_log=False)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            sys.stdout.write(f"listening on {HOST}:{sockets[0].getsockname()[1]}\n")
            sys.stdout.flush()
            threading.Thread(target=self._leave_with_stdin, daemon=True).start()

    def _leave_with_stdin(self) -> None:
        # The descriptor itself: a daemon thread inside sys.stdin would hold its lock when the interpreter ends.
        while os.read(0, 4096):
            pass
        self.should_exit = True
