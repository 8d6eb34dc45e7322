"""The caller's audio on its way to a recogniser: in chunks, at a bounded pace, and again when a socket died. No I/O.

Held is what was not sent, and what was sent but not settled: audio of which the recogniser may still owe words. When
its socket dies the next one gets that audio again. What is held is bounded; the oldest goes first.

Source for the pace: https://developers.deepgram.com/docs/recovering-from-connection-errors-and-timeouts-when-live-streaming-audio
"""

from __future__ import annotations

from math import ceil

RATE = 8000  # bytes of mu-law a second
HOLD_S = 10.0
BURST_S = 0.2  # s at the ingest rate that may go at once: a carrier's frames come in clumps of that size
EPSILON = 1e-6  # s; clocks do not add up exactly


class Backlog:
    """One call's audio. Positions are in bytes from the first byte sent on the present socket.

    Args:
        chunk: bytes sent at a time.
        ingest: times real time at which the recogniser takes audio.
        hold_s: seconds of audio held at most.
    """

    def __init__(self, chunk: int, *, ingest: float, hold_s: float = HOLD_S) -> None:
        self.chunk = chunk
        self.dropped = 0
        """Bytes that were never sent, in all."""
        self._pace = RATE * ingest
        self._limit = round(hold_s * RATE)
        self._audio = bytearray()
        self._n_pushed = 0  # in all
        self._n_sent = 0  # of the audio held, on the present socket
        self._behind = 0  # position of the first byte held
        self._n_settled = 0
        self._paid_until = 0.0  # when what was sent has been worked off at the ingest rate

    @property
    def waiting(self) -> int:
        """Bytes not sent yet."""
        return len(self._audio) - self._n_sent

    @property
    def n_released(self) -> int:
        """How many of all bytes ever pushed come before the first one held."""
        return self._n_pushed - len(self._audio)

    def nth(self, position: float) -> int | None:
        """Which of all bytes ever pushed, counted from 1, is the last one before this position on the present socket.

        None when that one is not held any more, or was not sent.
        """
        ahead = position - self._behind
        return self.n_released + ceil(ahead) if 0 < ahead <= self._n_sent else None

    def push(self, audio: bytes) -> None:
        """Add audio of any length; over the bound the oldest is dropped."""
        self._audio += audio
        self._n_pushed += len(audio)
        over = len(self._audio) - self._limit
        if over > 0:
            was_sent = min(over, self._n_sent)
            self._release(was_sent)
            # Never sent, so the positions on the socket do not count it.
            del self._audio[: over - was_sent]
            self.dropped += over - was_sent

    @property
    def due(self) -> float | None:
        """When the next chunk may leave; None when there is no whole one."""
        return self._paid_until - BURST_S if self.waiting >= self.chunk else None

    def take(self, now: float) -> bytes:
        """The next chunk; empty when there is none, or not yet."""
        if self.waiting < self.chunk or now < self._paid_until - BURST_S - EPSILON:
            return b""
        start = self._n_sent
        self._n_sent += self.chunk
        self._paid_until = max(self._paid_until, now) + self.chunk / self._pace
        return bytes(self._audio[start : self._n_sent])

    def settle(self, position: float) -> None:
        """Nothing before this position need be sent again."""
        settled = round(min(position, self._behind + self._n_sent))  # the service may claim more than it was sent
        self._n_settled = max(self._n_settled, settled)
        ahead = settled - self._behind
        if ahead > 0:
            self._release(ahead)

    def rewind(self) -> int:
        """The socket is gone: what is not settled is to be sent again, on one that counts from zero.

        Returns:
            Bytes that it had been sent, that are not settled, and that are held no more.
        """
        missing = max(0, self._behind - self._n_settled)
        self._n_sent = self._behind = self._n_settled = 0
        self._paid_until = 0.0
        return missing

    def clear(self) -> None:
        """Forget all audio."""
        self._audio.clear()
        self._n_sent = 0

    def _release(self, n_bytes: int) -> None:
        """Let go of the oldest, which was sent."""
        del self._audio[:n_bytes]
        self._n_sent -= n_bytes
        self._behind += n_bytes
