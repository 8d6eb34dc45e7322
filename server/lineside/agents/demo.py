"""A bookshop's telephone: a greeting, a menu of keys, and an order that can be interrupted and taken up again."""

from collections.abc import AsyncIterator

from lineside import CallerPressed, CallStarted, Cue, CutOff, HangUp, Line

MENU = "Press 1 for your order, 2 for our opening hours, or 9 to end the call."
ORDER = (
    "Your order left our warehouse on Monday morning. It holds three books: two novels, and an atlas of the northern "
    "seas. Last night it reached the depot on Canal Street. A courier will bring it tomorrow, between ten and noon. "
    "If nobody is at home, it will wait for a week at the post office on the market square. "
    "To have it sent elsewhere, answer the message that we are sending you now."
)
HOURS = "We are open from nine to six, Monday to Saturday. On Sundays the harbour is quiet, and so are we."


class Reception:
    """One caller's receptionist: made when the call begins, gone when it is over."""

    def __init__(self) -> None:
        self.before: Cue | None = None

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        before, self.before = self.before, cue
        match before, cue:
            case _, CallStarted(resumed=True):
                yield f"Sorry, I lost you for a moment. {MENU}"
            case _, CallStarted():
                yield f"Thank you for calling Harbour Books. {MENU}"
            case CallerPressed(digit="1"), CallerPressed(digit="1", cut_off=CutOff(unheard=rest)):
                yield rest  # the same key again: go on where the caller stopped hearing
            case _, CallerPressed(digit="1"):
                yield ORDER
            case _, CallerPressed(digit="2"):
                yield HOURS
            case _, CallerPressed(digit="9"):
                yield "Thank you for calling. Goodbye!"
                yield HangUp()
            case _, CallerPressed(digit=digit):
                yield f"There is nothing behind {digit}. {MENU}"
