"""Our own voice on the caller's line: what we play, told to the guard, and kept from the recogniser when it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lineside.audio import mulaw
from lineside.ports import Leg
from lineside.talk.echo import EchoGuard

BYTES_PER_S = 8000
SILENCE = b"\xff"  # mu-law
ECHO_LAG = 0.8  # s after which nothing of ours comes back any more: the longest delay, and a room's tail
_LOUD = mulaw.louder_than(0x0A)  # 52 dB below full scale: nobody is heard where no sample is so loud
REPLAY = 1600  # bytes; 0.2 s. Recognisers take so much at once, so it costs no time


class Evidence(NamedTuple):
    """How much sound that is not ours must have been heard lately, in s."""

    least: float
    within: float


# Measured on simulated lines, in 6.4 hours of our speech with its echo at -10 to -30 dB: the first alarmed up to 11
# times an hour, the second once in all. Callers 3 dB above the echo gave as much in 93 % of cases or more.
ONSET = Evidence(0.06, 0.3)  # detectors tell of it after 0.1 s
SPEECH = Evidence(0.1, 0.5)
GOES_ON = Evidence(0.04, 0.6)  # once there was speech: words have gaps


class OwnVoice:
    """A leg, and what it plays told to the guard; see `lineside.ports.Leg`. One for each leg: lines differ."""

    def __init__(self, leg: Leg, clock: Callable[[], float]) -> None:
        self._leg = leg
        self._clock = clock
        self._plays_until = 0.0  # loop time at which the carrier has played all that it has
        self.guard = EchoGuard()

    @property
    def audible(self) -> bool:
        """Something of ours may be coming back now."""
        return self._plays_until >= self._clock() - ECHO_LAG

    def alone(self, evidence: Evidence) -> bool:
        """Whether nobody else was heard at the end of what came. Never when we were silent, or nothing comes back."""
        heard_until = self.guard.heard_until  # not now: after a stall of the leg much comes at once
        if heard_until is None or not (self.audible and self.guard.needed):
            return False
        return self.guard.foreign(heard_until, evidence.within) < evidence.least

    # -- the leg -----------------------------------------------------------------------------------------------------

    @property
    def stream_id(self) -> str:
        return self._leg.stream_id

    @property
    def backlog(self) -> int:
        return self._leg.backlog

    def play(self, audio: bytes) -> None:
        at = max(self._clock(), self._plays_until)
        self.guard.played(audio, at)
        self._plays_until = at + len(audio) / BYTES_PER_S
        self._leg.play(audio)

    def mark(self, name: str) -> None:
        self._leg.mark(name)

    def clear(self) -> None:
        now = self._clock()
        self.guard.cleared(now)
        self._plays_until = min(now, self._plays_until)
        self._leg.clear()

    def close(self) -> None:
        self._leg.close()


class Gate:
    """The caller's audio on its way to a recogniser: silence takes the place of what is nobody's voice but ours.

    It works on the chunks that the recogniser is sent anyway, and so holds nothing up. What was kept back just before
    somebody else was heard goes first then: it is the beginning of their word.

    Args:
        chunk: bytes; 80 to 100 ms.
    """

    def __init__(self, chunk: int) -> None:
        self._chunk = chunk
        self._part = b""
        self._kept = b""  # of the last chunks, what was not passed on
        self._open = True
        self.muted = False
        """Something was kept back."""

    def forget(self) -> None:
        """What was kept back is of another line."""
        self._kept = b""

    def push(self, audio: bytes, own: OwnVoice) -> bytes:
        """More audio in; what is to be passed on of all that came."""
        self._part += audio
        whole = len(self._part) // self._chunk * self._chunk
        if not whole:
            return b""
        audio, self._part = self._part[:whole], self._part[whole:]
        if audio.translate(_LOUD).find(1) < 0:
            self._kept, self._open = b"", False
            return audio
        if own.alone(GOES_ON if self._open else SPEECH):
            self._kept = (self._kept + audio)[-REPLAY:]
            self._open, self.muted = False, True
            return SILENCE * whole
        audio, self._kept = self._kept + audio, b""
        self._open = True
        return audio
