"""What the agent is told that was heard, against what was: at interruptions at random moments of whole calls.

Server, local phone and provider stand-in run in one loop on the test clock. A caller presses a key at a random moment
of every turn. The claim is `cut_off.heard` of the next cue. The truth owes nothing to the server: the phone's record
tells how many bytes the carrier played until its clear, the provider's record which text those bytes are, and the voice
when each word of it was over. A word counts as heard when its last sound was played. The error is claimed words less
heard words; above 0 it is an over-claim.

Calls differ in round trip, jitter, the provider's speed and the speaking rate (0.7 to 1.4); the speakers pause at
random and read numbers out. The promise is about the carrier's playout. What the caller's ear lags behind it no server
can know: rows with such an offset are measured against the ear, and have no bound.
"""

from __future__ import annotations

import asyncio
import random
import sys
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from statistics import median
from typing import Self, cast

from lineside.bench.heard_speaker import Speaker, speakers, text
from lineside.events import CallEnded, CallerPressed, CallStarted, Cue, CutOff, Line
from lineside.standin.clock import ClockLoop
from lineside.standin.phone import PhoneCall
from lineside.standin.provider import Provider
from lineside.standin.record import Spoken
from lineside.testing import LinesideSettings, Settings, Simulation, simulation

RATE = 8000  # mu-law bytes a second
VOICES = ("deepgram", "elevenlabs", "elevenlabs-stream")
NETWORKS = ((0.0, 0.0), (0.0, 0.04), (0.08, 0.0), (0.08, 0.04), (0.2, 0.0), (0.2, 0.04))  # round trip, jitter, s
OFFSETS = (0.15, 0.3)  # s from the carrier's playout to the ear
RATES = (1.0, 0.7, 1.4, 0.85, 1.2)  # speaking rates, one a call in turn
SPEEDS = (20.0, 4.0, 1.5)  # times real time at which the provider makes audio, one a call in turn
FIGURES = (0.0, 0.5)  # shares of the sentences
FIRST_AUDIO_S = 0.15  # that the provider takes
FRAME_S = 0.25  # of audio in a message of ElevenLabs
SENTENCES = 7  # a turn; more than the caller lets pass
LATEST_S = 8.0  # of a turn; the caller interrupts by then
CUTS = 16  # a call

WITHIN = {"deepgram": 2, "elevenlabs": 1, "elevenlabs-stream": 1}  # words
SHARE = {"deepgram": 0.95, "elevenlabs": 0.99, "elevenlabs-stream": 0.99}  # that is to be within so many


@dataclass(frozen=True, slots=True)
class Plan:
    """One call."""

    round_trip_s: float
    jitter_s: float
    rate: float
    speed_up: float
    figures: float
    """The share of sentences with figures."""
    mark_to_ear_s: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """One interruption."""

    plan: Plan
    claimed: int
    """Words that the agent was told were heard."""
    played: int
    """Words that the carrier had played whole."""
    heard: int
    """Words that had reached the ear whole."""

    @property
    def error(self) -> int:
        return self.claimed - self.played

    @property
    def error_at_the_ear(self) -> int:
        return self.claimed - self.heard


class Teller:
    """The agent: it has a text for every turn, and keeps what it was told of the last one."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.told: list[CutOff | None] = []

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            self.told.clear()
        elif isinstance(cue, CallerPressed):
            self.told.append(cue.cut_off)
        if not isinstance(cue, CallEnded):
            yield self.texts[len(self.told)]


async def measure(voice: str, speaker: Speaker, plans: Iterable[Plan], cuts: int = CUTS) -> list[Cut]:
    """Make the calls, one after the other; on a `ClockLoop`."""
    teller = Teller()
    settings = Settings(LinesideSettings.model_construct(agent_loop="app", voice=voice))
    found: list[Cut] = []
    async with simulation(lambda _: teller, settings=settings, voice=speaker) as sim:
        for plan in plans:
            found += await _call(sim, speaker, teller, plan, cuts)
    return found


async def _call(sim: Simulation, speaker: Speaker, teller: Teller, plan: Plan, cuts: int) -> list[Cut]:
    provider = cast(Provider, sim.provider)
    dice = random.Random(plan.seed)
    now = asyncio.get_running_loop().time
    teller.texts = [text(dice, SENTENCES, plan.figures) for _ in range(cuts + 1)]
    speaker.rate = plan.rate
    provider.faults.speed_up = plan.speed_up
    provider.faults.first_audio_delay_s = FIRST_AUDIO_S
    provider.faults.elevenlabs.frame_s = FRAME_S
    call = await sim.phone.dial(
        round_trip_s=plan.round_trip_s, jitter_s=plan.jitter_s, mark_to_ear_s=plan.mark_to_ear_s, seed=plan.seed
    )
    begins = [now()]
    for turn in range(cuts):
        await sim.turn_begun(call, turn + 1)
        await asyncio.sleep(dice.uniform(0.0, LATEST_S))
        begins.append(now())
        call.press("1")
    await sim.until(lambda: len(teller.told) == cuts == len(call.queue.clears))
    told = [0 if cut_off is None else len(cut_off.heard.split()) for cut_off in teller.told]
    await call.hang_up()
    await sim.idle()
    truth = [_Turn.of(call, provider.record.spoken, turn, begins[turn]) for turn in range(cuts)]
    lag = round(plan.mark_to_ear_s * RATE)
    return [
        Cut(plan, claimed, turn.words(speaker, len(turn.audio)), turn.words(speaker, len(turn.audio) - lag))
        for claimed, turn in zip(told, truth, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the carrier played of one turn, and what the provider spoke for it."""

    audio: bytes
    segments: Sequence[Spoken]

    @classmethod
    def of(cls, call: PhoneCall, spoken: Iterable[Spoken], turn: int, began: float) -> Self:
        """The nth turn of a call, from when it was asked for until its clear reached the carrier."""
        clears = [0.0, *(clear.at for clear in call.queue.clears)]
        since, until = clears[turn], clears[turn + 1]
        audio = b"".join(span.audio for span in call.queue.spans(until) if since <= span.at < until)
        segments: list[Spoken] = []
        begin = 0
        for each in sorted((each for each in spoken if began <= each.at <= until), key=lambda each: each.at):
            # What a provider still speaks of the turn before is in the record too, and never reached the carrier.
            if begin < len(audio) and each.audio and audio.startswith(each.audio[: len(audio) - begin], begin):
                segments.append(each)
                begin += len(each.audio)
        if begin < len(audio):
            raise RuntimeError("the carrier played what the provider did not speak")
        return cls(audio, segments)

    def words(self, speaker: Speaker, n_bytes: int) -> int:
        """How many words end within the first so many bytes."""
        begin, n_words = 0, 0
        for segment in self.segments:
            n_words += bisect_right([begin + at * RATE for at in speaker.word_ends(segment.text)], n_bytes)
            begin += len(segment.audio)
        return n_words


