"""What a provider's account and socket allow, counted before it is used. Pure; time is passed in."""

from __future__ import annotations

from collections import deque


class Budget:
    """At most `amount` units in any `window` seconds.

    The window slides: whatever shape the provider's own window has, a sliding one of the same length is never wider.
    """

    def __init__(self, amount: int, window: float) -> None:
        self._amount = amount
        self._window = window
        self._spent: deque[tuple[float, int]] = deque()
        self._total = 0

    def left(self, now: float) -> int:
        """Units that can be spent now."""
        while self._spent and self._spent[0][0] + self._window <= now:  # the same sum as in `wait`
            self._total -= self._spent.popleft()[1]
        return self._amount - self._total

    def spend(self, units: int, now: float) -> None:
        """Count what is being used; going below zero is the caller's decision."""
        self._spent.append((now, units))
        self._total += units

    def wait(self, units: int, now: float) -> float:
        """Seconds until `units` can be spent; infinite when they never can."""
        if units > self._amount:
            return float("inf")
        missing = units - self.left(now)
        for at, spent in self._spent:
            if missing <= 0:
                break
            missing -= spent
            freed_at = at + self._window
            if missing <= 0:
                return max(0.0, freed_at - now)
        return 0.0
