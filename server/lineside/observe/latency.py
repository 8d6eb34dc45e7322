"""How long a caller waited for an answer, and where the time went. Times are the loop's, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Step = Literal["agent", "asked", "audio", "sent", "audible"]
"""The agent's first text, that text given to the provider, its first audio, our first frame to the carrier, and the
carrier playing it. All at this server, but for the last: that is the carrier's playout, told by its first mark."""

_STEPS: tuple[Step, ...] = ("agent", "asked", "audio", "sent", "audible")


@dataclass(slots=True)
class Latency:
    """One turn of the agent. What was not reached, or cannot be known, is None."""

    cue_at: float
    """The agent was given its cue: the transcript was final, or a key came."""
    spoken_by: float | None = None
    """The last sound of what the caller said arrived here."""
    at: dict[Step, float] = field(default_factory=dict)

    def reached(self, step: Step, at: float) -> bool:
        """Returns whether it is the first time."""
        if step in self.at:
            return False
        self.at[step] = at
        return True

    def figures(self) -> dict[str, float | None]:
        """The waterfall in ms: each step since the one before it that is known, and `gap_ms` from end to end.

        `agent_ms` is negative where the agent began before the caller had surely finished. `gap_ms` begins with the
        caller's last sound, or with the cue where that is not known: `endpoint_ms` is None then.
        """
        endpoint = None if self.spoken_by is None else self.cue_at - self.spoken_by
        figures: dict[str, float | None] = {"endpoint_ms": _ms(endpoint)}
        last = self.cue_at
        for step in _STEPS:
            reached = self.at.get(step)
            figures[f"{step}_ms"] = _ms(None if reached is None else reached - last)
            last = last if reached is None else reached
        began = self.cue_at if self.spoken_by is None else self.spoken_by
        audible = self.at.get("audible")
        figures["gap_ms"] = _ms(None if audible is None else audible - began)
        return figures


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
