"""A place among an account's running generations, waited for with an end to patience."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lineside.speech.governor import Governor, Ticket


class Slot:
    """Asked for once, given back once.

    Args:
        governor: of the account; None grants at once.
        patience: s to wait at the most.
        on_granted: called when the slot was waited for and is there.
        on_denied: called when it was waited for in vain.
        urgent: see `Governor.ask`.
    """

    def __init__(
        self,
        governor: Governor | None,
        patience: float,
        on_granted: Callable[[], None],
        on_denied: Callable[[], None],
        *,
        urgent: bool = False,
    ) -> None:
        self._governor = governor
        self._patience = patience
        self._on_granted = on_granted
        self._on_denied = on_denied
        self._urgent = urgent
        self._ticket: Ticket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.held = governor is None

    def ask(self) -> bool:
        """Whether the slot is there; if it is not, one of the two calls follows. Asking again changes nothing."""
        if not self.held and self._ticket is None and self._governor is not None:
            self._ticket = self._governor.ask(
                self._grant, urgent=self._urgent
            )  # which may call `_grant` before it returns
            if not self.held:
                self._timer = asyncio.get_running_loop().call_later(self._patience, self._deny)
        return self.held

    def leave(self) -> None:
        """Give the slot back, or the wish for it up."""
        self._stop()
        self.held = False
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            ticket.leave()

    def _grant(self) -> None:
        self.held = True
        self._stop()
        if self._ticket is not None:
            self._on_granted()

    def _deny(self) -> None:
        self.leave()
        self._on_denied()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
