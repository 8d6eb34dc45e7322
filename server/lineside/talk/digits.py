"""Keys that come together: an order number, a PIN. Pure; time is passed in."""

from __future__ import annotations

from lineside.events import CallerEntered, CollectDigits


class Digits:
    """One collection, from the line that asked for it to its end."""

    def __init__(self, wanted: CollectDigits, now: float) -> None:
        self._wanted = wanted
        self._pressed = ""
        self._last_at = now

    def press(self, digit: str, now: float) -> CallerEntered | None:
        """One key more; returns the end if this was it."""
        if digit == self._wanted.terminator:
            return CallerEntered(self._pressed, "terminator")
        self._pressed += digit
        self._last_at = now
        if self._wanted.length is not None and len(self._pressed) >= self._wanted.length:
            return CallerEntered(self._pressed, "length")
        return None

    def due(self, silent_since: float) -> float:
        """When the collection times out if no further key comes and the agent has been silent since then."""
        return max(self._last_at, silent_since) + self._wanted.timeout

    def time_out(self) -> CallerEntered:
        return CallerEntered(self._pressed, "timeout")
