"""Whole calls whose recogniser or whose leg misbehaves: what is lost, what is told, and that everything else goes on.

In each the agent says something long while the caller speaks into the trouble; later the caller speaks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from calls.scenes import record, telling
from calls.test_hearing import ANSWER, EARS, LONG, SHORT, Scene, scene
from lineside.bench.ears import beyond_chunk
from lineside.events import Say
from lineside.standin.phone_messages import Writer
from lineside.standin.phone_stream import CarrierStream
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.modem import encode

FIRST, LATER = "one two three four five six", "seven eight nine"
SPEAKS_AT = 3.5  # s of the stream
MID_WORD = 36_000  # bytes: the fourth word is being said
CHUNK_S = {"deepgram": 0.06, "deepgram-flux": 0.08, "elevenlabs": 0.1}
LOST = ("lost", "reconnected")

every_ear = pytest.mark.parametrize("ears", EARS)


@dataclass(frozen=True)
class Fault:
    """What a recogniser does wrong, and what may come of it."""

    name: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    codes: Sequence[str] = ()
    """The warnings on the timeline, each of them once or more, the last of them last."""
    unnoticed: Sequence[str] = ()
    """Ears to which it is none, so that nothing is told."""
    lifts: bool = False
    """It is over once it has been noticed; else it stays."""
    deaf: bool = False
    """Nothing is heard any more."""
    waits: float = 0.0
    """The caller says nothing for so much longer."""


FAULTS = [
    Fault("busy", {"refuse": [429, 503]}, LOST),
    Fault("forbidden", {"refuse": [403]}, ("refused",), deaf=True),
    Fault("stalls for good", {"stall_after_bytes": [MID_WORD]}, LOST),
    Fault("dies twice", {"die_after_bytes": [MID_WORD, 8000]}, LOST),
    Fault("fails with a message", {"error_after_s": 4.5}, LOST, lifts=True),
    Fault("garbage: text", {"garbage": "text"}, LOST, lifts=True),
    Fault("garbage: fields", {"garbage": "fields"}, LOST, lifts=True),
    Fault("garbage: binary", {"garbage": "binary"}, LOST, lifts=True),
    Fault("garbage: unknown", {"garbage": "unknown"}),
    Fault("duplicate finals", {"duplicate_finals": True}),
    Fault("out-of-order interims", {"out_of_order_interims": True}),
    Fault("interims that change", {"revised_interims": True}),
    Fault("no interims", {"no_interims": True}),
    Fault("late finals", {"late_finals_s": 1.0}),
    Fault("late duplicate finals", {"late_finals_s": 0.5, "duplicate_finals": True}),
    Fault("mute before a word", {"mute_after_s": 3.0}, LOST, unnoticed=["elevenlabs"], lifts=True),
    Fault("mute in mid-word", {"mute_after_s": 4.6, "mute_s": 30.0}, LOST, lifts=True),
    Fault("ten seconds of silence", waits=10.0),
]


def words(it: Scene) -> list[str]:
    return " ".join(it.said).split()


def codes(it: Scene) -> list[str]:
    return [note.details["code"] for note in it.sim.of(it.call, "ear_warning")]


def is_in_order(heard: list[str], said: list[str]) -> bool:
    """Nothing was heard twice, and nothing that was not said."""
    rest = iter(said)
    return all(word in rest for word in heard)


def lift(it: Scene, switches: Mapping[str, Any]) -> None:
    assert it.sim.provider is not None
    usual = RecogniserFaults()
    for name in switches:
        setattr(it.sim.provider.faults.recogniser, name, getattr(usual, name))


@every_ear
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_recogniser_that_misbehaves_costs_no_word_and_no_call(ears: str, fault: Fault) -> None:
    notices = bool(fault.codes) and ears not in fault.unnoticed
    async with scene(ears, Say(LONG, interruptible=False), faults=dict(fault.switches), breaches=True) as it:
        await it.at(SPEAKS_AT + fault.waits)
        it.speak(FIRST)
        if fault.lifts and notices:
            await it.sim.until(lambda: codes(it), timeout=30)
            lift(it, fault.switches)
        await it.at(30.0)
        it.speak(LATER)
        await asyncio.sleep(6.0)
        if fault.deaf:
            assert words(it) == []
        else:
            assert words(it) == f"{FIRST} {LATER}".split()
        if notices:
            assert set(codes(it)) == set(fault.codes)
            assert codes(it)[-1] == fault.codes[-1]
        else:
            assert codes(it) == []
        assert it.noted("caller_said") == len(it.said)
        assert telling(it.call.heard(), LONG if fault.deaf else f"{LONG} {ANSWER}").missing == ()
        assert it.noted("gap") == 0


# -- the leg -----------------------------------------------------------------------------------------------------------

MEDIA = '"event":"media"'
Change = Callable[[list[str], float], list[str]]


def beset(stream: CarrierStream, change: Change) -> None:
    """Change what reaches the server.

    Args:
        change: takes the messages that would arrive now, and the time since the stream began.
    """
    step = stream.step

    def changed(now: float, *, congested: bool = False) -> list[str]:
        return change(step(now, congested=congested), now - stream.began)

    stream.step = changed  # type: ignore[method-assign]


def is_media(message: str) -> bool:
    return MEDIA in message.replace(" ", "")


def missing(first: float, last: float) -> Change:
    """No audio arrives between these times."""
    return lambda messages, at: [each for each in messages if not (is_media(each) and first <= at < last)]


def swapped(first: float, last: float) -> Change:
    """Of every two frames between these times the second comes first."""
    held: list[str] = []

    def change(messages: list[str], at: float) -> list[str]:
        out: list[str] = []
        for message in messages:
            if is_media(message) and first <= at < last and not held:
                held.append(message)
            else:
                out += [message, *held]
                held.clear()
        return out

    return change


def in_bursts(every: float) -> Change:
    """Audio comes in clumps."""
    held: list[str] = []
    sent_at = 0.0

    def change(messages: list[str], at: float) -> list[str]:
        nonlocal sent_at
        held.extend(messages)
        if at - sent_at < every:
            return []
        sent_at = at
        out = held.copy()
        held.clear()
        return out

    return change


class OddWriter:
    """Numbers and times of the audio go backwards."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def media(self, sequence: int, chunk: int, timestamp_ms: int, frame: bytes) -> str:
        return self._writer.media(sequence, 100_000 - chunk, max(0, 100_000 - timestamp_ms), frame)


