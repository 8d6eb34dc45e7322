"""What is said under load: one answer for each key, the same from every server that is measured."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lineside.events import CallerPressed, Cue, Line
from lineside.standin.tone import CHARS_PER_S

ANSWERS = {
    "1": "Your order left our warehouse on the canal this morning. It will reach you tomorrow, before noon.",
    "2": "We are open from nine to six on working days. On Sundays the harbour is quiet, and so are we.",
    "3": "If nobody is at home, the courier rings next door. After that it waits for you at the post office.",
    "4": "Thank you, that is all I need to know. A colleague will write to you later in the afternoon.",
    "5": "Yes, of course.",
    "6": "One moment.",
}
TALK = "1234"  # keys whose answers are as long as an agent's usually are
SMALL_TALK = "56"  # keys for a run that only proves that everything works


def seconds(key: str) -> float:
    """How long the stand-in's voice speaks the answer to a key."""
    return len(ANSWERS[key]) / CHARS_PER_S


class Talker:
    """The agent: silent until a key is pressed."""

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        match cue:
            case CallerPressed(digit=key):
                yield ANSWERS[key]
