"""One turn of the agent: its lines become speech and actions, in order, until the last was played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from lineside.alarm import Alarm
from lineside.cast import Cast
from lineside.errors import AgentError
from lineside.events import BargeIn, CollectDigits, Cue, CutOff, HangUp, Line, Pause, Say
from lineside.ports import AgentSession, Reply
from lineside.stage import Stage
from lineside.stretch import SpeakingOptions, Stretch


class Outcome(Enum):
    """How a turn ended."""

    PLAYED = auto()
    HANG_UP = auto()  # played, and the agent wants the call to end


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """How turns go; the same for all of a call."""

    speaking: SpeakingOptions
    agent_timeout: float = 30.0
    """Seconds without a line, while nothing is left to play, after which the agent is taken to hang."""


class Turn:
    """One cue and everything said in answer.

    Args:
        number: unique in the call.
        cast: the call's voices.
        barge_in: how easily the caller takes the turn, where a line says nothing else.
    """

    def __init__(
        self,
        number: int,
        cue: Cue,
        stage: Stage,
        agent: AgentSession,
        cast: Cast,
        options: TurnOptions,
        barge_in: BargeIn,
        clock: Callable[[], float],
    ) -> None:
        self.number = number
        self._stage = stage
        self._cast = cast
        self._options = options
        self._barge_in = barge_in
        self._clock = clock
        self._alarm = Alarm()
        self._done: list[CutOff] = []  # the accounts of stretches that are over
        self._texts: list[str] = []  # and their texts
        self._n_stretches = 0
        self._stretch = self._new_stretch()
        self._reply = agent.reply(cue, self._alarm.ring)

    def _new_stretch(self) -> Stretch:
        self._n_stretches += 1
        return Stretch(
            f"t{self.number}s{self._n_stretches}",
            self._stage,
            self._cast,
            self._options.speaking,
            clock=self._clock,
            wake=self._alarm.ring,
        )

    # -- the turn itself ---------------------------------------------------------------------------

    async def run(self) -> Outcome:
        """Speak until all was played. Cancel to stop."""
        try:
            while True:
                action = await self._speak(self._reply)
                self._done.append(self._stretch.account())
                self._texts.append(self._stretch.text)
                self._stretch = self._new_stretch()
                if action is None:
                    return Outcome.PLAYED
                if isinstance(action, HangUp):
                    return Outcome.HANG_UP
                await asyncio.sleep(action.seconds)
        finally:
            self.close()

    async def _speak(self, reply: Reply) -> Pause | HangUp | None:
        """Speak lines up to an action, or to the end; returns the action once all before it was played."""
        action: Pause | HangUp | None = None
        ended = False
        heard_from_agent = self._clock()
        while True:
            while not ended and self._stretch.hungry and (line := reply.take()) is not None:
                heard_from_agent = self._clock()
                if isinstance(line, str | Say):
                    self._stage.reached("agent", heard_from_agent)
                action = self._write(line)
                ended = action is not None
            if not ended and reply.done:
                ended = True
                if reply.error is not None:
                    self._agent_failed(reply.error)
            if ended:
                self._stretch.end()
            self._stretch.step()
            if self._stretch.over():
                return action
            due = self._stretch.due()
            if not self._stretch.spent:
                heard_from_agent = self._clock()
            if not ended:
                limit = heard_from_agent + self._options.agent_timeout
                if self._clock() >= limit:
                    ended = True
                    self._agent_failed(AgentError(f"no line for {self._options.agent_timeout:g} s"))
                    continue
                due = limit if due is None else min(due, limit)
            await self._alarm.wait(due)

    def _write(self, line: Line) -> Pause | HangUp | None:
        match line:
            case str():
                self._stretch.write(Say(line, barge_in=self._barge_in))
            case Say():
                self._stretch.write(replace(line, barge_in=line.barge_in or self._barge_in))
            case BargeIn():
                self._barge_in = line
                self._stage.direct(line)
            case CollectDigits():
                self._stage.direct(line)
            case Pause() | HangUp():
                return line
        return None

    def _agent_failed(self, error: Exception) -> None:
        self._stage.timeline.note("agent_failed", error=str(error))
        if self._stretch.empty and not self._done:
            self._stretch.apologise()

    def close(self) -> None:
        """No more is wanted from the agent, and what the provider was asked for is taken back."""
        self._reply.close()
        self._stretch.close()

    # -- from outside ------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed: the leg came, say."""
        self._alarm.ring()

    def marked(self, name: str) -> None:
        self._stretch.marked(name)

    def interruptible(self) -> bool:
        return self._stretch.interruptible()

    def barge_in(self) -> BargeIn:
        """How easily the caller takes the turn from what is being said."""
        return self._stretch.barge_in() or self._barge_in

    @property
    def sounding(self) -> bool:
        """Something of it was played, or is about to be."""
        return self._n_stretches > 1 or self._stretch.sounding

    @property
    def held(self) -> bool:
        """Silent for now: see `hold`."""
        return self._stretch.held

    def hold(self) -> CutOff | None:
        """Fall silent at once; returns what was heard, or None when nothing is left unheard.

        Either `resume` follows, or the task that runs this turn is cancelled.
        """
        return self._account(self._stretch.hold())

    def resume(self) -> None:
        self._stretch.resume()

    @property
    def text(self) -> str:
        """What the agent said in this turn so far, in its own words."""
        return " ".join(text.strip() for text in (*self._texts, self._stretch.text) if text)

    def account(self) -> CutOff | None:
        """What was said and heard so far; None when nothing is left unheard."""
        return self._account(self._stretch.account())

    def _account(self, last: CutOff) -> CutOff | None:
        parts = [*self._done, last]
        heard = " ".join(part.heard for part in parts if part.heard)
        unheard = " ".join(part.unheard for part in parts if part.unheard)
        if not unheard:
            return None
        return CutOff(heard, unheard, sum(part.heard_ms for part in parts))
