"""When to hand text to the provider, and when to have it spoken. Pure.

A provider speaks many times faster than a caller listens. Giving it everything at once would waste what an interruption
drops, and break its limits on characters and flushes; giving it too little leaves a gap. So text goes out while less
than `ahead` seconds of speech are unheard, and a flush follows only when the speech in hand runs low, or at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Step(Enum):
    """What to do now with the text of a turn."""

    SAY = auto()
    FLUSH = auto()
    FINISH = auto()
    WAIT = auto()


@dataclass(frozen=True, slots=True)
class Feed:
    """How far ahead of the caller to be, in seconds of speech."""

    ahead: float = 15.0
    low: float = 1.5

    def step(self, *, waiting: bool, more: bool, in_hand: float, unflushed: float) -> Step:
        """The next step; ask again after each until it is WAIT or FINISH.

        Args:
            waiting: a sentence is there to be handed over.
            more: the agent may give more text.
            in_hand: seconds of speech that was received but not played, or is owed for flushed text.
            unflushed: seconds that text handed over, but not flushed, will take.
        """
        if not waiting and not more:
            return Step.FINISH
        if unflushed > 0 and in_hand < self.low:
            return Step.FLUSH
        if waiting and in_hand + unflushed < self.ahead:
            return Step.SAY
        return Step.WAIT

    def wait(self, *, waiting: bool, in_hand: float, unflushed: float) -> float | None:
        """Seconds of playout after which `step` may answer otherwise by the passing of time alone."""
        waits = [in_hand - self.low] if unflushed > 0 else []
        if waiting:
            waits.append(in_hand + unflushed - self.ahead)
        return max(0.0, min(waits)) if waits else None
