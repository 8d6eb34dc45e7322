"""Calls in which the caller interrupts, and calls in which nobody does though it is not quiet, on the jumping clock.

The agent speaks on and on with a voice whose words a recogniser understands, so that echo is a danger as it is on a
real line. When it falls silent and nobody asks for anything, it goes on after `SILENCE_S`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Literal, TypeVar, cast

from lineside.events import CallEnded, CallInfo, Cue
from lineside.settings import LinesideSettings, Settings, TwilioSettings
from lineside.settings_providers import DeepgramSettings, ElevenLabsSettings
from lineside.standin.clock import ClockLoop
from lineside.standin.phone import PhoneCall, PhoneSettings
from lineside.standin.provider import Provider
from lineside.standin.recogniser import sounds
from lineside.standin.recogniser.caller import Caller, DuringAgent, Said, Say, Step, Wait
from lineside.standin.recogniser.listened import Listened
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.undertone import voiced
from lineside.standin.spoken import SpokenVoice
from lineside.talk.backchannel import is_agreement, is_noise
from lineside.testing import Simulation, simulation

T = TypeVar("T")

Policy = Literal["words", "vad"]
Ears = Literal["deepgram", "deepgram-flux", "elevenlabs"]
POLICIES: tuple[Policy, ...] = ("words", "vad")
EARS: tuple[Ears, ...] = ("deepgram", "deepgram-flux", "elevenlabs")

SILENCE_S = 4.0
NEVER_S = 6.0  # s of talk on after the caller began, from which on it counts as not interrupted
ECHO_DB, ECHO_DELAYS_S = -20.0, (0.12, 0.3)
ROUND_TRIP_S = 0.08  # of the calls that nobody interrupts
SEED = 11

AGENT_SAYS = """
your order left our warehouse on monday morning and should reach you within three working days if nobody is at home the
driver leaves a card with the number of the nearest office there you can fetch it until saturday and bring an
identity card we also have a new price for electricity it would save about seventy euros every year because you use
most of it at night shall we explain how it works or would like to hear about other plans our customers prefer
"""

# No sentence begins with a word of the agent's: so it is known whose it is.
CALLER_SAYS = (
    "wait can you say that again",
    "I want to speak to somebody about my bill",
    "please stop I only need the number of the office",
    "that is not what I asked for",
    "which days do you deliver on",
    "hold on I have another question",
    "no the other order the one from friday",
)


@dataclass(frozen=True, slots=True)
class Way:
    """How the caller may take the turn: who decides, and who tells the words."""

    policy: Policy
    ears: Ears

    def settings(self) -> Settings:
        """Nothing of it is read from the environment."""
        lineside = LinesideSettings.model_construct(
            None,
            agent_loop="app",
            ears=self.ears,
            turn_policy=self.policy,
            vad="local" if self.policy == "vad" else "none",
            echo_guard=True,
            silence_s=SILENCE_S,
        )
        others = TwilioSettings.model_construct(), DeepgramSettings.model_construct()
        return Settings(lineside, *others, ElevenLabsSettings.model_construct())


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is to be heard on a line besides the caller, who says nothing."""

    name: str
    room: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `PhoneSettings`."""
    ours: bool = True
    """To keep apart from the caller. False: somebody else's words, which no server can tell from the caller's."""


def _every(seconds: float, heard: Iterable[bytes]) -> bytes:
    """One sound after the other, so many seconds from beginning to beginning."""
    return b"".join((sounds.silence(seconds - len(each) / sounds.RATE) + each) for each in heard)


def disturbances() -> list[Disturbance]:
    """Everything that the caller of a real line has to live with."""
    coughs = [sounds.cough(seed=seed) for seed in range(5)]
    hums = [voiced(encode(text)) for text in ("uh-huh", "mhm", "okay", "uh-huh", "yes", "right")]
    somebody = [sounds.quieter(voiced(encode(text)), 12) for text in CALLER_SAYS]
    return [
        Disturbance("quiet"),
        Disturbance("cough", {"background": _every(20, coughs)}),
        Disturbance("noise", {"noise_db": -40.0}),
        Disturbance("music", {"background": sounds.music(8)}),
        Disturbance("babble", {"background": sounds.babble(10)}),
        Disturbance("uh-huh", {"background": _every(15, hums)}),
        *(Disturbance(f"echo {s * 1000:.0f}", {"echo_db": ECHO_DB, "echo_delay_s": s}) for s in ECHO_DELAYS_S),
        Disturbance("others", {"background": _every(30, somebody)}, ours=False),
    ]


@dataclass(frozen=True, slots=True)
class Interruptions:
    """What became of each time that the caller spoke into the agent's words. Seconds."""

    delays: tuple[float, ...]
    """From the first sample at the caller's mouth to the last of the agent's at the phone's ear; infinite: never."""
    told: tuple[float, ...]
    """The recogniser's share of it: from that sample's arrival at the server to the first message that says more than
    a listener does, such as "no" or "I see"."""


