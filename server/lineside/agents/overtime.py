"""How long user code may take to come to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

CLEANUP_S = 0.25  # what a generator's clean-up has: some flushes and closes of local things, no network round trips
BOOKKEEPING_S = 5.0  # what the answer to CallEnded has, and after it the leaving of the agent's context

HELD_UP_S = 0.05  # a timer this late says that something else blocked the loop


def limit(task: asyncio.Task[None], seconds: float, what: Callable[[], str], report: Callable[[str], None]) -> None:
    """Let `task` run `seconds` more, then cancel it, and when that does not end it either, leave it to itself.

    While other code blocks the loop the task cannot end; that time is given back to it.

    Args:
        task: of the running loop.
        what: says what the task is doing; asked only when it is late.
        report: told when the task is cancelled, and when it is given up.
    """
    loop = task.get_loop()
    timer: asyncio.TimerHandle

    def cancel() -> None:
        nonlocal timer
        held_up_s = loop.time() - timer.when()
        if held_up_s > HELD_UP_S:
            timer = loop.call_later(held_up_s, cancel)
            return
        report(f"{what()} took more than {seconds:g} s and was cancelled")
        task.cancel()
        timer = loop.call_later(CLEANUP_S, give_up)

    def give_up() -> None:
        report(f"{what()} goes on although it was cancelled; it is left to itself")

    timer = loop.call_later(seconds, cancel)
    task.add_done_callback(lambda _: timer.cancel())
