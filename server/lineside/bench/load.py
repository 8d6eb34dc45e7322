"""The load bench: the bare loop and Lineside under the same calls, one after the other, on the same machine.

Every part is a process of its own: the provider stand-in, the server that is measured (alone on a core, where there is
more than one), and the load generator. Needs Linux, which tells what another process has used.

On a machine that is busy with other things the delays are theirs: the report's `waited for a core` shows it. There,
run it with priority over them, as in `chrt -f 1 lineside bench`.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer

from lineside.bench import script
from lineside.bench.report import YARDSTICK, Figures, Report, Round
from lineside.errors import LinesideError

START = 30.0  # s for a process to say where it listens
STOP = 10.0  # s for a process to end once it was told to
SLACK = 60.0  # s that a run may take beyond what it plans
CALLS_A_SECOND = 10  # that connect, on a slow machine


@dataclass(frozen=True, slots=True)
class Server:
    """Something to measure: how to start it, and what to call."""

    module: str
    url: str


SERVERS: Mapping[str, Server] = {
    YARDSTICK: Server("lineside.bench.bare_loop", "ws://{address}/media"),
    "lineside": Server("lineside.bench.server", "http://{address}/twilio/voice"),
}


def run(calls: int, seconds: float, rounds: int = 1, *, keys: str = script.TALK, voice: str = "deepgram") -> Report:
    """Measure every server under so many calls at once.

    Args:
        calls: at once, for each server.
        seconds: of talk that are measured; connecting and the first answers come before.
        rounds: each measures all servers, in turns of order, so that a drift of the machine's speed cancels out.
        keys: the answers that callers ask for, see `lineside.bench.script`.
        voice: whose protocol Lineside speaks to the provider; the bare loop speaks Deepgram's.

    Raises:
        LinesideError: a process did not start, or a run failed.
    """
    if sys.platform != "linux":
        raise LinesideError("the load bench needs Linux: it reads what other processes use")
    with tempfile.TemporaryDirectory() as folder, _cores() as core:
        bench = _Bench(calls, seconds, keys, core, folder, voice)
        return Report(calls, seconds, [bench.round(backwards=n % 2 == 1) for n in range(rounds)])


@contextmanager
def _cores() -> Iterator[int | None]:
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


@dataclass(frozen=True, slots=True)
class _Bench:
    calls: int
    seconds: float
    keys: str
    core: int | None
    folder: str
    """Where the processes run: no `.env` and no configuration of the user's is there."""
    voice: str = "deepgram"

    def round(self, *, backwards: bool) -> Round:
        order = sorted(SERVERS, key=list(SERVERS).index, reverse=backwards)
        measured = {name: self._measure(SERVERS[name]) for name in order}
        return {name: measured[name] for name in SERVERS}

    @property
    def _voice(self) -> list[str]:
        return ["--voice", self.voice]

    def _measure(self, server: Server) -> Figures:
        """One server, from its start to its end; the provider is new each time, too."""
        environment = _environment()
        core = [] if self.core is None else ["--core", str(self.core)]
        with (
            self._process(["lineside.standin.provider", "--voice", "tone"], environment) as (_, provider),
            self._process([server.module, "--provider", provider, *core, *self._voice], environment) as (pid, address),
        ):
            return self._load(server.url.format(address=address), pid, environment)

    def _load(self, url: str, pid: int, environment: Mapping[str, str]) -> Figures:
        given = ["--server", url, "--watch", pid, "--calls", self.calls, "--seconds", self.seconds, "--keys", self.keys]
        command = _python("lineside.bench.load_phone", *map(str, given))
        limit = self.seconds + self.calls / CALLS_A_SECOND + SLACK
        try:
            done = subprocess.run(  # noqa: S603  # our own module
                command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, timeout=limit, check=True
            )
        except subprocess.SubprocessError as exc:
            raise LinesideError(f"the load on {url} failed: {exc}") from exc
        return Figures.of(json.loads(done.stdout))

    @contextmanager
    def _process(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[int, str]]:
        """A process that says `listening on` something, and stops when its stdin ends; its id, and that something.

        Raises:
            LinesideError: it did not start.
        """
        with subprocess.Popen(  # noqa: S603  # our own modules
            _python(*arguments),
            env=environment,
            cwd=self.folder,
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


def _environment() -> dict[str, str]:
    """The user's, without any setting of ours, and an account of the carrier's that nobody knows."""
    ours = ("LINESIDE_", "TWILIO_", "DEEPGRAM_", "ELEVENLABS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "TWILIO_ACCOUNT_SID": "AC" + secrets.token_hex(16),
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
    }
