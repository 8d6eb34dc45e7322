"""Where one turn plays: on the call's leg, or behind the curtain while it is no more than a draft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lineside.events import BargeIn, CollectDigits
from lineside.observe.latency import Latency, Step
from lineside.observe.timeline import Timeline
from lineside.ports import Leg
from lineside.talk.playout import RoundTrip

_NOTED: dict[Step, str] = {"asked": "speech_asked", "audio": "first_audio", "sent": "first_sent"}


class Connection(Protocol):
    """The call, as far as its conversation is concerned."""

    @property
    def leg(self) -> Leg | None:
        """The leg, once audio may be sent to it."""
        ...

    @property
    def trip(self) -> RoundTrip: ...

    @property
    def timeline(self) -> Timeline: ...


class Stage:
    """One turn's way to the caller, and the place where its moments are noted.

    Args:
        turn: its number.
        directed: told of each line that says how the call is to listen, once the turn is no draft.
        open: False for a draft: everything gets ready, and nothing is heard until `open`.
    """

    def __init__(
        self,
        connection: Connection,
        turn: int,
        latency: Latency,
        clock: Callable[[], float],
        directed: Callable[[BargeIn | CollectDigits], None],
        *,
        open: bool = True,
    ) -> None:
        self._connection = connection
        self._turn = turn
        self.latency = latency
        self._clock = clock
        self._directed = directed
        self._open = open
        self._waiting: list[BargeIn | CollectDigits] = []
        self._began = clock()
        self._told = False

    @property
    def leg(self) -> Leg | None:
        return self._connection.leg if self._open else None

    @property
    def trip(self) -> RoundTrip:
        return self._connection.trip

    @property
    def timeline(self) -> Timeline:
        return self._connection.timeline

    def open(self, latency: Latency) -> None:
        """The draft has become the answer. `latency` knows when the caller had finished."""
        latency.at = self.latency.at
        self.latency = latency
        self._open = True
        for line in self._waiting:
            self._directed(line)
        self._waiting.clear()

    def direct(self, line: BargeIn | CollectDigits) -> None:
        if self._open:
            self._directed(line)
        else:
            self._waiting.append(line)

    def reached(self, step: Step, at: float | None = None) -> None:
        """A step of this turn was taken, now or at the time given; only the first time counts."""
        if not self.latency.reached(step, self._clock() if at is None else at):
            return
        if step in _NOTED:
            self.timeline.note(_NOTED[step], after_ms=round((self._clock() - self._began) * 1000, 1))
        if step == "audible":
            self.tell()

    def tell(self) -> None:
        """Put the turn's figures on the timeline, once: when its first sound was played, or when it is over."""
        if self._open and not self._told and "sent" in self.latency.at:
            self._told = True
            self.timeline.note("latency", turn=self._turn, **self.latency.figures())
