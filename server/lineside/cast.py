"""The voices of one call: who speaks, who takes over, who comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lineside.ports import Speech
from lineside.talk.health import Health
from lineside.talk.ledger import Pace


@dataclass(slots=True)
class Member:
    """One voice in one call."""

    speech: Speech
    pace: Pace = field(default_factory=Pace)
    health: Health = field(default_factory=Health)

    @property
    def name(self) -> str:
        return self.speech.voice_name


class Cast:
    """The voices of a call, the preferred one first.

    Args:
        members: in the order in which they take over from each other.
        extras: voices that speak only where a line asks for them by name.
    """

    def __init__(self, members: Sequence[Member], clock: Callable[[], float], extras: Sequence[Member] = ()) -> None:
        self._members = list(members)
        self._named = {member.name: member for member in (*extras, *members)}
        self._clock = clock

    def lead(self) -> Member:
        """Who speaks the next turn: the first that has not failed lately.

        One that failed is probed when its time is up: its socket is opened, and it comes back once that worked.
        """
        now = self._clock()
        for member in self._members:
            if not member.health.may_try(now):
                continue
            if not member.health.failing or member.speech.ready:
                return member
            member.speech.prepare()
        return self._members[0]

    def named(self, name: str) -> Member | None:
        """The voice that a line asks for."""
        return self._named.get(name)

    def understudy(self, of: Member) -> Member | None:
        """Who takes over in the middle of a turn: the next that has not failed lately; None when nobody is left."""
        now = self._clock()
        behind = self._members[self._members.index(of) + 1 :] if of in self._members else self._members
        return next((member for member in behind if member.health.may_try(now)), None)