@dataclass(frozen=True)
class LegFault:
    name: str
    strike: Callable[[Scene], None]
    lost: int = 0
    """Words at the most."""


def stalls(it: Scene) -> None:
    asyncio.get_running_loop().call_at(it.call.stream.began + 4.5, it.call.stall, 2.0)


def counts_backwards(it: Scene) -> None:
    stream: Any = it.call.stream
    stream._writer = OddWriter(stream._writer)


LEG_FAULTS = [
    LegFault("two seconds' stall", stalls, lost=1),  # what does not come is silence after half a second: it cuts a word
    LegFault("bursts", lambda it: beset(it.call.stream, in_bursts(0.4))),
    LegFault("nothing for ten seconds after the words", lambda it: beset(it.call.stream, missing(5.7, 15.7))),
    # Of a line on which nothing was heard before, while we speak, the guard does not know for a second what it returns.
    LegFault("nothing before the words", lambda it: beset(it.call.stream, missing(0.5, 3.4)), lost=2),
    LegFault("chunks missing in a word", lambda it: beset(it.call.stream, missing(4.2, 4.3)), lost=2),
    LegFault("chunks swapped in a word", lambda it: beset(it.call.stream, swapped(4.2, 4.3)), lost=2),
    LegFault("numbers and times out of order", counts_backwards),
]


@every_ear
@pytest.mark.parametrize("fault", LEG_FAULTS, ids=lambda fault: fault.name)
async def test_a_leg_that_misbehaves_costs_what_it_did_not_bring_and_no_more(ears: str, fault: LegFault) -> None:
    said = f"{FIRST} {LATER}".split()
    async with scene(ears, Say(LONG, interruptible=False)) as it:
        fault.strike(it)
        await it.at(SPEAKS_AT)
        it.speak(FIRST)
        await it.at(25.0)
        it.speak(LATER)
        await asyncio.sleep(6.0)
        assert is_in_order(words(it), said)
        assert len(said) - fault.lost <= len(words(it))
        assert codes(it) == []
        assert telling(it.call.heard(), f"{LONG} {ANSWER}").missing == ()


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ears", ["deepgram", "deepgram-flux"])
async def test_the_timeline_tells_how_long_ago_the_caller_s_last_sound_was(ears: str) -> None:
    async with scene(ears, Say("Hi.")) as it:
        await it.at(5.0)
        it.speak(FIRST)
        silent_at = it.call.stream.speaks_until - it.call.stream.began
        await it.told()
        await it.sim.turn_over(it.call, 2)
        (said,) = it.sim.of(it.call, "caller_said")
        (attached,) = it.sim.of(it.call, "leg_attached")
        ended_s = said.at - attached.at - silent_at
        assert it.sim.of(it.call, "latency")[-1].details["endpoint_ms"] == pytest.approx(ended_s * 1000, abs=60)


@every_ear
async def test_audio_is_at_the_recogniser_as_soon_as_its_chunk_is_complete(ears: str) -> None:
    said = " ".join(f"w{n}" for n in range(40))
    word_s = len(encode(said)) / 40 / 8000
    async with scene(ears, SHORT) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(3.0)
        began = it.call.stream.speaks_until
        it.speak(said)
        await asyncio.sleep(15.0)
        (listened,) = record(it.sim).listened.values()
        assert listened.text == said
        delays = [
            beyond_chunk(asdict(word), began + n * word_s, CHUNK_S[ears]) for n, word in enumerate(listened.words)
        ]
        assert min(delays) >= -0.001
        assert max(delays) <= 0.025
