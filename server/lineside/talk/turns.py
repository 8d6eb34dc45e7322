"""Who has the turn: what the caller does comes in, what to do about it goes out. Pure.

The state that a decision needs is passed in, so that the whole policy fits in a table.
"""

from __future__ import annotations

from enum import Enum, auto


class Decision(Enum):
    """What to do about something the caller did."""

    REPLY = auto()  # the agent is silent: let it answer
    INTERRUPT = auto()  # stop the agent's turn now, then let it answer
    KEEP = auto()  # what is being said may not be interrupted: answer when it ends


def on_key(*, turn_running: bool, interruptible: bool) -> Decision:
    """The caller pressed a key."""
    if not turn_running:
        return Decision.REPLY
    return Decision.INTERRUPT if interruptible else Decision.KEEP
