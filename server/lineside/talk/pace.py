"""How fast a voice speaks: what text without timings is reckoned by. Pure."""

from __future__ import annotations

BYTES_PER_S = 8000
TYPICAL_CHARS_PER_S = 17.0  # small letters; 15 written characters of English prose a second, 1.14 of effort each
SLOW = 0.7  # of the typical pace: the slowest speaking rate that the voices we know can be set to
UNSURE = 40.0  # characters; a slow voice is reckoned with until much more than these were measured
PACE_MARGIN = 0.95  # of a pace: how well it is known; that words differ is `DOUBT`'s matter
SOUND_UNSURE = 5.0  # characters; a text's sound is less uncertain than its pauses
SOUND_MARGIN = 0.99  # of a pace without pauses


class Rate:
    """How many characters a voice speaks in a second, measured over whole flushed segments.

    Characters are counted by the effort of speaking them: a digit is several, see `effort`.
    """

    def __init__(self, unsure: float = SOUND_UNSURE, margin: float = SOUND_MARGIN) -> None:
        self._unsure = unsure
        self._margin = margin
        self._chars = 0.0
        self._bytes = 0.0

    def measured(self, chars: float, n_bytes: int) -> None:
        """Learn from a segment whose text and audio are both known. Short ones say little and weigh little."""
        if chars > 0 and n_bytes > 0:
            self._chars = self._chars * 0.8 + chars
            self._bytes = self._bytes * 0.8 + n_bytes

    @property
    def known(self) -> bool:
        """Something was measured."""
        return self._bytes > 0

    @property
    def chars_per_s(self) -> float:
        """The likely pace."""
        return self._chars / self._bytes * BYTES_PER_S if self._bytes else TYPICAL_CHARS_PER_S

    @property
    def at_least(self) -> float:
        """A pace, in characters a second, that the voice is hardly ever below."""
        seconds = self._bytes / BYTES_PER_S + self._unsure / (TYPICAL_CHARS_PER_S * SLOW)
        return (self._chars + self._unsure) / seconds * self._margin


class Pace(Rate):
    """How fast a voice speaks, its pauses included. One for each call and voice."""

    def __init__(self) -> None:
        super().__init__(UNSURE, PACE_MARGIN)
        self.sounding = Rate()
        """Without its pauses: measured only where they could be told from its sound."""
