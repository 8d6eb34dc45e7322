"""Processes of a bench: those that are measured, and those that measure."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

from lineside.errors import LinesideError

START = 30.0  # s for a process to say where it listens
STOP = 10.0  # s for a process to end once it was told to


@contextmanager
def cores() -> Iterator[int | None]:
    """Keep a core free for the server: everything else, us included, moves to the others. None when there is one."""
    if sys.platform != "linux":
        raise LinesideError("processor cores are chosen on Linux only")
    allowed = os.sched_getaffinity(0)
    if len(allowed) == 1:
        yield None
        return
    core = min(allowed)
    os.sched_setaffinity(0, allowed - {core})  # children inherit it
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def process(arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> Iterator[tuple[int, str]]:
    """A process that says `listening on` something, and stops when its stdin ends; its id, and that something.

    Raises:
        LinesideError: it did not start.
    """
    with subprocess.Popen(  # noqa: S603  # our own modules
        _python(*arguments),
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process.pid, _listening(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()


def told(arguments: Sequence[object], environment: Mapping[str, str], folder: str, limit: float) -> Any:
    """Run a process to its end; what it prints, which is JSON.

    Args:
        limit: s that it may take.

    Raises:
        LinesideError: it failed.
    """
    command = _python(*map(str, arguments))
    try:
        done = subprocess.run(  # noqa: S603  # our own modules
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, timeout=limit, check=True
        )
    except subprocess.SubprocessError as exc:
        raise LinesideError(f"the load failed: {exc}") from exc
    return json.loads(done.stdout)


def _listening(process: subprocess.Popen[str]) -> str:
    limit = Timer(START, process.kill)
    limit.start()
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
    finally:
        limit.cancel()
    if not line.startswith("listening on "):
        raise LinesideError(f"{process.args!r} did not start")
    return line.removeprefix("listening on ").strip()


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The user's, without any setting of ours, and an account of the carrier's that nobody knows."""
    ours = ("LINESIDE_", "TWILIO_", "DEEPGRAM_", "ELEVENLABS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "TWILIO_ACCOUNT_SID": "AC" + secrets.token_hex(16),
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
    }
