"""The room that a caller speaks in: what their microphone takes up besides their voice. No I/O, no clock.

Levels are in dB: of full scale (RMS) for noise, relative to what the phone plays for its echo.
"""

from __future__ import annotations

import numpy as np

from lineside.audio import mulaw

FULL_SCALE = 32768.0


class Room:
    """Mixes a call's frames, one after the other.

    Args:
        echo_db: how much of what the phone plays comes back, such as -20; None: nothing.
        noise_db: white noise; None: a silent room.
        background: mu-law that goes on and on, at its own level: music, other people.
        seed: of the noise.
    """

    def __init__(
        self,
        *,
        echo_db: float | None = None,
        noise_db: float | None = None,
        background: bytes = b"",
        seed: int = 0,
    ) -> None:
        self._echo = None if echo_db is None else 10 ** (echo_db / 20)
        self._noise = None if noise_db is None else FULL_SCALE * 10 ** (noise_db / 20)
        self._background = mulaw.decode(background)
        self._at = 0  # of the background
        self._rng = np.random.default_rng(seed)

    @property
    def echoes(self) -> bool:
        """`mix` wants to know what is played."""
        return self._echo is not None

    @property
    def silent(self) -> bool:
        """A voice comes out as it goes in."""
        return self._echo is None and self._noise is None and not len(self._background)

    def mix(self, voice: bytes, played: bytes) -> bytes:
        """Add the room to a frame of the caller's voice.

        Args:
            voice: mu-law, 8 kHz.
            played: what the phone plays and the microphone hears within this frame: mu-law, as long as `voice`.

        Returns:
            As many samples as `voice`; `voice` itself in a silent room.
        """
        if self.silent:
            return voice
        total = mulaw.decode(voice).astype(np.float64)
        if self._echo is not None:
            total += mulaw.decode(played) * self._echo
        if self._noise is not None:
            total += self._rng.normal(0.0, self._noise, len(total))
        if len(self._background):
            total += np.take(self._background, np.arange(self._at, self._at + len(total)), mode="wrap")
            self._at = (self._at + len(total)) % len(self._background)
        return mulaw.encode(np.rint(total).clip(-32768, 32767).astype(np.int16))
