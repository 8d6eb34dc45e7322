"""How much was spent lately: the arithmetic of a provider's limits per stretch of time. No clock of its own."""

from __future__ import annotations

from collections import deque


class Budget:
    """What one connection has spent of one limit. Every `now` is of the same clock and never goes back."""

    def __init__(self) -> None:
        self._spent: deque[tuple[float, int]] = deque()
        self._total = 0
        self._window_began = float("-inf")

    def spend(self, amount: int, now: float, *, limit: int, window_s: float, fixed: bool) -> bool:
        """Spend `amount`, or nothing and return False when the window has no room for it.

        Args:
            fixed: a window begins with the first spending after the last one ended; otherwise it is every stretch of
                time of this length.
        """
        if fixed:
            if now - self._window_began >= window_s:
                self._spent.clear()
                self._total, self._window_began = 0, now
        else:
            while self._spent and self._spent[0][0] <= now - window_s:
                self._total -= self._spent.popleft()[1]
        if self._total + amount > limit:
            return False
        self._spent.append((now, amount))
        self._total += amount
        return True
