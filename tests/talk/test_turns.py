"""Who has the turn, as a table."""

from __future__ import annotations

import pytest

from lineside.talk.turns import Decision, on_key


@pytest.mark.parametrize(
    ("turn_running", "interruptible", "decision"),
    [
        (False, True, Decision.REPLY),
        (False, False, Decision.REPLY),  # nothing is being said that could be protected
        (True, True, Decision.INTERRUPT),
        (True, False, Decision.KEEP),
    ],
)
def test_a_key_is_answered_interrupts_or_is_kept(turn_running: bool, interruptible: bool, decision: Decision) -> None:
    assert on_key(turn_running=turn_running, interruptible=interruptible) is decision