@dataclass(frozen=True, slots=True)
class Peace:
    """What happened to an agent that nobody interrupted."""

    spoken_s: float
    """Of the agent, as played."""
    cuts: int
    holds: int
    """Holds that were taken back."""
    held_s: float
    """Silence that those made, all together."""

    def an_hour(self, n: float) -> float:
        """So much in each hour of the agent's speech."""
        return n * 3600 / self.spoken_s if self.spoken_s else 0.0


def on_the_clock(work: Coroutine[Any, Any, T]) -> T:
    """Do something on a loop of its own whose waits take no time."""
    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        return runner.run(work)


async def interrupt(way: Way, round_trip_s: float, n: int, *, echo: bool = False) -> Interruptions:
    """Call once and interrupt the agent so many times, at moments that follow no pattern."""
    rng = random.Random(SEED)
    script: list[Step] = []
    for text in islice(cycle(CALLER_SAYS), n):
        script += [DuringAgent(rng.uniform(0.8, 2.8)), Say(text, voiced=True), Wait(2.0)]
    room = PhoneSettings(
        "", round_trip_s=round_trip_s, echo_db=ECHO_DB if echo else None, echo_delay_s=ECHO_DELAYS_S[0]
    )
    async with _call(way, room) as (sim, call):
        caller = Caller(call, script)
        await caller.run()
        heard = call.heard_spans()
        ends = [next((span.end for span in heard if span.at <= said.began_at < span.end), None) for said in caller.said]
        delays = [end - said.began_at for said, end in zip(caller.said, ends, strict=True) if end is not None]
        ears = list(cast(Provider, sim.provider).record.listened.values())
        told = [at - said.began_at - round_trip_s / 2 for said in caller.said if (at := _told_at(said, ears))]
    return Interruptions(tuple(each if each < NEVER_S else float("inf") for each in delays), tuple(told))


async def disturb(way: Way, disturbance: Disturbance, seconds: float) -> Peace:
    """Call once and let the agent speak for so long, while something else is to be heard."""
    room = PhoneSettings("", round_trip_s=ROUND_TRIP_S, **disturbance.room)
    async with _call(way, room) as (sim, call):
        await asyncio.sleep(seconds)
        spoken_s = sum(len(span.audio) for span in call.heard_spans()) / sounds.RATE
        cuts = len(sim.of(call, "turn_cut"))
        resumed = sim.of(call, "turn_resumed")
        held = sim.of(call, "turn_held")
        held_s = sum(each.at - max(note.at for note in held if note.at <= each.at) for each in resumed)
    return Peace(spoken_s, cuts, len(resumed), held_s)


@asynccontextmanager
async def _call(way: Way, room: PhoneSettings) -> AsyncIterator[tuple[Simulation, PhoneCall]]:
    """A call to an agent that has begun to speak."""
    async with simulation(_talk, settings=way.settings(), phone=room, voice=SpokenVoice(voiced=True)) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        yield sim, call
        await call.hang_up()
        await sim.idle()


async def _talk(call: CallInfo, cue: Cue) -> AsyncIterator[str]:
    """An agent that does not stop by itself: an hour and a half of sentences, other ones in each turn."""
    if isinstance(cue, CallEnded):
        return
    rng = random.Random(f"{type(cue).__name__} {getattr(cue, 'text', '')}")
    for _ in range(1800):
        words = rng.choices(AGENT_SAYS.split(), k=rng.randint(5, 14))
        yield " ".join(words).capitalize() + ". "


def _told_at(said: Said, ears: Sequence[Listened]) -> float:
    """When the recogniser first told enough of something, loop time; 0 if it never did."""
    first = said.text.split()[0].lower()
    told = [(tell.at, tell.text) for ear in ears for tell in ear.interims]
    told += [(tell.at, tell.text) for ear in ears for tell in ear.transcripts]
    enough = [at for at, text in told if at > said.began_at and _says_more(text.lower(), first)]
    return min(enough, default=0.0)


def _says_more(text: str, first: str) -> bool:
    """Whether there is more than a listener's sound in a text from its first word on; our own may stand before it."""
    words = text.split()
    said = " ".join(words[words.index(first) :]) if first in words else ""
    return not is_noise(said) and not is_agreement(said)
