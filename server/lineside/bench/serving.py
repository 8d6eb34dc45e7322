"""A server that is measured, as a process: on a free port of this machine, on a core of its own, until stdin ends."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading

import uvicorn

HOST = "127.0.0.1"


def arguments(description: str) -> argparse.Namespace:
    """The command line of a measured server: `port`, `provider`, `core`, `voice`, `ears` and `vad`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="0: any that is free (default)")
    parser.add_argument("--provider", required=True, help="the provider stand-in, as ws://host:port")
    parser.add_argument("--core", type=int, help="run on this processor core only")
    parser.add_argument("--voice", default="deepgram", help="whose protocol to speak, where there is a choice")
    parser.add_argument("--ears", action="store_true", help="have Deepgram hear the callers")
    parser.add_argument("--vad", action="store_true", help="have a detector of our own hear them too")
    return parser.parse_args()


def serve(config: uvicorn.Config, *, core: int | None = None) -> None:
    """Serve as `config` says; prints `listening on host:port` when requests are taken."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})  # before any thread starts: they inherit it
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            host, port = sockets[0].getsockname()
            sys.stdout.write(f"listening on {host}:{port}\n")
            sys.stdout.flush()
            threading.Thread(target=self._leave_with_stdin, daemon=True).start()

    def _leave_with_stdin(self) -> None:
        # The descriptor itself: a daemon thread inside sys.stdin would hold its lock when the interpreter ends.
        while os.read(0, 4096):
            pass
        self.should_exit = True
