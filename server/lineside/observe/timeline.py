"""What happened in a call, in order. The one place where a call leaves traces.

Each note has a kind and a few details. Parts note facts; who is interested listens (the log, the simulated call's
picture, later metrics). Text of callers and agents is in notes but not in the log, unless asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KEPT = 2000  # notes a call; about an hour of talk. Older ones are dropped and counted.


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened. `at` is seconds since the call began."""

    at: float
    kind: str
    details: dict[str, Any] = field(default_factory=dict)


class Timeline:
    """The notes of one call.

    Args:
        clock: the loop's time.
        listeners: called with each note; they must not raise and must not wait.
    """

    def __init__(self, clock: Callable[[], float], *listeners: Callable[[Note], None]) -> None:
        self._clock = clock
        self._began = clock()
        self._listeners = listeners
        self.notes: deque[Note] = deque(maxlen=KEPT)
        self.counts: dict[str, int] = {}

    def note(self, kind: str, **details: Any) -> None:
        note = Note(self._clock() - self._began, kind, details)
        self.notes.append(note)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        for listener in self._listeners:
            listener(note)
