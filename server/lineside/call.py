"""One phone call, from the webhook to its end. The only file that knows the order of things.

A call is keyed by the carrier's call id. Legs attach to it and detach from it; the agent and the voice live as long as
the call. One turn runs at a time, as one task. What the caller does arrives as plain calls; `Turns` decides; the call
acts at once: fall silent first, ask questions later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lineside.alarm import Alarm
from lineside.cast import Cast, VoiceSet, cast_of
from lineside.errors import CarrierError
from lineside.events import (
    CallEnded,
    CallerPressed,
    CallerSaid,
    CallerSilent,
    CallInfo,
    CallStarted,
    Cue,
    CutOff,
    EarWarned,
    EndOfTurn,
    HearingEvent,
    SpeechStarted,
)
from lineside.observe.timeline import Timeline
from lineside.ports import AgentSession, Carrier, Ear, Leg
from lineside.talk.playout import RoundTrip
from lineside.talk.turns import Decision, Policy, Situation, Turns, on_key
from lineside.turn import Outcome, Turn, TurnOptions

MOST_KEPT = 32  # keys pressed while the agent may not be interrupted; more are dropped, the oldest first
KEPT_POLL = 0.1  # s between looks whether the agent may be interrupted now
ADMISSION_POLL = 0.05  # s between looks whether a voice has room
HANG_UP_GRACE = 2.0  # s for the carrier to close the leg after it agreed to hang up
TELLING = 3.0  # s a recogniser takes at most to tell the next word, or that the caller has finished
FAREWELL = 5.0  # s for the agent's answer to CallEnded
SHUTDOWN = "shutdown"  # the reason for an end that neither side of the call asked for


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call goes. Times in seconds."""

    turn: TurnOptions
    greeting_delay: float = 0.0
    """Between the leg's start and our first audio: some media paths swallow the first moments."""
    attach_timeout: float = 30.0
    """For the first leg to come after the webhook."""
    reattach_timeout: float = 10.0
    """For a new leg, after one was lost without the carrier saying that the call is over."""
    policy: Policy = field(default_factory=Policy)
    """How easily the caller takes the turn."""
    silence: float = 0.0
    """After the agent fell silent, until it is told that nothing came from the caller; 0 for never."""


