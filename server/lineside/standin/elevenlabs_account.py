"""What one key may use on ElevenLabs' sockets: generations at once, and characters."""

from __future__ import annotations

import asyncio

from lineside.standin.elevenlabs_errors import Ending
from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.endpoint import Studio


class Account:
    """Shared by all connections that came with one key. Open sockets cost nothing, running generations do.

    Source: https://elevenlabs.io/docs/models (concurrency)
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.running = 0  # generations
        self._changed = asyncio.Event()

    @property
    def full(self) -> bool:
        return 0 < self._faults.max_generations <= self.running

    @property
    def _faults(self) -> ElevenLabsFaults:
        return self._studio.faults.elevenlabs

    async def begin(self, cut: asyncio.Event) -> bool:
        """Wait for leave to generate; False when `cut` is set first (tell by `recheck`). `end` must follow True.

        Raises:
            Ending: there are too many, and that is an error.
        """
        if self.full and not cut.is_set():
            self._studio.record.breach("max_generations")
            if self._faults.overload == "error":
                raise Ending("concurrent_limit_exceeded", limit=self._faults.max_generations)
        while self.full and not cut.is_set():
            self._changed.clear()
            await self._changed.wait()
        if cut.is_set():
            return False
        self.running += 1
        self._studio.record.generations.began()
        return True

    def end(self) -> None:
        """A generation is over."""
        self.running -= 1
        self._studio.record.generations.ended()
        self.recheck()

    def recheck(self) -> None:
        """Have those that wait look again."""
        self._changed.set()

    def pay(self, n_chars: int) -> bool:
        """Take characters from the account; False when there are not so many left.

        Raises:
            Ending: there are not, and that is an error.
        """
        left = self._faults.credits
        if left is None:
            return True
        if left >= n_chars:
            self._faults.credits = left - n_chars
            return True
        if self._faults.quota_spent == "error":
            raise Ending("quota_exceeded", left=left, needed=n_chars)
        return False
