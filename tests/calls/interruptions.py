"""A call that is interrupted again and again, at moments that a seed decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from calls.faults_table import switch
from calls.interruption_records import AT_ONCE, LEAD, Asked, Case, Judge, KeepingQueue, Press
from calls.scenes import RATE, prose, record
from lineside.events import CallEnded, CallInfo, Cue, Line
from lineside.standin import phone_stream
from lineside.standin.phone import PhoneCall
from lineside.standin.recogniser import sounds
from lineside.standin.recogniser.modem import encode
from lineside.standin.tone import CHARS_PER_S
from lineside.testing import PhoneSettings, Simulation, simulation

N_WORDS = (5, 10)  # of a turn: 2.5 to 6 s

USUAL = {"first_audio_delay_s": 0.15, "elevenlabs.frame_s": 0.25, "recogniser.interim_every_s": 0.2}
SLOW, FAST = {"speed_up": 1.3}, {"speed_up": 20.0}
LATE: Sequence[dict[str, Any]] = (
    {"cleared_delay_s": 0.0, "late_frames_after_clear": 0},
    {"cleared_delay_s": 0.05, "late_frames_after_clear": 1},
    {"cleared_delay_s": 0.5, "late_frames_after_clear": 2},
)
KINDS = ("sending", "received", "sent", "before", "mark", "last", "twice", "any")
"""When a key is meant to be pressed. What it met with is read from the records, see `Judge.classes`."""


class Reader:
    """An agent that answers every cue with the next words of the vocabulary; no word comes twice in a call."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._next = 0
        self.turns: list[Asked] = []

    def agent(self, call: CallInfo) -> Reader:
        return self

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallEnded):
            return
        n_words = self._rng.randint(*N_WORDS)
        text = prose(n_words, first=self._next, sentence=self._rng.choice((4, 7, 11)))
        self._next += n_words
        self.turns.append(Asked(asyncio.get_running_loop().time(), cue, text))
        yield text

    @property
    def seconds(self) -> float:
        """How long the latest turn takes to say."""
        return len(self.turns[-1].text) / CHARS_PER_S


# -- the call ----------------------------------------------------------------------------------------------------------


async def interrupted(case: Case, n: int, patch: pytest.MonkeyPatch) -> Judge:
    """Make a call of so many turns, all but the last of them interrupted, and judge it."""
    rng = random.Random(str(case))
    reader = Reader(rng)
    patch.setattr(phone_stream, "CarrierQueue", KeepingQueue)
    phone = PhoneSettings("", round_trip_s=case.round_trip, jitter_s=case.jitter, seed=case.seed)
    async with simulation(reader.agent, settings=case.settings, phone=phone) as sim:
        patch.setattr(KeepingQueue, "provider", record(sim), raising=False)
        switch(sim, USUAL)
        call = await sim.phone.dial()
        caller = Caller(case, sim, call, reader, rng)
        await caller.interrupt(n)
        await asyncio.sleep(1 + case.round_trip)  # what is late has come
        presses, queue = caller.presses, caller.queue
        await call.hang_up()
        await sim.idle()
        return Judge(case, reader.turns, record(sim).spoken, queue, presses, dict(record(sim).breaches))