# -- the table ---------------------------------------------------------------------------------------------------------


def plans(seed: int, *, offsets: bool = False) -> list[Plan]:
    """A call for every network, with and without figures; or one for every offset of the ear."""
    rates, speeds = cycle(RATES), cycle(SPEEDS)
    if offsets:
        return [Plan(0.08, 0.0, next(rates), next(speeds), 0.4, lag, seed + n) for n, lag in enumerate(OFFSETS)]
    return [
        Plan(*network, next(rates), next(speeds), figures, seed=seed + n)
        for n, (figures, network) in enumerate(product(FIGURES, NETWORKS))
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """The errors of one kind of call, in words."""

    name: str
    errors: Sequence[int]
    within: int = 1
    """So many words."""
    share: float = 0.0
    """That is to be within so many; 0: no bound."""

    @property
    def n_over(self) -> int:
        return sum(error > 0 for error in self.errors)

    def share_within(self, words: int) -> float:
        return sum(abs(error) <= words for error in self.errors) / len(self.errors)

    @property
    def good(self) -> bool:
        return not self.share or (self.share_within(self.within) >= self.share and not self.n_over)

    def __str__(self) -> str:
        within = f"{self.share_within(1):>9.1%} {self.share_within(2):>9.1%}"
        bound = f"{self.share:.0%} within {self.within}" if self.share else "none"
        figures = f"{len(self.errors):>5} {median(self.errors):>5.0f} {min(self.errors):>6} {within} {self.n_over:>6}"
        return f"{self.name:<44} {figures}  {bound}{'' if self.good else '  MISSED'}"


def rows(voice: str, cuts: Sequence[Cut], lagging: Sequence[Cut]) -> list[Row]:
    """What a voice's calls come to."""
    found = [Row(voice, [cut.error for cut in cuts], WITHIN[voice], SHARE[voice])]
    for figures in FIGURES:
        kind = f"{figures:.0%} of the sentences with figures"
        found.append(Row(f"  {kind}", [cut.error for cut in cuts if cut.plan.figures == figures]))
    for round_trip, jitter in NETWORKS:
        name = f"  round trip {round_trip * 1000:.0f} ms, jitter {jitter * 1000:.0f} ms"
        network = (round_trip, jitter)
        found.append(Row(name, [cut.error for cut in cuts if (cut.plan.round_trip_s, cut.plan.jitter_s) == network]))
    for lag in OFFSETS:
        name = f"  against an ear {lag * 1000:.0f} ms behind"
        found.append(Row(name, [cut.error_at_the_ear for cut in lagging if cut.plan.mark_to_ear_s == lag]))
    return found


def main() -> bool:
    """Print the table; True if no word too many was claimed, and every voice is as exact as it is to be."""
    heads = f"{'cuts':>5} {'p50':>5} {'least':>6} {'within 1':>9} {'within 2':>9} {'over':>6}  bound"
    good = True
    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        for voice in VOICES:
            cuts: list[Cut] = []
            lagging: list[Cut] = []
            for n, speaker in enumerate(speakers().values()):
                cuts += runner.run(measure(voice, speaker, plans(100 * n)))
                lagging += runner.run(measure(voice, speaker, plans(100 * n + 50, offsets=True)))
            table = rows(voice, cuts, lagging)
            good &= table[0].good
            sys.stdout.write(f"{'error in words':<44} {heads}\n" + "".join(f"{row}\n" for row in table) + "\n")
    return good


if __name__ == "__main__":
    sys.exit(not main())
