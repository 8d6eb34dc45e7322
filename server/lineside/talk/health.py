"""Whether a voice that failed may be tried again. Pure; time is passed in."""

from __future__ import annotations

PENALTIES = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # s after the first, second, ... failure in a row


class Health:
    """One voice's record in one call: each failure in a row keeps it out for longer."""

    def __init__(self) -> None:
        self._failures = 0
        self._out_until = float("-inf")

    def failed(self, now: float) -> None:
        """It was given up in the middle of a turn."""
        self._out_until = now + PENALTIES[min(self._failures, len(PENALTIES) - 1)]
        self._failures += 1

    def worked(self) -> None:
        """It spoke a whole utterance."""
        self._failures = 0

    def may_try(self, now: float) -> bool:
        return now >= self._out_until

    @property
    def failing(self) -> bool:
        """Its last use failed."""
        return self._failures > 0
