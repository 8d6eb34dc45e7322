"""What the wire of a recogniser asks its owner: when did we have this much of the socket's audio?"""

from __future__ import annotations

from collections.abc import Callable

Arrived = Callable[[float], float | None]
"""Seconds of the present socket's audio in, loop time out at which the last of them came from the carrier. None: that
is not known (any more), or so much audio was never sent."""


def untold(_: float) -> float | None:
    """Nobody knows."""
    return None
