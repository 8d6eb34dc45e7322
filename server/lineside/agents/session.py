"""The mind of one call: its agent, made on the agent's loop, asked from the media loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from lineside.agents import blame
from lineside.agents.crossing import Crossing
from lineside.agents.overtime import BOOKKEEPING_S, CLEANUP_S, limit
from lineside.agents.reply import Answer, Pump, cancelled_by_us
from lineside.agents.shapes import AgentFactory, Ask
from lineside.errors import AgentError, LocalProtocolError
from lineside.events import CallEnded, CallInfo, Cue

Spawn = Callable[[Coroutine[Any, Any, None], contextvars.Context], asyncio.Task[None]]
"""Starts a task on the agent's loop; whoever gave it ends the task at the latest with the host."""


class Session:
    """One call's agent as the media loop sees it: a `ports.AgentSession`.

    Answers run one after another. One that is asked for while another still runs waits until that has ended or was
    closed, but never for its clean-up.
    """

    def __init__(self, mind: Mind, crossing: Crossing, closed: Callable[[Session], None]) -> None:
        self._mind = mind
        self._crossing = crossing
        self._closed: Callable[[Session], None] | None = closed
        self._answers: list[Answer] = []

    def reply(self, cue: Cue, wake: Callable[[], None]) -> Answer:
        """Ask the agent. The first cue makes it. `CallEnded` closes what still runs; its answer is not delivered.

        Raises:
            LocalProtocolError: the session was closed.
        """
        if self._closed is None:
            raise LocalProtocolError("a closed agent session cannot reply")
        if isinstance(cue, CallEnded):
            self._close_answers()
        self._answers = [answer for answer in self._answers if not answer.done]
        former = [answer.pump.released for answer in self._answers]
        answer = Answer(cue, wake, self._crossing, former, self._mind.report)
        self._answers.append(answer)
        self._crossing.to_agent(self._mind.ask, answer.pump)
        return answer

    def close(self) -> None:
        """End what still runs but for the answer to `CallEnded`; leave the agent's context after that."""
        if self._closed is None:
            return
        self._close_answers()
        self._crossing.to_agent(self._mind.close)
        self._closed(self)
        self._closed = None

    def _close_answers(self) -> None:
        for answer in self._answers:
            answer.close()


class Mind:
    """One call's agent where it lives, on its own loop. All its tasks share one context of variables.

    The agent's context is entered and left by one task, as task groups and cancel scopes in it must be.
    """

    def __init__(self, factory: AgentFactory, call: CallInfo, spawn: Spawn, report: Callable[[str], None]) -> None:
        self.report = report
        self._factory = factory
        self._call = call
        self._spawn = spawn
        self._context = contextvars.copy_context()
        self._life: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._agent: Ask | AgentError = AgentError("the call ended before its agent was ready")
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()

    def ask(self, pump: Pump) -> None:
        if self._life is None:
            self._life = self._spawn(self._live(), self._context)
        task = self._spawn(pump.run(self._there), self._context)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        pump.started(task)

    def close(self) -> None:
        self._closing.set()
        if self._life:
            limit(self._life, BOOKKEEPING_S + 2 * CLEANUP_S, lambda: "the end of an agent", self.report)

    async def _there(self) -> Ask | AgentError:
        await self._ready.wait()
        return self._agent

    async def _live(self) -> None:
        try:
            async with self._factory(self._call) as self._agent:
                self._ready.set()
                await self._closing.wait()
                if self._answers:
                    await asyncio.wait(set(self._answers), timeout=BOOKKEEPING_S + CLEANUP_S)
        except (Exception, SystemExit, asyncio.CancelledError) as exc:  # user code ends here
            if cancelled_by_us():
                raise
            self._agent = blame.agent_error(exc)
            if self._ready.is_set():
                self.report(f"the end of an agent raised {self._agent}")
        finally:
            self._ready.set()
