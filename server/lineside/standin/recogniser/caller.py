"""A caller who follows a script: speaks, coughs, presses keys and hangs up, by the clock or by what the agent does.

    script = [AfterAgent(0.7), Say("I'd like to cancel"), DuringAgent(1.2), Say("no wait"), Wait(2), HangUp()]
    await Caller(call, script).run()

What the agent does is what reaches the caller's ear, looked at every 20 ms.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from lineside.audio import mulaw
from lineside.standin.phone_call import PhoneCall
from lineside.standin.recogniser import modem, sounds
from lineside.standin.recogniser.undertone import voiced

LOOK_S = 0.02
TURN_GAP_S = 0.5  # silence after which the agent's next sound begins another turn
AUDIBLE = 200  # peak of a frame that is not silence, of 32767
KEY_S = 0.3  # from one key to the next


@dataclass(frozen=True, slots=True)
class At:
    """Wait until so long after the first stream began."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class AfterAgent:
    """Wait until the agent was heard since the caller's last own sound or key, and has now been silent for so long."""

    silent_s: float = 0.7
    patience_s: float = 30.0
    """`run` raises TimeoutError when the agent takes longer."""


@dataclass(frozen=True, slots=True)
class DuringAgent:
    """Wait until the agent has been speaking for so long in its turn, the present one or the next."""

    offset_s: float = 1.0
    patience_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Say:
    """Say words, without a pause; the next step begins when the last one is out."""

    text: str
    seconds_per_word: float = modem.SECONDS_PER_WORD
    quieter_db: float = 0.0
    voiced: bool = False
    """With a voice's low notes, so that a detector of speech takes it for speech; see `undertone.py`."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Make a sound that is no word: mu-law; a cough as it stands. The next step begins when it is over."""

    audio: bytes = sounds.cough()


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys, one after the other."""

    digits: str


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


Step = At | Wait | AfterAgent | DuringAgent | Say | Sound | Press | HangUp


@dataclass(frozen=True, slots=True)
class Said:
    """What the caller said, and when: loop time of its first sample and after its last."""

    text: str
    """Empty for a sound."""
    began_at: float
    ended_at: float


class _CallOver(Exception):
    pass


class Caller:
    """One caller's way through a script.

    Args:
        call: dialled; it need not be connected yet.
    """

    def __init__(self, call: PhoneCall, script: Iterable[Step]) -> None:
        self.call = call
        self.left: deque[Step] = deque(script)
        """Steps not taken: all of them before `run`, none after it, unless the call ended first."""
        self.said: list[Said] = []
        self._agent = _Agent(call)
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Take all steps. Returns early when the call ends.

        Raises:
            RemoteProtocolError: the call ended without any stream.
            TimeoutError: the agent did not do what a step waits for.
        """
        await self.call.connected()
        self._acted_at = self._loop.time()
        try:
            while self.left:
                await self._take(self.left[0])
                self.left.popleft()
        except _CallOver:
            return

    async def _take(self, step: Step) -> None:
        match step:
            case At(seconds):
                began = self.call.streams[0].began
                await self._until(lambda: self._loop.time() >= began + seconds, by=began + seconds)
            case Wait(seconds):
                await self._sleep(seconds)
            case AfterAgent(silent_s, patience_s):
                await self._agent_does(lambda: self._agent.silent_for(silent_s, since=self._acted_at), patience_s, step)
            case DuringAgent(offset_s, patience_s):
                await self._agent_does(lambda: self._agent.speaking_for(offset_s), patience_s, step)
            case Say(text, seconds_per_word, quieter_db, with_voice):
                audio = modem.encode(text, seconds_per_word)
                audio = voiced(audio) if with_voice else audio
                await self._speak(text, sounds.quieter(audio, quieter_db) if quieter_db else audio)
            case Sound(audio):
                await self._speak("", audio)
            case Press(digits):
                await self._press(digits)
            case HangUp():
                await self.call.hang_up()

    async def _speak(self, text: str, audio: bytes) -> None:
        self._check_open()
        began_at = self.call.stream.speaks_until
        self.call.speak(audio)
        ended_at = self.call.stream.speaks_until
        await self._until(lambda: self._loop.time() >= ended_at, by=ended_at)
        self.said.append(Said(text, began_at, ended_at))
        self._acted_at = self._loop.time()

    async def _press(self, digits: str) -> None:
        for nth, digit in enumerate(digits):
            if nth:
                await self._sleep(KEY_S)
            self._check_open()
            self.call.press(digit)
            self._acted_at = self._loop.time()

    async def _agent_does(self, condition: Callable[[], bool], patience_s: float, step: Step) -> None:
        gives_up_at = self._loop.time() + patience_s
        await self._until(lambda: condition() or self._loop.time() >= gives_up_at, by=gives_up_at)
        if not condition():
            raise TimeoutError(f"the agent was not there for {step}")

    async def _sleep(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        await self._until(lambda: self._loop.time() >= until, by=until)

    async def _until(self, condition: Callable[[], bool], *, by: float) -> None:
        """Look at the agent until something holds. `by`: when it is due at the latest, so that it is not overslept.

        Raises:
            _CallOver: the call ended before.
        """
        while True:
            if self.call.over:
                raise _CallOver
            self._agent.look()
            if condition():
                return
            now = self._loop.time()
            await asyncio.sleep(min(LOOK_S, by - now) if by > now else LOOK_S)

    def _check_open(self) -> None:
        if not (self.call.legs and self.call.legs[-1].live) or self.call.stream.stopped:
            raise _CallOver


class _Agent:
    """What the caller's ear makes of the agent."""

    def __init__(self, call: PhoneCall) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._looked_at = self._loop.time()
        self._turn_began: float | None = None
        self._heard_at: float | None = None

    def look(self) -> None:
        """Listen to what was played since the last look."""
        now = self._loop.time()
        lag = self._call.record.settings.mark_to_ear_s
        audio = self._call.stream.queue.played_between(self._looked_at - lag, now - lag)
        self._looked_at = now
        if not len(audio) or np.abs(mulaw.decode(audio)).max() < AUDIBLE:
            return
        if self._heard_at is None or now - self._heard_at > TURN_GAP_S:
            self._turn_began = now
        self._heard_at = now

    def silent_for(self, seconds: float, *, since: float) -> bool:
        """It was heard after `since`, and not within the last seconds."""
        return self._heard_at is not None and self._heard_at > since and self._loop.time() - self._heard_at >= seconds

    def speaking_for(self, seconds: float) -> bool:
        """It speaks, and began its turn so long ago."""
        now = self._loop.time()
        if self._turn_began is None or self._heard_at is None or now - self._heard_at > TURN_GAP_S:
            return False
        return now - self._turn_began >= seconds
