"""One answer on its way from the agent's loop to the media loop.

`Answer` is its end on the media loop, `Pump` the one on the agent's loop. Lines go one way, credits the other: the
pump asks the user's generator for at most `LIMIT` lines that the call has not taken, so an endless answer stays small.
Each class is touched by its own loop only; what both touch is `_Outbox`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import get_args

from lineside.agents import blame
from lineside.agents.crossing import Crossing
from lineside.agents.overtime import BOOKKEEPING_S, CLEANUP_S, limit
from lineside.agents.shapes import Ask
from lineside.errors import AgentError
from lineside.events import CallEnded, Cue, Line

LIMIT = 32  # lines; more than a turn has ready at once when an agent gives sentences, a second's worth of tokens
REFILL = LIMIT // 2  # lines; a crossing costs more than a line, so credits go back by the half

_LINE_NAMES = ", ".join(kind.__name__ for kind in get_args(Line))


@dataclass(frozen=True, slots=True)
class _End:
    error: AgentError | None = None


class _Outbox:
    """What the pump has put down and the answer has not collected: one writer, one reader, no lock.

    `called` is set before the reader is called and unset before it reads. So what is put down is either found by a
    reading that is due, or calls for another one; and a burst of lines makes one call. The call goes out with the first
    line, not with the end of the burst: user code may block its loop right after it has said "one moment, please".
    """

    def __init__(self, call_reader: Callable[[], None]) -> None:
        self._call_reader = call_reader
        self._called = False
        self._items: deque[Line | _End] = deque()

    def put(self, item: Line | _End) -> None:
        self._items.append(item)
        if not self._called:
            self._called = True
            self._call_reader()

    def collect(self) -> list[Line | _End]:
        self._called = False
        return [self._items.popleft() for _ in range(len(self._items))]


class Answer:
    """An agent's answer to one cue, as the media loop sees it: a `ports.Reply`."""

    def __init__(
        self,
        cue: Cue,
        wake: Callable[[], None],
        crossing: Crossing,
        former: Iterable[asyncio.Event],
        report: Callable[[str], None],
    ) -> None:
        self._crossing = crossing
        self._wake: Callable[[], None] | None = wake
        self._lines: deque[Line] = deque()
        self._ended = False
        self._error: AgentError | None = None
        self._taken = 0  # since credits were last given back
        # `wake` runs in the context it was given in, not in the one that user code has made.
        self._outbox = _Outbox(partial(crossing.to_media, self._collect, context=copy_context()))
        self.pump = Pump(cue, self._outbox, former, report)

    @property
    def done(self) -> bool:
        return self._ended and not self._lines

    @property
    def error(self) -> AgentError | None:
        """Why the answer ended early. Lines that came before it can still be taken."""
        return self._error

    def take(self) -> Line | None:
        if not self._lines:
            return None
        self._taken += 1
        if self._taken == REFILL and not self._ended:
            self._taken = 0
            self._crossing.to_agent(self.pump.refill)
        return self._lines.popleft()

    def close(self) -> None:
        """Deliver nothing from now on and end the user's generator, which has `CLEANUP_S` to clean up.

        The answer to `CallEnded` is not ended by this: nobody listens to it anyway, and it has a limit of its own.
        """
        if self._wake is None:
            return
        self._wake = None
        self._lines.clear()
        if not self._ended:
            self._ended = True
            self._crossing.to_agent(self.pump.stop)

    def _collect(self) -> None:
        items = self._outbox.collect()
        if not items or self._wake is None:
            return
        for item in items:
            if isinstance(item, _End):
                self._ended, self._error = True, item.error
            else:
                self._lines.append(item)
        self._wake()


class Pump:
    """Draws one answer from the user's code, on the agent's loop, in one task from first line to clean-up."""

    def __init__(
        self, cue: Cue, outbox: _Outbox, former: Iterable[asyncio.Event], report: Callable[[str], None]
    ) -> None:
        self._cue = cue
        self._outbox = outbox
        self._former = former
        self._report = report
        self._credits = LIMIT
        self._refilled = asyncio.Event()
        self._pieces: AsyncGenerator[object, None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop_once_begun = False
        self.released = asyncio.Event()
        """Nothing more comes of this answer, so the next may begin; its clean-up may still run."""

    def started(self, task: asyncio.Task[None]) -> None:
        """`task` is the one that runs `run`."""
        self._task = task
        if self._last_words:
            limit(task, BOOKKEEPING_S, self._what, self._report)

    def refill(self) -> None:
        self._credits += REFILL
        self._refilled.set()

    def stop(self) -> None:
        """Nobody listens any more. User code that has not begun still does: an agent is told of every cue."""
        if self._pieces is None:
            self._stop_once_begun = True
        elif self._task and not self._last_words and not self.released.is_set():
            self.released.set()
            self._task.cancel()
            limit(self._task, CLEANUP_S, self._what, self._report)

    async def run(self, agent: Callable[[], Awaitable[Ask | AgentError]]) -> None:
        """Ask the agent and put down its lines, then how the answer ended.

        Args:
            agent: waits until there is one.
        """
        try:
            for former in self._former:
                await former.wait()
            ask = await agent()
            if isinstance(ask, AgentError):
                self._end(ask)
                return
            async with aclosing(ask(self._cue)) as self._pieces:
                if self._stop_once_begun:  # called when user code has come to its first wait
                    asyncio.get_running_loop().call_soon(self.stop)
                await self._draw(self._pieces)
            self._end(None)
        except asyncio.CancelledError as exc:
            if cancelled_by_us():
                raise
            self._failed(exc)  # something that user code waited for was cancelled
        except (Exception, SystemExit) as exc:  # user code ends here, and its sys.exit() is not the end of all calls
            self._failed(exc)

    async def _draw(self, pieces: AsyncGenerator[object, None]) -> None:
        async for piece in pieces:
            if self.released.is_set():
                return  # it swallowed our cancellation
            if not (piece is None or isinstance(piece, Line)):
                self._end_early(f"the agent gave a {type(piece).__name__}; a line is one of {_LINE_NAMES}")
                return
            if piece is None or piece == "" or self._last_words:
                await asyncio.sleep(0)  # or an endless generator of nothing would have the loop to itself
                continue
            self._outbox.put(piece)
            self._credits -= 1
            while not self._credits:
                self._refilled.clear()
                await self._refilled.wait()

    def _end_early(self, reason: str) -> None:
        self._end(AgentError(reason))
        if self._task:
            limit(self._task, CLEANUP_S, self._what, self._report)

    def _failed(self, exc: BaseException) -> None:
        error = blame.agent_error(exc)
        if self.released.is_set():
            self._report(f"the clean-up of an answer raised {error}")
        else:
            self._end(error)

    def _end(self, error: AgentError | None) -> None:
        if not self.released.is_set():
            self.released.set()
            self._outbox.put(_End(error))

    @property
    def _last_words(self) -> bool:
        return isinstance(self._cue, CallEnded)

    def _what(self) -> str:
        what = f"the {'answer' if self._last_words else 'clean-up of an answer'} to {type(self._cue).__name__}"
        place = blame.in_suspended(self._pieces)
        return f"{what} ({place})" if place else what


def cancelled_by_us() -> bool:
    """Whether the running task was cancelled, rather than something that user code in it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
