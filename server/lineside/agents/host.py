"""Where agents live: a loop in a thread of its own, so that user code cannot hold up a call's audio."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

from lineside.agents import blame
from lineside.agents.crossing import Crossing
from lineside.agents.lag import LagMeter
from lineside.agents.overtime import BOOKKEEPING_S, CLEANUP_S
from lineside.agents.session import Mind, Session
from lineside.agents.shapes import AgentFactory
from lineside.errors import LocalProtocolError
from lineside.events import CallInfo

logger = logging.getLogger(__name__)

# A cue waits so long for the busy media thread. The interpreter's default of 5 ms was measured as 4.4 ms added to a
# turn's first audio at 150 calls, this as 1.1 ms, at no cost in CPU that could be seen.
SWITCH_S = 0.0005
THREAD_END_S = BOOKKEEPING_S + 2 * CLEANUP_S + 1.0  # what its tasks have, then what its loop's own clean-up has


def log_problem(problem: str) -> None:
    logger.warning("%s", problem)


class AgentHost:
    """Runs one kind of agent for all calls of a process. Enter it on the media loop; close the sessions before leaving.

    With a thread of its own, an agent that blocks delays other agents' words and nobody's audio. The thread is a
    daemon: leaving waits for its end, but nobody can end a thread that is stuck in user code, and such a one must not
    keep the process from ending. Without a thread, agents share the running loop (and may share its objects), and one
    that blocks stops every call.
    """

    def __init__(
        self, factory: AgentFactory, *, own_thread: bool = True, on_problem: Callable[[str], None] = log_problem
    ) -> None:
        """on_problem: told on the media loop what user code does that it should not, with its file and line."""
        self._factory = factory
        self._own_thread = own_thread
        self._on_problem = on_problem
        self._entered = False
        self._crossing: Crossing
        self._thread: threading.Thread
        self._lag: LagMeter
        self._switch_s: float
        self._sessions: set[Session] = set()
        # On the agent's loop:
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        media = asyncio.get_running_loop()
        agent = asyncio.new_event_loop() if self._own_thread else media
        self._crossing = Crossing(media, agent)
        if self._own_thread:
            self._switch_s = sys.getswitchinterval()
            sys.setswitchinterval(min(self._switch_s, SWITCH_S))
            self._thread = threading.Thread(target=self._run, args=(agent,), name="lineside-agents", daemon=True)
            self._thread.start()
            self._lag = LagMeter(self._crossing, self._thread.ident or 0, self._on_problem)
            self._lag.start()
        self._entered = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._entered = False
        for session in list(self._sessions):
            session.close()
        self._crossing.to_agent(self._leaving.set)
        if not self._own_thread:
            await self._serve()
            return
        try:
            await self._join()
        finally:
            self._lag.stop()
            sys.setswitchinterval(self._switch_s)

    def open(self, call: CallInfo) -> Session:
        """The agent of one call; it is made when it is first asked, in a copy of the present context.

        Raises:
            LocalProtocolError: the host is not entered.
        """
        if not self._entered:
            raise LocalProtocolError("an agent host opens sessions only while it is entered")
        session = Session(Mind(self._factory, call, self._spawn, self._report), self._crossing, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def _join(self) -> None:
        try:
            async with asyncio.timeout(THREAD_END_S):
                while self._thread.is_alive():  # noqa: ASYNC110  a thread cannot set an event after its end
                    await asyncio.sleep(0.002)
        except TimeoutError:
            place = blame.in_thread(self._thread.ident or 0) or "no line of theirs"
            self._on_problem(f"the agents' thread did not end in {THREAD_END_S:g} s, it is at {place}; left to itself")

    def _report(self, problem: str) -> None:
        """Pass on a problem from the agent's loop."""
        self._crossing.to_media(self._on_problem, problem)

    # -- on the agent's loop ------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread. Its loop goes on when a task of user code calls sys.exit(): other calls are served by it too."""
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            serving = runner.get_loop().create_task(self._serve())
            while not serving.done():
                try:
                    loop.run_until_complete(serving)
                except (SystemExit, KeyboardInterrupt) as exc:
                    self._report(f"a task of the agent raised {blame.agent_error(exc)}")

    async def _serve(self) -> None:
        """Wait for the end, then until what belongs to the calls' ends has run, or its time is up."""
        await self._leaving.wait()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=BOOKKEEPING_S)
        for task in set(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLEANUP_S)
        if self._tasks:
            self._report(f"{len(self._tasks)} tasks of agents go on although they were cancelled; left to themselves")

    def _spawn(self, work: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
