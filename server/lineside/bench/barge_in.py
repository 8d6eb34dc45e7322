"""The curve that callers feel: how soon the agent is silent when they speak, and how often it is when they do not.

Two measurements, both on the jumping clock with the stand-ins, so that hours of talk take minutes:

- *Delays*: a caller interrupts a speaking agent again and again. Counted is the time from the first sample at the
  caller's mouth to the last of the agent's at the phone's ear, for each turn policy, recogniser and round trip, and on
  a line with echo. Beside it stands the recogniser's share, from that sample's arrival to the first message with a word
  of the caller's that is more than a listener's sound, as the recogniser's record has it. With the policy `words`
  nobody can be faster than that share and the round trip.
- *Peace*: the agent speaks while nobody interrupts, and something else is to be heard. A *false cut* is a turn that
  ended all the same. A *hold* is a silence that the agent broke itself, going on where the caller had stopped hearing.

The aim: 95 of 100 interruptions take effect within 300 ms and the round trip, with at most one false cut in an hour of
the agent's speech under each disturbance. The recognisers' latencies are the stand-ins': set to what is published and
was seen (`standin/recogniser/faults.py`), not measured anew. So is the caller's onset: words that are loud from their
first sample, which the detector of speech tells sooner than a soft consonant.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from lineside.bench.barge_in_calls import (
    EARS,
    POLICIES,
    Disturbance,
    Interruptions,
    Peace,
    Way,
    disturb,
    disturbances,
    interrupt,
    on_the_clock,
)

AIM_S = 0.300
OVERHEAD_S = 0.100  # s between the recogniser's message and silence, without the network: a frame each way, and ours
CUTS_AN_HOUR = 1.0
LINES = ((0.0, False), (0.08, False), (0.2, False), (0.08, True))  # round trip, s; whether our voice comes back
WAYS = tuple(Way(*way) for way in product(POLICIES, EARS))


@dataclass(frozen=True, slots=True)
class Delay:
    """One row of the first table."""

    way: Way
    round_trip_s: float
    found: Interruptions
    echo: bool = False

    @property
    def p95(self) -> float:
        return percentile(self.found.delays, 95)

    @property
    def reached(self) -> bool:
        """Within the aim."""
        return self.p95 <= AIM_S + self.round_trip_s

    @property
    def explained(self) -> bool:
        """Within the aim, or, where words decide, as soon as the recogniser lets it be."""
        share = percentile(self.found.told, 95)
        return self.reached or (self.way.policy == "words" and self.p95 <= share + self.round_trip_s + OVERHEAD_S)


@dataclass(frozen=True, slots=True)
class Calm:
    """One cell of the second table."""

    way: Way
    disturbance: Disturbance
    found: Peace

    @property
    def cuts_an_hour(self) -> float:
        return self.found.an_hour(self.found.cuts)

    @property
    def reached(self) -> bool:
        return self.cuts_an_hour <= CUTS_AN_HOUR or not self.disturbance.ours


def main(minutes: float = 2.0, interruptions: int = 20) -> bool:
    """Measure, and write the tables to standard output as they come.

    Args:
        minutes: of talk for each cell of the second table. With less than an hour one false cut is more than one an
            hour: a short run can fail the aim by chance, and passing it proves the less the shorter it is.
        interruptions: for each row of the first.

    Returns:
        Whether all bounds hold: the aim for `vad`; for `words` the recogniser's share and OVERHEAD_S, if that is more.
    """
    delays: list[Delay] = []
    calms: list[Calm] = []
    for line in run(delays, calms, minutes, interruptions):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return all(row.explained for row in delays) and all(cell.reached for cell in calms)


def run(delays: list[Delay], calms: list[Calm], minutes: float, interruptions: int) -> Iterator[str]:
    """Measure everything into the two lists; gives the report line by line."""
    yield "speech onset at the caller's mouth -> silence at the phone's ear, ms"
    head = f"{'policy':<7}{'ears':<15}"
    yield f"{head}{'round trip':>10}{'p50':>7}{'p95':>7}  {'recogniser p50':>14}{'p95':>7}  {'n':>3}  aim"
    for way, (round_trip_s, echo) in product(WAYS, LINES):
        row = Delay(way, round_trip_s, on_the_clock(interrupt(way, round_trip_s, interruptions, echo=echo)), echo)
        delays.append(row)
        yield _delay_line(row)
    yield "aim: p95 at most 300 ms and the round trip; `recogniser`: later than that, but no later than it lets us be"
    kinds = disturbances()
    yield ""
    yield f"while nobody interrupts, in an hour of the agent's speech ({minutes:g} min measured for each)"
    yield f"{head}{'':<8}" + "".join(f"{each.name:>10}" for each in kinds) + "  aim"
    for way in WAYS:
        row_of = [Calm(way, each, on_the_clock(disturb(way, each, minutes * 60))) for each in kinds]
        calms += row_of
        yield from _calm_lines(row_of)
    yield ""
    yield from _verdict(delays, calms)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many per cent do not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _ms(seconds: float) -> str:
    return "-" if math.isnan(seconds) else "never" if math.isinf(seconds) else f"{seconds * 1000:.0f}"


def _delay_line(row: Delay) -> str:
    found = row.found
    return (
        f"{row.way.policy:<7}{row.way.ears:<15}{_ms(row.round_trip_s) + ' echo' * row.echo:>10}"
        f"{_ms(percentile(found.delays, 50)):>7}{_ms(row.p95):>7}"
        f"  {_ms(percentile(found.told, 50)):>14}{_ms(percentile(found.told, 95)):>7}"
        f"  {len(found.delays):>3}  {'reached' if row.reached else 'recogniser' if row.explained else 'missed'}"
    )


def _calm_lines(cells: Sequence[Calm]) -> Iterator[str]:
    """Cuts; and holds with their silence, where there were any."""
    way, rated = cells[0].way, [cell.found for cell in cells]
    head = f"{way.policy:<7}{way.ears:<15}"
    cuts = "".join(f"{cell.cuts_an_hour:>10.0f}" for cell in cells)
    yield f"{head}{'cuts/h':<8}{cuts}  {'reached' if all(cell.reached for cell in cells) else 'missed'}"
    if any(each.holds for each in rated):
        yield f"{'':<22}{'holds/h':<8}" + "".join(f"{each.an_hour(each.holds):>10.0f}" for each in rated)
        yield f"{'':<22}{'s/h':<8}" + "".join(f"{each.an_hour(each.held_s):>10.0f}" for each in rated)


def _verdict(delays: Sequence[Delay], calms: Sequence[Calm]) -> Iterator[str]:
    for way in WAYS:
        soon = all(row.reached for row in delays if row.way == way)
        missed = [cell.disturbance.name for cell in calms if cell.way == way and not cell.reached]
        yield (
            f"{way.policy:<7}{way.ears:<15}"
            f"{'within 300 ms + round trip' if soon else 'later than 300 ms + round trip'}, "
            f"{'false cuts by ' + ', '.join(missed) if missed else 'at most one false cut an hour'}"
        )
    yield "`others` (somebody else's words, 12 dB below the caller) is not part of the aim: they are words."


if __name__ == "__main__":
    sys.exit(not main())