class Caller:
    """Interrupts."""

    def __init__(self, case: Case, sim: Simulation, call: PhoneCall, reader: Reader, rng: random.Random) -> None:
        self._case = case
        self._sim = sim
        self._call = call
        self._reader = reader
        self._rng = rng
        self._now = asyncio.get_running_loop().time
        self._begun = 0  # turns whose audio was waited for
        self.presses: list[Press] = []

    @property
    def queue(self) -> KeepingQueue:
        return cast(KeepingQueue, self._call.queue)

    async def interrupt(self, n: int) -> None:
        kinds: list[str] = []
        await self._sim.turn_begun(self._call)
        while len(self._reader.turns) < n:
            if not kinds:
                kinds = self._rng.sample(KINDS, len(KINDS))
            kind = kinds.pop()
            switch(self._sim, SLOW if kind in ("sending", "twice") else FAST)
            if self._case.way == "key":
                await self._press_when(kind)
            elif self._case.way == "words":
                await self._speak(kind)
            else:
                await self._hold(kind)
        await self._begin()

    async def _begin(self) -> float:
        """Wait until the latest turn begins to play; how long it takes to say."""
        await self._sim.until(lambda: self._first_sent > self._begun, timeout=10)
        self._begun = self._first_sent
        await asyncio.sleep(self._case.round_trip / 2 + self._case.jitter)
        return self._reader.seconds

    @property
    def _first_sent(self) -> int:
        return len(self._sim.of(self._call, "first_sent"))

    def _press(self, *, held: bool = False, late: bool = False) -> None:
        switch(self._sim, self._rng.choice(LATE[1:] if late else LATE))
        now, stretch = self._now(), self.queue.stretches[-1]
        n_stretches = len(self.queue.stretches)
        self.presses.append(Press(now, n_stretches - 1, len(stretch.audio), self.queue.depth(now), held))
        self._call.press("1")

    async def _press_when(self, kind: str) -> None:
        if kind == "before":
            await asyncio.sleep(self._rng.uniform(0.001, 0.14 + self._case.round_trip))
            self._press()
            return
        seconds = await self._begin()
        low, high = {
            "sending": (0.0, 0.6 * seconds),
            "received": (0.0, seconds - LEAD - 0.3),
            "sent": (seconds - LEAD + 0.2, seconds - 0.1),
            "mark": (0.0, 0.6 * seconds),
            "last": (seconds - 0.2, seconds - 0.2),
        }.get(kind, (0.0, seconds))
        await self._since(self.queue.spans(self._now())[-1].at, self._rng.uniform(low, high))
        if kind == "mark" and self.queue.next_due < float("inf"):
            await self._since(self.queue.next_due, -self._rng.uniform(0.1, 0.9) * self._case.round_trip)
        if kind == "last":
            ends = self._now() + self.queue.depth(self._now()) / RATE
            await self._since(ends, -self._rng.uniform(0.0, AT_ONCE))
        self._press(late=kind == "sending")
        if kind == "twice":
            await asyncio.sleep(self._rng.choice((0.0, self._rng.uniform(0, AT_ONCE))))
            self._press()

    async def _since(self, at: float, seconds: float) -> None:
        await asyncio.sleep(max(0.0, at + seconds - self._now()))

    async def _speak(self, kind: str) -> None:
        seconds = await self._begin()
        await asyncio.sleep(self._rng.uniform(0, max(0.0, seconds - 1)))
        switch(self._sim, self._rng.choice(LATE))
        n_cuts, n_turns = len(self.queue.clears), len(self._reader.turns)
        self._call.speak(encode(self._rng.choice(("please stop this", "wait", "no not that one"))))
        if kind == "twice" and await self._cut(n_cuts):
            await asyncio.sleep(self._rng.uniform(0, 0.5 * AT_ONCE))  # the cut was noticed a little late
            self._press()
        await self._sim.until(lambda: len(self._reader.turns) > n_turns)

    async def _hold(self, kind: str) -> None:
        seconds = await self._begin()
        await asyncio.sleep(self._rng.uniform(0, max(0.0, seconds - 0.5)))
        n_cuts = len(self.queue.clears)
        speaks = kind in ("sending", "sent", "before")
        self._call.speak(encode("please stop this") if speaks else sounds.cough())
        if speaks:
            n_turns = len(self._reader.turns)
            await self._sim.until(lambda: len(self._reader.turns) > n_turns)
            return
        held = await self._cut(n_cuts)  # or the turn was over
        # Beyond 1.2 s nothing came of the sound: the agent has gone on, and is interrupted again.
        await asyncio.sleep(self._rng.uniform(0, 2.0 if kind == "any" else 0.9))
        self._press(held=held and not self.queue.stretches[-1].audio)

    async def _cut(self, n_cuts: int) -> bool:
        """Wait for the phone to be cleared; whether it was."""
        try:
            await self._sim.until(lambda: len(self.queue.clears) > n_cuts, timeout=2)
        except TimeoutError:
            return False
        return True
