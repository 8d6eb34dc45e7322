"""What the fault suite shares: what goes wrong, when it strikes, and a whole call for each pair of the two.

What the caller heard is judged by ear from the phone's playout; see `calls.scenes`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calls.scenes import APOLOGY, Script, listen, prose, record, spans, telling, words_of
from lineside.audio.formats import SILENCE
from lineside.events import CallInfo
from lineside.observe.timeline import Note
from lineside.standin.carrier_queue import Span
from lineside.standin.faults import Faults
from lineside.standin.phone import PhoneCall
from lineside.standin.tone import ToneVoice
from lineside.testing import ElevenLabsSettings, LinesideSettings, Settings, Simulation, simulation

VOICES = ("deepgram", "elevenlabs", "elevenlabs-stream")
ELEVENLABS = VOICES[1:]
MOMENTS = ("before", "mid", "between", "held", "after")
"""Before a call's first audio, in the middle of a sentence, between two turns, while a turn is held, right after an
interruption."""
RATES = (0.7, 1.0, 1.4)  # of the tone voice: the speaking rates that the services can be set to

TEXT = prose(16)  # the turn that suffers
OPENER = prose(16, first=16)  # the turn before it, where there is one
FOLLOWER = prose(4, first=32)  # the turn after it
USUAL = {"handshake_delay_s": 0.3, "first_audio_delay_s": 0.15, "speed_up": 3.0, "elevenlabs.frame_s": 0.25}
"""A provider that still sends while the caller listens, in several frames a segment."""
INTO = 1.5  # s into a turn: the middle of its first sentence
HOLD = 2.0  # s for which a turn is held
PENALTY = 11.0  # s; a voice that was given up is tried again after ten


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong at the provider."""

    name: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    """Of the stand-in; back to the usual once the fault is over."""
    ends: int | None = None
    """How the open sockets end: a close code, 0 for a lost connection; None: they do not."""
    error: str = ""
    """The error message that they are sent before that."""
    opening: bool = False
    """It concerns handshakes: in a call that has a socket, that one is lost."""
    once: bool = False
    """It is over when the client has noticed; else when the turn is."""
    apology: bool = False
    """The voice is gone for as long as the turn lasts, so that the apology is heard."""
    silence: float = 1.0
    """The most s without sound that the caller is asked to bear."""
    cut: int = 0
    """How many words it can break off after all audio that came was sent to the carrier: those are told again."""
    voices: Sequence[str] = VOICES
    moments: Sequence[str] = MOMENTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the turn under test, and of the call."""

    missing: tuple[str, ...]
    repeated: int
    """Words told again, all in all."""
    apology: bool
    silence: float
    """The longest, in s, from the question on; the time for which we held the turn is left out."""
    follower: bool
    """The next turn, with the fault over, was heard whole."""
    breaches: Mapping[str, int]
    warnings: Mapping[str, int]


def settings(voice: str, **lineside: Any) -> Settings:
    """The server's settings: the agent shares the loop; ElevenLabs' sockets are idle for 20 s at the most."""
    return Settings(
        LinesideSettings(agent_loop="app", voice=voice, **lineside),
        elevenlabs=ElevenLabsSettings(inactivity_timeout=20),
    )


def switch(sim: Simulation, switches: Mapping[str, Any]) -> None:
    """Set the provider's faults, those of ElevenLabs' sockets by names with a dot."""
    assert sim.provider is not None
    for name, value in switches.items():
        theme, _, plain = name.rpartition(".")
        value = list(value) if isinstance(value, list) else value  # the stand-in uses lists up
        setattr(getattr(sim.provider.faults, theme) if theme else sim.provider.faults, plain, value)


def restore(sim: Simulation, names: Mapping[str, Any]) -> None:
    """Set these faults to what they are on a usual day."""
    day = Faults()
    plain = {name: getattr(day.elevenlabs if "." in name else day, name.rpartition(".")[2]) for name in names}
    switch(sim, plain | USUAL)


async def end_sockets(sim: Simulation, code: int, error: str = "") -> None:
    """End every socket of the provider: with a close frame, or 0: without a word."""
    assert sim.provider is not None
    assert sim.provider._server is not None
    for connection in list(sim.provider._server.connections):
        if error:
            await connection.send(json.dumps({"message": "Sorry.", "error": error, "code": 1008}))
        if code:
            await connection.close(code, "Sorry.")
        else:
            connection.transport.abort()


async def cell(voice: str, fault: Fault, moment: str, rate: float, **options: Any) -> Outcome:
    """Make a call in which a fault strikes at a moment, and see what the caller hears.

    Args:
        options: of `settings`.
    """
    script = Script(*([OPENER, TEXT, FOLLOWER] if moment in ("between", "after") else [TEXT, FOLLOWER]))
    room: list[_Cell] = []

    def watch(info: CallInfo, note: Note) -> None:
        if note.kind == "provider_lost":
            room[0].noticed()

    tones, chosen = ToneVoice(rate=rate), settings(voice, **options)
    async with simulation(script.agent, voice=tones, settings=chosen, watcher=watch) as sim:
        switch(sim, USUAL)
        room.append(_Cell(sim, fault))
        return await room[0].run(moment, rate)


class _Cell:
    def __init__(self, sim: Simulation, fault: Fault) -> None:
        self._sim = sim
        self._fault = fault
        self._loop = asyncio.get_running_loop()

    async def run(self, moment: str, rate: float) -> Outcome:
        sim, fault = self._sim, self._fault
        if moment == "before" and fault.ends is None:
            self._set()
        call = await sim.phone.dial()
        await call.connected()
        began, held = await self._suffer(call, moment)
        nth = 2 if moment == "between" else 1
        await sim.turn_over(call, nth)
        restore(sim, fault.switches)
        over = self._loop.time()
        await asyncio.sleep(PENALTY if sim.of(call, "speech_given_up") else 1.5)
        call.press("9")
        await sim.turn_over(call, nth + 1)
        told = [span for span in spans(call, began) if span.at < over]
        missing, repeated, apology = _told(told, rate)
        rest = b"".join(span.audio for span in spans(call, over))
        return Outcome(
            missing,
            repeated,
            apology,
            _silence(began, held, told),
            telling(rest, FOLLOWER, rate=rate, strangers=words_of(TEXT)).missing == (),
            dict(record(sim).breaches),
            dict(call.warnings),
        )

    async def _suffer(self, call: PhoneCall, moment: str) -> tuple[float, float]:
        """Have the fault strike; when the turn under test began, and from when on it was not held."""
        sim, now = self._sim, self._loop.time
        began = now()
        if moment == "before":
            if self._fault.ends is not None:
                await sim.until(lambda: record(sim).connections.open and sim.of(call, "speech_asked"))
                await asyncio.sleep(0.05)  # less than the first audio takes
                await self._strike()
            return began, began
        if moment == "between":
            await sim.turn_over(call)
            await asyncio.sleep(1)
            await self._strike()
            await asyncio.sleep(0.1)
            began = now()
            call.press("1")
            return began, began
        await sim.turn_begun(call)
        await asyncio.sleep(INTO)
        if moment == "mid":
            await self._strike()
        elif moment == "after":
            began = now()
            call.press("1")
            await asyncio.sleep(0.001)
            await self._strike()
        else:
            turn = _turn(sim, call)
            turn.hold()
            await self._strike()
            await asyncio.sleep(HOLD)
            turn.resume()
            return began, now()
        return began, began

    async def _strike(self) -> None:
        self._set()
        if self._fault.ends is not None or self._fault.opening:
            await end_sockets(self._sim, self._fault.ends or 0, self._fault.error)

    def _set(self) -> None:
        switch(self._sim, self._fault.switches)

    def noticed(self) -> None:
        """The client has given a socket up."""
        if self._fault.once:
            restore(self._sim, self._fault.switches)


def _turn(sim: Simulation, call: PhoneCall) -> Any:
    """The turn that is running."""
    turn = sim.bridge.calls.get(call.call_sid)._conversation._turn  # type: ignore[union-attr]
    assert turn is not None
    return turn


def _told(played: Sequence[Span], rate: float) -> tuple[tuple[str, ...], int, bool]:
    """Words missing and words repeated of TEXT, and whether the apology took the place of the rest."""
    audio = b"".join(span.audio for span in played)
    said, apology, after = audio.partition(APOLOGY)
    if not apology:
        told = telling(audio, TEXT, rate=rate, strangers=words_of(OPENER))
        return told.missing, told.repeated, False
    assert not after.strip(SILENCE)
    n_words = len({each.word for each in listen(said, words_of(TEXT))})
    begun = " ".join(words_of(TEXT)[:n_words])
    told = telling(said, begun, rate=rate, strangers=words_of(OPENER))
    # The one before the apology may be cut: its end was never spoken.
    missing = tuple(word for word in told.missing if word != words_of(TEXT)[n_words - 1])
    return missing, told.repeated, True


def _silence(began: float, held: float, played: Sequence[Span]) -> float:
    times = [began, *(time for span in played for time in (span.at, span.end))]
    quiet = list(zip(times[::2], times[1::2], strict=False))
    return max((until - max(since, held if until >= held > since else since) for since, until in quiet), default=0.0)