class Call:
    """A call in progress. `run` is its life; everything else may be called at any time, from the media loop."""

    def __init__(
        self,
        info: CallInfo,
        agent: AgentSession,
        voices: VoiceSet,
        carrier: Carrier,
        timeline: Timeline,
        options: CallOptions,
        ear: Ear | None = None,
    ) -> None:
        self.info = info
        self.timeline = timeline
        self.trip = RoundTrip()
        self._agent = agent
        self._voices = voices
        self._carrier = carrier
        self._ear = ear
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._leg: Leg | None = None
        self._leg_ready = False
        self.n_legs = 0  # that have attached so far
        self.leaving = False  # hanging up: the carrier need not bring the caller back
        self.on_audio: Callable[[bytes], None] | None = None  # who listens to the caller
        self._leg_timer: asyncio.TimerHandle | None = None
        self._cues: deque[Cue] = deque()
        self._cue_came = Alarm()
        self._kept: deque[Cue] = deque(maxlen=MOST_KEPT)
        self._turns = Turns(options.policy)
        self._tick: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._n_silences = 0
        self._told_by = 0.0  # loop time by which the recogniser has told what the caller is saying
        self._cast: Cast | None = None
        self._turn: Turn | None = None
        self._turn_task: asyncio.Task[Outcome] | None = None
        self._n_turns = 0
        self._cut_off: CutOff | None = None  # of the last turn, until a cue tells it
        self._ended: asyncio.Future[str] = self._loop.create_future()

    # -- its life ------------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Talk until the call is over; returns why it ended. Everything opened here is closed on return."""
        self.timeline.note("call_started")
        self._wait_for_leg(self._options.attach_timeout, "never connected")
        try:
            async with cast_of(self._voices, self._loop.time) as cast, self._listening():
                self._cast = cast
                talk = self._loop.create_task(self._talk(cast), name=f"call {self.info.call_id}")
                try:
                    ends: list[asyncio.Future[Any]] = [talk, self._ended]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    if self.over and self._ended.result() == SHUTDOWN:
                        await self._hang_up()  # nobody will be here to answer what the carrier asks next
                finally:
                    await self._stop(talk)
            reason = self._ended.result()
            self.timeline.note("call_ended", reason=reason)
            await self._farewell(reason)
            if not talk.cancelled():
                talk.result()  # raises what went wrong in here, now that all is in order
        finally:
            self._agent.close()
        return reason

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Somebody hears the caller, if anybody is to."""
        if self._ear is None:
            yield
            return
        async with self._ear.connect(self._heard) as hearing:
            self.on_audio = hearing.feed
            yield

    async def _stop(self, talk: asyncio.Task[None]) -> None:
        """The conversation is over, by its own end, by the call's, or because we are being cancelled."""
        for timer in (self._leg_timer, self._tick, self._silence):
            if timer is not None:
                timer.cancel()
        if self._turn is not None and self._cut_off is None:
            self._cut_off = self._turn.account()
        talk.cancel()
        if self._leg is not None:
            self._leg.close()
            self._leg, self._leg_ready = None, False
        await asyncio.wait([talk])
        self.end("error")  # unless a better reason is known

    async def _talk(self, cast: Cast) -> None:
        """Turn after turn, until one hangs up."""
        self._cues.append(CallStarted())
        while True:
            while not self._cues:
                await self._cue_came.wait(None)
            if await self._take_turn(self._cues.popleft(), cast) is Outcome.HANG_UP:
                await self._hang_up()
                self.end("agent")
                return
            self._answer_kept()
            self._wait_for_caller()

    async def _take_turn(self, cue: Cue, cast: Cast) -> Outcome | None:
        """Let the agent answer a cue; None when it was interrupted."""
        self._n_turns += 1
        cue = replace(cue, cut_off=self._cut_off)
        self._cut_off = None
        self.timeline.note("turn_started", turn=self._n_turns, cue=cue)
        self._turn = turn = Turn(self._n_turns, cue, self, self._agent, cast, self._options.turn, self._loop.time)
        if self._cues:  # a newer cue has the floor: the agent is told of this one, and not waited for
            turn.close()
            self._turn = None
            return None
        self._turn_task = task = self._loop.create_task(turn.run(), name=f"turn {self._n_turns}")
        try:
            await asyncio.wait([task])
        finally:
            self._turn = self._turn_task = None
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if task.cancelled():
            return None
        self.timeline.note("turn_ended", turn=turn.number, text=turn.text)
        self._cut_off = turn.account()
        if answered := self._turns.turn_ended(self._loop.time()):
            self._cue(CallerSaid(answered))
        return task.result()

    async def _hang_up(self) -> None:
        """End the call at the carrier; if its REST side fails, closing the leg ends it too."""
        self.timeline.note("hanging_up")
        self.leaving = True
        try:
            await self._carrier.hang_up(self.info.call_id, self.info.account_id)
        except CarrierError as exc:
            self.timeline.note("hang_up_failed", error=str(exc))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_GRACE):
                await asyncio.shield(self._ended)

    async def _farewell(self, reason: str) -> None:
        """Tell the agent that it is over, for its own book-keeping."""
        rung = Alarm()
        reply = self._agent.reply(CallEnded(reason, cut_off=self._cut_off), rung.ring)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    while not reply.done:
                        while reply.take() is not None:
                            pass
                        if not reply.done:
                            await rung.wait(None)
            if reply.error is not None:
                self.timeline.note("agent_failed", error=str(reply.error))
        finally:
            reply.close()

    def end(self, reason: str) -> None:
        """The call is over. Only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    @property
    def over(self) -> bool:
        return self._ended.done()

    async def admit(self, patience: float) -> bool:
        """Wait, while it rings, until a voice has room for this call. False: none had within `patience` seconds."""
        began = self._loop.time()
        while not self.over:
            if self._cast is not None and self._cast.lead().speech.admitted:
                if (waited := self._loop.time() - began) > ADMISSION_POLL:
                    self.timeline.note("admitted", after_ms=round(waited * 1000))
                return True
            if self._loop.time() - began >= patience:
                return False
            await asyncio.sleep(ADMISSION_POLL if self._cast is not None else 0)
        return False

    # -- legs ----------------------------------------------------------------------------------------------------------

    @property
    def leg(self) -> Leg | None:
        """Where audio may be sent now; see `lineside.stretch.Stage`."""
        return self._leg if self._leg_ready else None

    @property
    def connected(self) -> bool:
        return self._leg is not None

    def attach(self, leg: Leg) -> None:
        """A leg has come. A former one, if it is still there, is closed: the carrier has given it up."""
        resumed = self.n_legs > 0
        if self._leg is not None:
            former, self._leg = self._leg, None
            self._fall_silent()
            former.close()
        self.timeline.note("leg_attached", stream=leg.stream_id, resumed=resumed)
        self._leg, self._leg_ready = leg, False
        self.n_legs += 1
        self.trip = RoundTrip()
        if self._leg_timer is not None:
            self._leg_timer.cancel()
        if resumed:
            self._interrupt(CallStarted(resumed=True))  # what was being prepared is no answer to it
        if self._options.greeting_delay > 0 and not resumed:
            self._leg_timer = self._loop.call_later(self._options.greeting_delay, self._open_leg, leg)
        else:
            self._open_leg(leg)

    def _open_leg(self, leg: Leg) -> None:
        if self._leg is leg:
            self._leg_ready = True
            if self._turn is not None:
                self._turn.wake()

    def left(self, leg: Leg, *, stopped: bool) -> None:
        """A leg is gone; see `lineside.ports.LegListener`."""
        if leg is not self._leg:
            return
        self.timeline.note("leg_left", stream=leg.stream_id, stopped=stopped)
        self._leg, self._leg_ready = None, False
        if stopped:
            self.end("agent" if self.leaving else "caller")
            leg.close()
        elif not self.over:
            self._fall_silent()
            self._wait_for_leg(self._options.reattach_timeout, "lost")

    def _wait_for_leg(self, timeout: float, reason: str) -> None:
        self._leg_timer = self._loop.call_later(timeout, self.end, reason)

    def marked(self, name: str) -> None:
        if self._turn is not None:
            self._turn.marked(name)

    # -- what the caller does ------------------------------------------------------------------------------------------

    def pressed(self, digit: str) -> None:
        self.timeline.note("caller_pressed", digit=digit)
        self._n_silences = 0
        interruptible = self._turn is None or self._turn.interruptible()
        self._act(on_key(turn_running=self._turn is not None, interruptible=interruptible), CallerPressed(digit))

    def _heard(self, event: HearingEvent) -> None:
        """The recogniser tells something."""
        if isinstance(event, EarWarned):
            self.timeline.note("ear_warning", code=event.code, message=event.message)
            return
        if isinstance(event, EndOfTurn):
            self.timeline.note("caller_said", text=event.text)
        self._told_by = self._loop.time() + TELLING
        if not isinstance(event, SpeechStarted):
            self._n_silences = 0
            if self._silence is not None:
                self._wait_for_caller()  # anew: it may have been a hum, which nobody answers
        decision = self._turns.hear(event, self._loop.time(), self._situation())
        self._act(decision, CallerSaid(event.text) if isinstance(event, EndOfTurn) else None)

    def _situation(self) -> Situation:
        turn = self._turn
        return Situation(turn is not None, turn is None or turn.interruptible(), turn is not None and turn.held)

    def _act(self, decision: Decision, cue: Cue | None) -> None:
        """Do what was decided; `cue` is what the agent is to answer, once it may."""
        match decision:
            case Decision.REPLY | Decision.INTERRUPT if self._kept and cue is not None:
                self._kept.append(cue)  # what was kept comes first
            case Decision.REPLY | Decision.INTERRUPT:
                self._fall_silent()
                if cue is not None:
                    self._cue(cue)
            case Decision.KEEP if cue is not None:
                self._kept.append(cue)
                if len(self._kept) == 1:
                    self._loop.call_later(KEPT_POLL, self._look_again)
            case Decision.HOLD if self._turn is not None:
                self._turn.hold()
                self.timeline.note("turn_held", turn=self._turn.number)
                self._tick = self._loop.call_at(self._turns.due() or self._loop.time(), self._hold_over)
            case Decision.RESUME if self._turn is not None:
                self.timeline.note("turn_resumed", turn=self._turn.number)
                self._turn.resume()

    def _interrupt(self, cue: Cue) -> None:
        self._fall_silent()
        self._cue(cue)

    def _hold_over(self) -> None:
        self._act(self._turns.tick(self._loop.time(), self._situation()), None)

    def _look_again(self) -> None:
        """Something was kept because the agent could not be interrupted: can it be now?"""
        if not self._kept or self.over:
            return
        if self._turn is not None and not self._turn.interruptible():
            self._loop.call_later(KEPT_POLL, self._look_again)
            return
        self._fall_silent()
        self._answer_kept()

    def _answer_kept(self) -> None:
        while self._kept:
            self._cue(self._kept.popleft())

    def _wait_for_caller(self) -> None:
        """The agent has fallen silent: if nothing comes from the caller, it is told."""
        self._stop_silence()
        if self._options.silence > 0 and not self._cues:
            self._silence = self._loop.call_later(self._options.silence, self._caller_silent)

    def _stop_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _caller_silent(self) -> None:
        self._silence = None
        if self._loop.time() < self._told_by:  # the caller is speaking, it seems
            self._silence = self._loop.call_at(self._told_by, self._caller_silent)
        elif self._turn is None and not self._cues:
            self._n_silences += 1
            self._cue(CallerSilent(self._options.silence, self._n_silences))

    def _fall_silent(self) -> None:
        """Stop the turn: our fence and the carrier's clear now, the agent and the provider in their own time."""
        if self._turn is None or self._turn_task is None:
            return
        self._cut_off = self._turn.hold()
        self.timeline.note("turn_cut", turn=self._turn.number, text=self._turn.text, cut_off=self._cut_off)
        self._turn_task.cancel()
        self._turn = None
        self._turns.turn_cut()

    def _cue(self, cue: Cue) -> None:
        self._stop_silence()
        self._cues.append(cue)
        self._cue_came.ring()

    # -- what the carrier's side channel says --------------------------------------------------------------------------

    def finished_at_carrier(self, status: str) -> None:
        """The carrier reports a terminal status."""
        self.timeline.note("carrier_status", status=status)
        ended_by = "agent" if self.leaving else "caller"
        self.end(ended_by if status == "completed" else status)
