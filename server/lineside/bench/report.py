"""What a load run measured, and what that says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

from rich import box
from rich.table import Table

YARDSTICK = "bare"
LATE = 5.0  # ms; a generator that is later than this at its 99th percentile measures itself


@dataclass(frozen=True, slots=True)
class Figures:
    """One server under load, once. Percentiles are over all calls."""

    cpu_ms: float
    """Processor time of the server's process, user and system, per second of a call."""
    idle_kb: float
    """Resident memory that a silent call adds to the server; rough below some fifty calls."""
    first_audio_ms: tuple[float, float]
    """From a key to the first byte of the answer, p50 and p99."""
    n_answers: int
    underruns: int
    """How often the carrier's queue ran dry within an answer."""
    stuck: int
    """Answers that did not come, or not wholly."""
    lost: int
    """Calls that the server dropped."""
    n_bytes: int
    """Audio received, mu-law."""
    late_ms: tuple[float, float]
    """How long after its time the generator sent a frame, p50 and p99."""
    waited: float
    """Share of the time in which the server could have run but had no core: others use this machine too."""
    provider: float
    """Share of a core that the provider stand-in used. Near 1 it is the stand-in that is measured."""

    @property
    def void(self) -> bool:
        return self.late_ms[1] > LATE

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Figures:
        """From what JSON made of `dataclasses.asdict`."""
        return cls(**{each.name: _tuple(values[each.name]) for each in fields(cls)})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Value = Callable[[Figures], float]

Round = Mapping[str, Figures]
"""Every server's figures by its name, measured one right after the other."""


@dataclass(frozen=True, slots=True)
class Report:
    """Some rounds of the same load.

    The machine's speed drifts, so ratios and differences are taken within a round and only then their median.
    """

    calls: int
    seconds: float
    rounds: Sequence[Round]
    yardstick: str = YARDSTICK
    """The server that the others are compared with."""

    @property
    def valid(self) -> Sequence[Round]:
        """Rounds whose generator kept time; all of them when none did, and then the table says `void`."""
        return [each for each in self.rounds if not _void(each)] or self.rounds

    @property
    def void(self) -> bool:
        """No round is worth anything."""
        return all(_void(each) for each in self.rounds)

    def cpu_ratio(self, server: str) -> float:
        return self._median(lambda each: each[server].cpu_ms / max(each[self.yardstick].cpu_ms, 0.001))

    def idle_ratio(self, server: str) -> float:
        return self._median(lambda each: each[server].idle_kb / max(each[self.yardstick].idle_kb, 1.0))

    def added_ms(self, server: str) -> tuple[float, float]:
        """What the server adds to the time to the first audio, at p50 and p99."""

        def added(i: int) -> float:
            return self._median(lambda each: each[server].first_audio_ms[i] - each[self.yardstick].first_audio_ms[i])

        return added(0), added(1)

    def rows(self) -> list[list[str]]:
        """The table as text: a head, then a row a measure. Every server but the yardstick has one more column, which
        holds its ratio to the yardstick, or its difference.
        """
        servers, others = list(self.rounds[0]), self._others()
        mark = " (void)" if self.void else ""
        cpu, idle = [[f"x {ratio(each):.2f}" for each in others] for ratio in (self.cpu_ratio, self.idle_ratio)]
        added = [[f"{self.added_ms(each)[i]:+.1f}" for each in others] for i in range(2)]
        return [
            ["", *(server + mark for server in servers), *(f"{server} to {self.yardstick}" for server in others)],
            self._row("CPU ms per call-second", lambda it: it.cpu_ms, ".2f", cpu),
            self._row("first audio p50 ms", lambda it: it.first_audio_ms[0], ".1f", added[0]),
            self._row("first audio p99 ms", lambda it: it.first_audio_ms[1], ".1f", added[1]),
            self._counts("ran dry within an answer", lambda it: it.underruns),
            self._counts("answers or calls lost", lambda it: it.stuck + it.lost),
            self._row("idle call kB", lambda it: it.idle_kb, ".0f", idle),
            self._row("generator late p50 ms", lambda it: it.late_ms[0], ".2f"),
            self._row("generator late p99 ms", lambda it: it.late_ms[1], ".2f"),
            self._row("waited for a core %", lambda it: 100 * it.waited, ".1f"),
            self._row("provider % of a core", lambda it: 100 * it.provider, ".0f"),
        ]

    def table(self) -> Table:
        heads, *rows = self.rows()
        n_void = sum(map(_void, self.rounds))
        table = Table(
            title=f"{self.calls} calls for {self.seconds:g} s",
            caption=f"{len(self.rounds)} rounds, {n_void} of them void: the generator was late by over {LATE:g} ms",
            box=box.SIMPLE_HEAD,
        )
        for i, head in enumerate(heads):
            table.add_column(head, justify="left" if i == 0 else "right")
        for row in rows:
            table.add_row(*row)
        return table

    def _others(self) -> list[str]:
        return [server for server in self.rounds[0] if server != self.yardstick]

    def _row(self, name: str, value: Value, form: str, compared: Sequence[str] = ()) -> list[str]:
        """A measure's median for each server, and how the others compare with the yardstick."""
        cells = [format(median(value(each[server]) for each in self.valid), form) for server in self.rounds[0]]
        return [name, *cells, *(compared or [""] * len(self._others()))]

    def _counts(self, name: str, value: Value) -> list[str]:
        """A measure's sum for each server."""
        cells = [f"{sum(value(each[server]) for each in self.valid):g}" for server in self.rounds[0]]
        return [name, *cells, *[""] * len(self._others())]

    def _median(self, value: Callable[[Round], float]) -> float:
        return median(value(each) for each in self.valid)


def _void(measured: Round) -> bool:
    return any(figures.void for figures in measured.values())


def percentiles(values: Iterable[float]) -> tuple[float, float]:
    """p50 and p99, each a value that occurred; zeros when there is none."""
    ranked = sorted(values)
    if not ranked:
        return 0.0, 0.0
    return ranked[(len(ranked) - 1) // 2], ranked[-1 - (len(ranked) - 1) // 100]
