"""A call's conversation: who has the turn, and what is done about it.

One turn runs at a time, as one task. What the caller does arrives as plain calls; `Turns` decides; the conversation
acts at once: fall silent first, ask questions later. An answer that was begun before the caller had surely finished is
a draft: a turn that plays to nobody until it is confirmed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from lineside.alarm import Alarm
from lineside.cast import Cast
from lineside.events import (
    BargeIn,
    CallerEntered,
    CallerPressed,
    CallerSaid,
    CallerSilent,
    CallStarted,
    CollectDigits,
    Cue,
    CutOff,
    EagerEndOfTurn,
    EarWarned,
    EndOfTurn,
    HearingEvent,
    Partial,
)
from lineside.observe.latency import Latency
from lineside.ports import AgentSession
from lineside.stage import Connection, Stage
from lineside.talk.digits import Digits
from lineside.talk.turns import Decision, Policy, Situation, Turns, on_key
from lineside.turn import Outcome, Turn, TurnOptions

MOST_KEPT = 32  # cues while the agent may not be interrupted; more are dropped, the oldest first
KEPT_POLL = 0.1  # s between looks whether the agent may be interrupted now
TELLING = 3.0  # s after a sound within which a recogniser tells a word of it, if there is one
SETTLING = 6.0  # s after a word within which it tells the next, or that the caller has finished
LEG_POLL = 1.0  # s between looks whether the caller can be heard again


@dataclass(frozen=True, slots=True)
class TalkOptions:
    """How a conversation goes. Times in seconds."""

    turn: TurnOptions
    policy: Policy = field(default_factory=Policy)
    """How easily the caller takes the turn."""
    silence: float = 0.0
    """After the agent fell silent, until it is told that nothing came from the caller; 0 for never."""


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """An answer that nobody hears yet."""

    cue: Cue
    stage: Stage
    turn: Turn
    task: asyncio.Task[Outcome]


@dataclass(frozen=True, slots=True)
class _Due:
    """What the agent is to answer."""

    cue: Cue
    latency: Latency
    draft: _Draft | None = None


class Conversation:
    """The talk of one call. `run` is its life; everything else may be called at any time, from the media loop."""

    def __init__(self, connection: Connection, agent: AgentSession, options: TalkOptions, name: str) -> None:
        """
        Args:
            name: of the call, for those who look at tasks.
        """
        self._connection = connection
        self._agent = agent
        self._options = options
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._due: deque[_Due] = deque()
        self._due_came = Alarm()
        self._kept: deque[_Due] = deque(maxlen=MOST_KEPT)
        self._turns = Turns(options.policy)
        self._barge_in = options.policy.barge_in
        self._cast: Cast | None = None
        self._turn: Turn | None = None
        self._task: asyncio.Task[Outcome] | None = None
        self._n_turns = 0
        self._silent_since = 0.0
        self._draft: _Draft | None = None
        self._revises = False  # a draft was thrown away since the agent was last told what the caller said
        self._leaving: set[asyncio.Task[Outcome]] = set()  # drafts on their way out
        self._digits: Digits | None = None
        self._too_short: list[str] = []  # what was said into a turn that was cut, with too few words to cut it
        self._n_silences = 0
        self._told_by = 0.0  # loop time by which the recogniser has told what the caller is saying
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.cut_off: CutOff | None = None
        """Of the last turn, until a cue tells it."""

    # -- turn after turn -------------------------------------------------------------------------------------------

    async def run(self, cast: Cast) -> None:
        """Answer cue after cue; returns when the agent hangs up. Nothing of it runs on after that, or a cancel."""
        self._cast = cast
        self._cue(CallStarted())
        try:
            while True:
                while not self._due:
                    await self._due_came.wait(None)
                if await self._take_turn(self._due.popleft(), cast) is Outcome.HANG_UP:
                    return
                self._silent_since = self._loop.time()
                self._answer_kept()
                self._wait_for_caller()
        finally:
            self._cast = None  # no answer is begun any more
            for timer in self._timers.values():
                timer.cancel()
            self._discard_draft()
            for due in self._due:
                if due.draft is not None:
                    self._dismiss(due.draft)
            if self._leaving:
                await asyncio.wait(self._leaving)

    async def _take_turn(self, due: _Due, cast: Cast) -> Outcome | None:
        """Let the agent answer a cue; None when it was interrupted."""
        self._digits = None
        self._turns.turn_began()
        if due.draft is not None:
            stage, turn, task = due.draft.stage, due.draft.turn, due.draft.task
            self.cut_off = None
            self._note_start(turn, due.cue)
            stage.open(due.latency)
            turn.wake()
        else:
            cue = self._with_account(due.cue)
            stage, turn = self._new_turn(cue, due.latency, cast, open=True)
            self._note_start(turn, cue)
            task = self._start(turn)
        if self._due:  # a newer cue has the floor: the agent is told of this one, and not waited for
            turn.close()
            task.cancel()
            await asyncio.wait([task])
            return None
        self._turn, self._task = turn, task
        try:
            await asyncio.wait([task])
        finally:
            if not task.done():
                if self._turn is turn:
                    self.cut_off = turn.account()
                task.cancel()
                await asyncio.wait([task])
            self._turn = self._task = None
            stage.tell()
        if task.cancelled():
            return None
        self._connection.timeline.note("turn_ended", turn=turn.number, text=turn.text)
        self.cut_off = turn.account()
        if answered := self._turns.turn_ended(self._loop.time()):
            self._cue(CallerSaid(answered))
        return task.result()

    def _with_account(self, cue: Cue) -> Cue:
        cue = replace(cue, cut_off=self.cut_off)
        self.cut_off = None
        if isinstance(cue, CallerSaid):
            cue, self._revises = replace(cue, revises=self._revises), False
        return cue

    def _note_start(self, turn: Turn, cue: Cue) -> None:
        self._connection.timeline.note("turn_started", turn=turn.number, cue=cue)

    def _new_turn(self, cue: Cue, latency: Latency, cast: Cast, *, open: bool) -> tuple[Stage, Turn]:
        self._n_turns += 1
        clock = self._loop.time
        stage = Stage(self._connection, self._n_turns, latency, clock, self._directed, open=open)
        turn = Turn(self._n_turns, cue, stage, self._agent, cast, self._options.turn, self._barge_in, clock)
        return stage, turn

    def _start(self, turn: Turn) -> asyncio.Task[Outcome]:
        return self._loop.create_task(turn.run(), name=f"turn {turn.number} of {self._name}")

    def _cue(self, cue: Cue, spoken_by: float | None = None) -> None:
        """The agent is to answer something."""
        self._put(_Due(cue, Latency(self._loop.time(), spoken_by)))

    def _put(self, due: _Due) -> None:
        self._stop("silence")
        self._stop("digits")
        self._digits = None
        self._turns.forget_draft()
        self._discard_draft()
        if self._too_short:
            said, self._too_short = " ".join(self._too_short), []
            if isinstance(due.cue, CallerSaid):
                due = replace(due, cue=replace(due.cue, text=f"{said} {due.cue.text}"))
            else:
                self._due.append(_Due(CallerSaid(said), due.latency))
        self._due.append(due)
        self._due_came.ring()

    # -- what the call does ------------------------------------------------------------------------------------------

    def interrupt(self, cue: Cue) -> None:
        """Whatever is being said or prepared is no answer any more to what has happened."""
        self.fall_silent()
        self._cue(cue)

    def fall_silent(self) -> None:
        """Stop the turn: our fence and the carrier's clear now, the agent and the provider in their own time."""
        if self._turn is None or self._task is None:
            return
        self.cut_off = self._turn.hold()
        self._connection.timeline.note("turn_cut", turn=self._turn.number, text=self._turn.text, cut_off=self.cut_off)
        self._task.cancel()
        self._turn = None
        self._silent_since = self._loop.time()
        self._too_short += self._turns.turn_cut()

    def wake(self) -> None:
        """The leg is there."""
        if self._turn is not None:
            self._turn.wake()

    def marked(self, name: str) -> None:
        if self._turn is not None:
            self._turn.marked(name)

    # -- what the caller says ----------------------------------------------------------------------------------------

    def heard(self, event: HearingEvent) -> None:
        """The recogniser tells something."""
        note = self._connection.timeline.note
        now = self._loop.time()
        due: _Due | None = None
        match event:
            case EarWarned(code, message):
                note("ear_warning", code=code, message=message)
                return
            case EndOfTurn(text, spoken_by):
                note("caller_said", text=text)
                due = _Due(CallerSaid(text), Latency(now, spoken_by))
            case EagerEndOfTurn(text, spoken_by):
                due = _Due(CallerSaid(text), Latency(now, spoken_by))
        if isinstance(event, Partial | EagerEndOfTurn):
            self._told_by = now + SETTLING
        elif isinstance(event, EndOfTurn) or now >= self._told_by:  # noise upon noise puts nothing off for ever
            self._told_by = now + TELLING
        if isinstance(event, Partial | EagerEndOfTurn | EndOfTurn):
            self._n_silences = 0
            if "silence" in self._timers:
                self._wait_for_caller()  # anew: it may have been a hum, which nobody answers
        self._act(self._turns.hear(event, now, self._situation()), due)
        if (hold_ends := self._turns.due()) is not None:
            self._at(hold_ends, "hold", self._hold_over)

    def _situation(self) -> Situation:
        turn = self._turn
        if turn is None:
            return Situation(speaking=False, barge_in=self._barge_in)
        return Situation(True, turn.interruptible(), turn.held, turn.barge_in(), turn.sounding)

    def _act(self, decision: Decision, due: _Due | None) -> None:
        """Do what was decided; `due` is what the agent is to answer, once it may."""
        match decision:
            case Decision.REPLY | Decision.INTERRUPT | Decision.CONFIRM if self._kept and due is not None:
                self._kept.append(due)  # what was kept comes first
            case Decision.REPLY | Decision.INTERRUPT:
                self.fall_silent()
                if due is not None:
                    self._put(due)
            case Decision.KEEP if due is not None:
                self._kept.append(due)
                if len(self._kept) == 1:
                    self._at(self._loop.time() + KEPT_POLL, "kept", self._look_again)
            case Decision.HOLD if self._turn is not None:
                self._turn.hold()
                self._connection.timeline.note("turn_held", turn=self._turn.number)
            case Decision.RESUME if self._turn is not None:
                self._connection.timeline.note("turn_resumed", turn=self._turn.number)
                self._turn.resume()
            case Decision.DRAFT if due is not None:
                self._begin_draft(due)
            case Decision.CONFIRM if due is not None:
                self._confirm(due)
            case Decision.DISCARD:
                self._discard_draft()

    def _hold_over(self) -> None:
        self._act(self._turns.tick(self._loop.time(), self._situation()), None)

    def _look_again(self) -> None:
        """Something was kept because the agent could not be interrupted: can it be now?"""
        if not self._kept:
            return
        if self._turn is not None and not self._turn.interruptible():
            self._at(self._loop.time() + KEPT_POLL, "kept", self._look_again)
            return
        self.fall_silent()
        self._answer_kept()

    def _answer_kept(self) -> None:
        while self._kept:
            self._cue(self._kept.popleft().cue)  # the wait until now was meant

    # -- answers begun early -----------------------------------------------------------------------------------------

    def _begin_draft(self, due: _Due) -> None:
        self._discard_draft()
        taken = self._turn is not None or self._due or self._kept or self._too_short  # something else has the floor
        if self._cast is None or taken or not isinstance(due.cue, CallerSaid):
            self._turns.forget_draft()
            return
        cue = replace(due.cue, cut_off=self.cut_off, revises=self._revises)
        stage, turn = self._new_turn(cue, due.latency, self._cast, open=False)
        self._connection.timeline.note("turn_drafted", turn=turn.number, cue=cue)
        self._draft = _Draft(cue, stage, turn, self._start(turn))

    def _confirm(self, due: _Due) -> None:
        if self._draft is None:
            self._put(due)
            return
        draft, self._draft = self._draft, None
        self._revises = False
        self._put(replace(due, cue=draft.cue, draft=draft))

    def _discard_draft(self) -> None:
        if self._draft is None:
            return
        draft, self._draft = self._draft, None
        self._revises = True
        self._connection.timeline.note("draft_discarded", turn=draft.turn.number)
        self._dismiss(draft)

    def _dismiss(self, draft: _Draft) -> None:
        """It ends unheard, in its own time but no later than the conversation."""
        draft.turn.close()
        draft.task.cancel()
        self._leaving.add(draft.task)
        draft.task.add_done_callback(self._leaving.discard)

    # -- what the caller presses -------------------------------------------------------------------------------------

    def pressed(self, digit: str) -> None:
        self._connection.timeline.note("caller_pressed", digit=digit)
        self._n_silences = 0
        decision = self._on_key()
        if self._digits is None:
            self._act(decision, _Due(CallerPressed(digit), Latency(self._loop.time())))
            return
        if decision is Decision.INTERRUPT:
            self.fall_silent()
        if entered := self._digits.press(digit, self._loop.time()):
            self._entered(entered)
        else:
            self._wait_for_digits()

    def _on_key(self) -> Decision:
        interruptible = self._turn is None or self._turn.interruptible()
        return on_key(turn_running=self._turn is not None, interruptible=interruptible)

    def _entered(self, entered: CallerEntered) -> None:
        self._digits = None
        self._stop("digits")
        self._connection.timeline.note("caller_entered", digits=entered.digits, ended_by=entered.ended_by)
        self._act(self._on_key(), _Due(entered, Latency(self._loop.time())))

    def _wait_for_digits(self) -> None:
        if self._digits is not None and self._turn is None:
            self._at(self._digits.due(self._silent_since), "digits", self._digits_over)

    def _digits_over(self) -> None:
        if later := self._not_yet():
            self._at(later, "digits", self._digits_over)
        elif self._digits is not None and self._turn is None:
            self._entered(self._digits.time_out())

    def _directed(self, line: BargeIn | CollectDigits) -> None:
        """The agent says how to listen from now on."""
        match line:
            case BargeIn():
                self._barge_in = line
            case CollectDigits():
                self._digits = Digits(line, self._loop.time())

    # -- what the caller does not do ---------------------------------------------------------------------------------

    def _wait_for_caller(self) -> None:
        """The agent has fallen silent: if nothing comes from the caller, it is told."""
        self._stop("silence")
        if self._due:
            return
        if self._digits is not None:
            self._wait_for_digits()  # which say themselves that nothing came
        elif self._options.silence > 0:
            self._at(self._loop.time() + self._options.silence, "silence", self._caller_silent)

    def _caller_silent(self) -> None:
        if later := self._not_yet():
            self._at(later, "silence", self._caller_silent)
        elif self._turn is None and not self._due:
            self._n_silences += 1
            self._cue(CallerSilent(self._options.silence, self._n_silences))

    def _not_yet(self) -> float | None:
        """When to look again, if it cannot be said now that nothing comes from the caller."""
        now = self._loop.time()
        if self._connection.leg is None:
            return now + LEG_POLL
        return self._told_by if now < self._told_by else None  # the caller is speaking, it seems

    def _at(self, when: float, name: str, action: Callable[[], None]) -> None:
        """Do something at a time; of each name there is one at most, and the newest counts."""
        self._stop(name)
        self._timers[name] = self._loop.call_at(when, self._ring, name, action)

    def _ring(self, name: str, action: Callable[[], None]) -> None:
        del self._timers[name]
        action()

    def _stop(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
