"""How much of a stretch's audio is sound and how much is silence between words. Pure.

How long a voice pauses is the least certain of all about it. What was said by a place in the audio is told better by
the sound up to there.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from lineside.talk.pauses import BYTES_PER_MS, LOUDNESS, SHORTEST_MS

SHORTEST = SHORTEST_MS * BYTES_PER_MS
_PAUSE = re.compile(rb"\0{%d,}" % SHORTEST)


class Sound:
    """The pauses in audio that comes in chunks. Positions are bytes of mu-law at 8 kHz."""

    def __init__(self) -> None:
        self._length = 0
        self._quiet_from = 0  # all from here to the end is quiet
        self._begins: list[int] = []  # of pauses that are over
        self._ends: list[int] = []
        self._silent = [0]  # bytes in all pauses before each

    def add(self, audio: bytes) -> None:
        """More audio."""
        loud = audio.translate(LOUDNESS)
        first = loud.find(1)
        if first >= 0:
            self._pause(self._quiet_from, self._length + first)
            last = loud.rfind(1)
            for pause in _PAUSE.finditer(loud, first, last):
                self._pause(self._length + pause.start(), self._length + pause.end())
            self._quiet_from = self._length + last + 1
        self._length += len(audio)

    def add_unknown(self, n_bytes: int) -> None:
        """More audio, all of which counts as sound."""
        self._pause(self._quiet_from, self._length)
        self._length += n_bytes
        self._quiet_from = self._length

    def _pause(self, begin: int, end: int) -> None:
        if end - begin >= SHORTEST:
            self._begins.append(begin)
            self._ends.append(end)
            self._silent.append(self._silent[-1] + end - begin)

    def cut(self, position: int) -> None:
        """Audio from `position` on was dropped."""
        while self._begins and self._ends[-1] >= position:  # one that ends here may go on
            self._quiet_from = self._begins.pop()
            self._ends.pop()
            self._silent.pop()
        self._length = min(self._length, position)
        self._quiet_from = min(self._quiet_from, position)

    def until(self, position: int) -> int:
        """Bytes of sound before `position`."""
        after = bisect_right(self._begins, position)
        silent = self._silent[after]
        if after:
            silent -= max(0, self._ends[after - 1] - position)
        if self._length - self._quiet_from >= SHORTEST:
            silent += max(0, min(position, self._length) - self._quiet_from)
        return position - silent

    def pauses(self, begin: int, end: int) -> int:
        """How many pauses lie between two places, that at the end included."""
        last = self._length - self._quiet_from >= SHORTEST and self._quiet_from < end
        return bisect_right(self._begins, end - 1) - bisect_right(self._ends, begin) + last
