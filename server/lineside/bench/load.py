"""The load bench: the bare loop and Lineside under the same calls, one after the other, on the same machine.

Every part is a process of its own: the provider stand-in, the server that is measured (alone on a core, where there is
more than one), and the load generator. Needs Linux, which tells what another process has used.

On a machine that is busy with other things the delays are theirs: the report's `waited for a core` shows it. There,
run it with priority over them, as in `chrt -f 1 lineside bench`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lineside.bench import script
from lineside.bench.processes import cores, environment, process, told
from lineside.bench.report import YARDSTICK, Figures, Report, Round
from lineside.errors import LinesideError

SLACK = 60.0  # s that a run may take beyond what it plans
CALLS_A_SECOND = 10  # that connect, on a slow machine


@dataclass(frozen=True, slots=True)
class Server:
    """Something to measure: how to start it, and what to call."""

    module: str
    url: str
    options: tuple[str, ...] = ()


BARE = Server("lineside.bench.bare_loop", "ws://{address}/media")
OURS = Server("lineside.bench.server", "http://{address}/twilio/voice")

SERVERS: Mapping[str, Server] = {YARDSTICK: BARE, "lineside": OURS}

EARED = YARDSTICK + " + ears"  # the yardstick of those who hear
HEARING: Mapping[str, Server] = {
    EARED: replace(BARE, options=("--ears",)),
    "lineside": OURS,
    "lineside + ears": replace(OURS, options=("--ears",)),
    "lineside + ears + VAD": replace(OURS, options=("--ears", "--vad")),
}


def run(
    calls: int,
    seconds: float,
    rounds: int = 1,
    *,
    keys: str = script.TALK,
    voice: str = "deepgram",
    ears: bool = False,
) -> Report:
    """Measure every server under so many calls at once.

    Args:
        calls: at once, for each server.
        seconds: of talk that are measured; connecting and the first answers come before.
        rounds: each measures all servers, in turns of order, so that a drift of the machine's speed cancels out.
        keys: the answers that callers ask for, see `lineside.bench.script`.
        voice: whose protocol Lineside speaks to the provider; the bare loop speaks Deepgram's.
        ears: measure what hearing costs. The callers speak (without words: see `lineside.bench.load_call.speech`), and
            the yardstick is a bare loop that sends what they say to a recogniser.

    Raises:
        LinesideError: a process did not start, or a run failed.
    """
    if sys.platform != "linux":
        raise LinesideError("the load bench needs Linux: it reads what other processes use")
    with tempfile.TemporaryDirectory() as folder, cores() as core:
        bench = _Bench(calls, seconds, keys, core, folder, voice, ears)
        measured = [bench.round(backwards=n % 2 == 1) for n in range(rounds)]
    return Report(calls, seconds, measured, EARED if ears else YARDSTICK)


@dataclass(frozen=True, slots=True)
class _Bench:
    calls: int
    seconds: float
    keys: str
    core: int | None
    folder: str
    """Where the processes run: no `.env` and no configuration of the user's is there."""
    voice: str = "deepgram"
    ears: bool = False

    def round(self, *, backwards: bool) -> Round:
        servers = HEARING if self.ears else SERVERS
        order = sorted(servers, key=list(servers).index, reverse=backwards)
        measured = {name: self._measure(servers[name]) for name in order}
        return {name: measured[name] for name in servers}

    def _measure(self, server: Server) -> Figures:
        """One server, from its start to its end; the provider is new each time, too."""
        variables = environment()
        core = [] if self.core is None else ["--core", str(self.core)]
        options = ["--voice", self.voice, *core, *server.options]
        with (
            process(["lineside.standin.provider", "--voice", "tone"], variables, self.folder) as (speech_pid, provider),
            process([server.module, "--provider", provider, *options], variables, self.folder) as (pid, address),
        ):
            return self._load(server.url.format(address=address), pid, speech_pid, variables)

    def _load(self, url: str, pid: int, provider: int, variables: Mapping[str, str]) -> Figures:
        given = ["--server", url, "--watch", pid, "--provider", provider]
        given += ["--calls", self.calls, "--seconds", self.seconds, "--keys", self.keys]
        given += ["--speaks"] if self.ears else []
        limit = self.seconds + self.calls / CALLS_A_SECOND + SLACK
        return Figures.of(told(["lineside.bench.load_phone", *given], variables, self.folder, limit))
