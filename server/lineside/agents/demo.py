"""A bookshop's telephone: answers questions and keys, takes an order number, and knows what its caller has heard."""

from collections.abc import AsyncIterator

from lineside import (
    CallerEntered,
    CallerPressed,
    CallerSaid,
    CallerSilent,
    CallStarted,
    CollectDigits,
    Cue,
    HangUp,
    Line,
    Say,
)

MENU = "Ask about your order or our hours, or press 1 or 2 for them. Press 9 to end the call."
ORDER = (
    "Your order left our warehouse on Monday morning. It holds three books: two novels, and an atlas of the northern "
    "seas. Last night it reached the depot on Canal Street. A courier will bring it tomorrow, between ten and noon. "
    "If nobody is at home, it will wait for a week at the post office on the market square. "
    "To have it sent elsewhere, just ask me to change the address."
)
HOURS = "We are open from nine to six, Monday to Saturday. On Sundays the harbour is quiet, and so are we."
KEYS = {"1": "order", "2": "hours", "9": "goodbye"}


class Reception:
    """One caller's receptionist: made when the call begins, gone when it is over."""

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        match cue, topic_of(cue):
            case CallStarted(resumed=True), _:
                yield f"Sorry, I lost you for a moment. {MENU}"
            case CallStarted(), _:
                yield Say(f"Thank you for calling Harbour Books. {MENU}", fixed=True)  # kept, once it was spoken
            case _, "order":
                yield ORDER
            case _, "hours":
                yield HOURS
            case _, "address":
                if cue.cut_off and "noon" in cue.cut_off.unheard:  # only what was heard is said
                    yield "Of course, but it would come tomorrow before noon. "
                yield CollectDigits(length=4)
                yield "To change the address, please press the four digits of your order number."
            case CallerEntered(digits=digits), _ if digits:
                yield f"Thank you. We will call you back about order {' '.join(digits)}. Anything else?"
            case _, "goodbye":
                yield "Thank you for calling. Goodbye!"
                yield HangUp()  # once that was heard
            case CallerEntered(), _:
                yield "I have no number from you. Anything else?"
            case CallerSilent(nth=1), _:
                yield "Are you still there?"
            case CallerSilent(), _:
                yield "I hear nobody. Goodbye!"
                yield HangUp()
            case (CallerSaid() | CallerPressed(), _):
                yield f"I am afraid I have no answer to that. {MENU}"


def topic_of(cue: Cue) -> str:
    """What the caller wants, by a key or in words. A model would understand more."""
    match cue:
        case CallerPressed(digit=digit):
            return KEYS.get(digit, "")
        case CallerSaid(text=text):
            return next((topic for topic in ("goodbye", "address", "hours", "order") if topic in text.lower()), "")
    return ""
