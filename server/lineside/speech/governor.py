"""Who may use a provider's account now: its slots, the queue for them, and the pause after a refusal.

What a slot is depends on the provider: an open socket at Deepgram, a running generation at ElevenLabs. One governor
serves all calls of the process that use the account.

Source: https://developers.deepgram.com/reference/api-rate-limits, https://elevenlabs.io/docs/overview/models#concurrency
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

BACK_OFF = (0.5, 1.0, 2.0, 4.0)  # s after the first, second, ... refusal in a row; the last is repeated
TROUBLED = 60.0  # s for which a refusal is remembered


@dataclass(slots=True)
class Waits:
    """How long callers had to wait for slots, for whoever counts."""

    n_taken: int = 0
    n_waited: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    n_refused: int = 0


class Ticket:
    """A place in the queue, then a slot; given back once, by `leave`."""

    def __init__(self, governor: Governor, granted: Callable[[], None], since: float) -> None:
        self._governor = governor
        self._granted: Callable[[], None] | None = granted
        self.since = since
        self.held = False

    def grant(self) -> None:
        granted, self._granted = self._granted, None
        self.held = True
        if granted is not None:
            granted()

    def leave(self) -> None:
        """Give the slot back, or the place in the queue up."""
        self._granted = None
        self._governor.left(self)


class Governor:
    """The slots of one account.

    Args:
        slots: how many there are; 0 for no limit of ours.
    """

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.waits = Waits()
        self._slots = slots
        self._taken = 0
        self._queue: deque[Ticket] = deque()
        self._refusals = 0
        self._closed_until = 0.0
        self._probe: Ticket | None = None
        self._refused_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def free(self) -> bool:
        """Whether a slot would be granted at once."""
        open_now = self._loop.time() >= self._closed_until
        return open_now and not self._queue and self._probe is None and (self._slots == 0 or self._taken < self._slots)

    @property
    def troubled(self) -> bool:
        """Whether the provider refused somebody lately, so that a slot of ours is no promise."""
        return self._loop.time() - self._refused_at < TROUBLED

    def ask(self, granted: Callable[[], None], *, urgent: bool = False) -> Ticket:
        """Queue up for a slot; `granted` is called when it is there, which may be at once.

        Args:
            urgent: somebody is on the phone already: go before those whose call still rings.
        """
        ticket = Ticket(self, granted, self._loop.time())
        if urgent:
            self._queue.appendleft(ticket)
        else:
            self._queue.append(ticket)
        self._serve()
        return ticket

    def left(self, ticket: Ticket) -> None:
        """See `Ticket.leave`."""
        if ticket is self._probe:
            self._probe = None
        if ticket.held:
            ticket.held = False
            self._taken -= 1
            self._serve()
        elif ticket in self._queue:
            self._queue.remove(ticket)

    def refused(self) -> None:
        """The provider said that there are too many: everybody waits a little, longer each time in a row."""
        now = self._loop.time()
        pause = BACK_OFF[min(self._refusals, len(BACK_OFF) - 1)] * random.uniform(0.75, 1.25)
        self._refusals += 1
        self._probe = None
        self._refused_at = now
        self.waits.n_refused += 1
        self._closed_until = max(self._closed_until, now + pause)
        self._serve()

    def accepted(self) -> None:
        """The provider let somebody in."""
        self._refusals = 0
        self._probe = None
        self._serve()

    def _serve(self) -> None:
        now = self._loop.time()
        if self._queue and now < self._closed_until:
            if self._timer is None:
                self._timer = self._loop.call_at(self._closed_until, self._reopen)
            return
        while self._queue and self._probe is None and (self._slots == 0 or self._taken < self._slots):
            ticket = self._queue.popleft()
            self._taken += 1
            self._count(now - ticket.since)
            if self._refusals:
                self._probe = ticket  # one goes ahead; the others follow if it is let in
            ticket.grant()

    def _reopen(self) -> None:
        self._timer = None
        self._serve()

    def _count(self, waited: float) -> None:
        self.waits.n_taken += 1
        if waited > 0:
            self.waits.n_waited += 1
            self.waits.total_s += waited
            self.waits.longest_s = max(self.waits.longest_s, waited)
