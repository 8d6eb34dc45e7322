"""When the caller's audio arrived: a short record, as it nearly always comes in real time. No I/O, no clock."""

from __future__ import annotations

from collections import deque

from lineside.hearing.backlog import RATE

NEAR = 0.02  # s, a carrier's frame; what comes so close to its time needs no entry of its own
KEPT = 500  # entries, so many frames as ten seconds have: jitter can make each of them need one


class Arrivals:
    """Bytes are counted from 1, from the first one of the call. Exact to two frames."""

    def __init__(self) -> None:
        self._n_bytes = 0
        # Pieces of audio that did not come when it was their time: first byte, last byte, when. What follows one came
        # in real time.
        self._pieces: deque[tuple[int, int, float]] = deque(maxlen=KEPT)

    def came(self, n_bytes: int, now: float) -> None:
        """A piece of audio has come."""
        first = self._n_bytes + 1
        self._n_bytes += n_bytes
        if self._pieces:
            _, last, at = self._pieces[-1]
            if abs(at + (self._n_bytes - last) / RATE - now) <= NEAR:
                return
        self._pieces.append((first, self._n_bytes, now))

    def at(self, nth: int) -> float | None:
        """When the nth byte came; None when it has not, or was forgotten."""
        if nth > self._n_bytes:
            return None
        for first, last, at in reversed(self._pieces):
            if nth >= first:
                return at + max(0, nth - last) / RATE
        return None

    def forget(self, n_bytes: int) -> None:
        """Nobody will ask for the first so many bytes any more."""
        while len(self._pieces) > 1 and self._pieces[1][0] <= n_bytes + 1:
            self._pieces.popleft()
