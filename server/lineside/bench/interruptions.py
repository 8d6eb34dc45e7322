"""How soon a key silences the agent when fifty callers interrupt: the bare loop and Lineside, one after the other.

Each caller presses a key at a random moment of each answer, again and again. Measured is, at the phone, the time from
the key's message being written to its socket until the server's clear has come: the network of this machine, the
server's loop, what it decides, and the way back. The bare loop answers a key with a clear and nothing else, so the
difference is what deciding costs. Behind each clear the audio is looked at: what comes before the first 20 ms of the
new answer is of the old one.

Every part is a process of its own, as in the load bench, and so it needs Linux. A run whose generator was late by over
5 ms at its 99th percentile measures the generator: it is void. The bare loop drops nothing of what the provider still
sends; it is here for its delay.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from lineside.bench.load import BARE, CALLS_A_SECOND, OURS, SLACK, Server
from lineside.bench.processes import cores, environment, process, told
from lineside.bench.report import LATE, YARDSTICK, percentiles
from lineside.errors import LinesideError

CALLS = 50
SECONDS = 18.0
ROUNDS = 2
MOST_ADDED_MS = 5.0  # at the 99th percentile
SERVERS = {YARDSTICK: BARE, "lineside": OURS}


@dataclass(frozen=True, slots=True)
class Measured:
    """One server, in all its runs that count."""

    delays_ms: Sequence[float]
    """From a key to its clear, for each interruption."""
    stale: Sequence[int]
    """Bytes of the old answer behind each clear that an answer followed."""
    uncleared: int
    """Keys that came while the agent was to be heard, and cleared nothing."""
    stuck: int
    """Answers that did not come."""
    lost: int
    """Calls that the server dropped."""
    late_ms: float
    """The generator's lateness at its 99th percentile, the worst of the runs."""
    n_void: int = 0
    """Runs that do not count. When none does, they are all in here."""

    @property
    def void(self) -> bool:
        return self.late_ms > LATE

    @classmethod
    def of(cls, runs: Sequence[dict[str, Any]]) -> Measured:
        """From what the generator printed."""
        valid = [run for run in runs if run["late_ms"] <= LATE] or runs
        return cls(
            delays_ms=[delay for run in valid for delay in run["delays_ms"]],
            stale=[n_bytes for run in valid for n_bytes in run["stale"]],
            uncleared=sum(run["uncleared"] for run in valid),
            stuck=sum(run["stuck"] for run in valid),
            lost=sum(run["lost"] for run in valid),
            late_ms=max(run["late_ms"] for run in valid),
            n_void=sum(run["late_ms"] > LATE for run in runs),
        )


def measure(calls: int = CALLS, seconds: float = SECONDS, rounds: int = ROUNDS) -> dict[str, Measured]:
    """Both servers under so many interrupting callers; the order changes from round to round.

    Raises:
        LinesideError: a process did not start, or a run failed.
    """
    if sys.platform != "linux":
        raise LinesideError("the bench of interruptions needs Linux: it gives the server a core of its own")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory() as folder, cores() as core:
        for n in range(rounds):
            for name in sorted(SERVERS, key=list(SERVERS).index, reverse=n % 2 == 1):
                runs[name].append(_run(SERVERS[name], calls, seconds, folder, core))
    return {name: Measured.of(each) for name, each in runs.items()}


def _run(server: Server, calls: int, seconds: float, folder: str, core: int | None) -> dict[str, Any]:
    variables = environment()
    options = [] if core is None else ["--core", str(core)]
    with (
        process(["lineside.standin.provider", "--voice", "tone"], variables, folder) as (_, provider),
        process([server.module, "--provider", provider, *options], variables, folder) as (_, address),
    ):
        url = server.url.format(address=address)
        given = ["--server", url, "--calls", calls, "--seconds", seconds]
        limit = seconds + calls / CALLS_A_SECOND + SLACK
        measured: dict[str, Any] = told(["lineside.bench.interruptions_phone", *given], variables, folder, limit)
        return measured


def holds(measured: dict[str, Measured]) -> bool:
    """Lineside clears every time, in time, and nothing of the old answer follows."""
    ours, bare = measured["lineside"], measured[YARDSTICK]
    if ours.void or bare.void or not ours.delays_ms or not bare.delays_ms:
        return False
    added = percentiles(ours.delays_ms)[1] - percentiles(bare.delays_ms)[1]
    return added <= MOST_ADDED_MS and not any(ours.stale) and not (ours.uncleared or ours.stuck or ours.lost)


def rows(measured: dict[str, Measured]) -> list[list[str]]:
    """The table as text: a head, then a row a measure."""
    bare, ours = (measured[name] for name in SERVERS)
    delays = [percentiles(each.delays_ms) for each in (bare, ours)]
    heads = [name + (" (void)" if measured[name].void else "") for name in SERVERS]
    found = [
        ["", *heads, "added"],
        ["interruptions", *(str(len(each.delays_ms)) for each in (bare, ours)), ""],
    ]
    for i, name in enumerate(("p50", "p99")):
        added = f"{delays[1][i] - delays[0][i]:+.2f}"
        found.append([f"key to clear {name} ms", *(f"{each[i]:.2f}" for each in delays), added])
    for name, values in {
        "bytes of the old answer behind a clear": [sum(each.stale) for each in (bare, ours)],
        "keys without their clear": [each.uncleared for each in (bare, ours)],
        "answers or calls lost": [each.stuck + each.lost for each in (bare, ours)],
        "void runs": [each.n_void for each in (bare, ours)],
    }.items():
        found.append([name, *map(str, values), ""])
    return [*found, ["generator late p99 ms", *(f"{each.late_ms:.2f}" for each in (bare, ours)), ""]]


def main() -> bool:
    """Print the table; True if the clear comes at most 5 ms (p99) after the bare loop's, and nothing stale follows."""
    measured = measure()
    heads, *body = rows(measured)
    table = Table(title=f"{CALLS} calls, {ROUNDS} x {SECONDS:g} s", box=box.SIMPLE_HEAD)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in body:
        table.add_row(*row)
    Console().print(table)
    return holds(measured)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
