"""One stretch of speech: text in, audio to the leg, until it was played. The machinery of a turn.

A stretch joins the parts that decide (sentences, feed, ledger, playout) with the two peers that act on it: the
provider's utterance and the carrier's leg. All of its methods are plain calls on the media loop: whatever happens, it
brings the state up to date and does at once what has become possible. Only passing time needs somebody to call `step`
at `due`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lineside.cast import Cast, Member
from lineside.errors import ProviderBusy, ProviderRefused
from lineside.events import Aligned, Audio, BargeIn, CutOff, Finished, Flushed, Lost, Say, SpeechEvent, Warned
from lineside.ports import Utterance
from lineside.stage import Stage
from lineside.talk.feed import Feed, Step
from lineside.talk.ledger import Ledger, Piece
from lineside.talk.pauses import first_pause
from lineside.talk.playout import BYTES_PER_S, Playout
from lineside.talk.sentences import Sentences

MOST_RESTARTS = 3  # of one voice in one stretch; then the next voice takes over
LONGEST_WAIT = 6.0  # s without audio that was asked of one voice, over all restarts; then the next voice takes over
BRIDGE = 0.8  # s of audio that we like to have in hand while a new socket opens
BACKLOG = 32_768  # bytes that the network has not taken: about three seconds of audio, so the leg is stuck
STUCK_POLL = 0.1  # s between looks at a stuck leg
PATIENCE = 0.7  # s that text without an end of sentence waits while nothing else is being said
NEARLY_DRY = 0.3  # s of speech in hand that count as nothing: a service takes about as long to begin
LEAST_GAP = 0.001  # s; anything shorter is rounding


@dataclass(frozen=True, slots=True)
class SpeakingOptions:
    """How to speak; the same for all turns of a call."""

    lead: float = 1.0
    feed: Feed = field(default_factory=Feed)
    prepare_text: Callable[[str], str] = str
    """What makes the agent's text fit to be spoken."""
    apology: bytes = b""
    """Mu-law audio for when no voice can speak."""


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a line is to be spoken. Lines of one manner that follow each other are one run: one utterance."""

    interruptible: bool = True
    barge_in: BargeIn | None = None
    voice: str = ""
    language: str = ""
    fixed: bool = False

    def same_run(self, other: _Manner) -> bool:
        return (self.voice, self.language, self.fixed) == (other.voice, other.language, other.fixed)


class Stretch:
    """Speech without a break for an action.

    Args:
        name: unique in the call; names its marks.
        cast: the call's voices.
        wake: called when something changed that `step` or `over` should look at.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        cast: Cast,
        options: SpeakingOptions,
        *,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._cast = cast
        self._options = options
        self._clock = clock
        self._wake = wake
        self._member = cast.lead()
        self._fixed = False
        self._runs: deque[tuple[int, _Manner]] = deque()  # to come: from this character on, in this manner
        self._sentences = Sentences(self._member.speech.max_chars)
        self._ledger = Ledger(self._member.pace)
        self._playout = Playout(name, lead=options.lead, trip=stage.trip, word_end=self._ledger.word_end)
        self._utterance: Utterance | None = None
        self._more = True  # text may still come
        self._finishing = False
        self._restarts = 0  # with the present voice
        self._progress = 0  # byte by which the first word since the last restart was surely spoken
        self._asked_at: float | None = None  # since when audio is owed, as far as we know
        self._waiting_since: float | None = None
        self._manner = _Manner()
        self._apart = False  # the next text is a line of its own, and no sentence of the last

    # -- text in -----------------------------------------------------------------------------------

    @property
    def hungry(self) -> bool:
        """Little text waits: more may be taken from the agent."""
        return self._ledger.unsaid < 2 * self._member.speech.max_chars

    @property
    def spent(self) -> bool:
        """All that came was played: the caller waits for the agent."""
        waits = self._text_waits() or self._runs or self._sentences.pending
        return not waits and not self._playout.held and self._in_hand(self._clock()) <= 0

    @property
    def empty(self) -> bool:
        """No text came yet."""
        return not self._ledger.text and not self._sentences.pending

    def write(self, line: Say) -> None:
        """Add text of any size."""
        manner = _Manner(line.interruptible, line.barge_in, line.voice, line.language, line.fixed)
        if manner != self._manner:
            self._add(self._sentences.finish())
            self._apart = True
            if not manner.same_run(self._manner):
                self._runs.append((self._ledger.length, manner))
            self._manner = manner
        self._add(self._sentences.push(line.text))
        if line.fixed:
            self._add(self._sentences.finish())  # it is given whole
            self._apart = True
        if self._waiting_since is None and self._sentences.pending:
            self._waiting_since = self._clock()

    def end(self) -> None:
        """No more text: the rest of the last sentence is one too."""
        if self._more:
            self._add(self._sentences.finish())
            self._more = False

    def _add(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            spoken = self._options.prepare_text(sentence)
            self._ledger.add(Piece(sentence, spoken, self._manner.interruptible, self._apart, self._manner.barge_in))
            self._apart = False
            self._waiting_since = None

    # -- as time passes ----------------------------------------------------------------------------

    def step(self) -> None:
        """Do what has become possible: hand text to the provider, send audio to the leg."""
        now = self._clock()
        self._release(now)
        self._feed(now)
        self._play(now)

    def due(self) -> float | None:
        """When to call `step` next if nothing else happens."""
        now = self._clock()
        times: list[float] = []
        if self._waiting_since is not None:
            times.append(max(self._waiting_since + PATIENCE, now + self._in_hand(now) - NEARLY_DRY))
        if not self._playout.held and self._stage.leg is not None:
            if self._stage.leg.backlog > BACKLOG:
                times.append(now + STUCK_POLL)
            elif (due := self._playout.due(now)) is not None:
                times.append(due)
            if self._playout.finished:
                times.append(self._playout.over_by(now))
            wait = self._options.feed.wait(
                waiting=self._text_waits(), in_hand=self._in_hand(now), unflushed=self._unflushed()
            )
            if wait is not None:
                times.append(now + max(wait, 0.02))
        return min(times, default=None)

    def _release(self, now: float) -> None:
        """Text without an end of sentence does not wait for ever while the caller hears nothing."""
        since = self._waiting_since
        if since is not None and now >= since + PATIENCE and self._in_hand(now) <= NEARLY_DRY:
            self._waiting_since = now
            if overdue := self._sentences.overdue():
                self._add([overdue])

    def _in_hand(self, now: float) -> float:
        """Seconds of speech that the caller has not heard, received or owed by the provider."""
        return (self._playout.received - self._playout.played(now)) / BYTES_PER_S + self._ledger.owed

    def _unflushed(self) -> float:
        return self._ledger.seconds(self._ledger.unflushed)

    # -- text to the provider ----------------------------------------------------------------------

    def _feed(self, now: float) -> None:
        while not self._finishing:
            self._begin_run()
            step = self._options.feed.step(
                waiting=self._text_waits(),
                more=self._more and not self._runs,
                in_hand=self._in_hand(now),
                unflushed=self._unflushed(),
            )
            match step:
                case Step.SAY:
                    self._say()
                case Step.FLUSH:
                    self._ledger.flushed()
                    self._ask(now)
                    self._speaking().flush()
                case Step.FINISH:
                    self._finish(now)
                case Step.WAIT:
                    return

    def _text_waits(self) -> bool:
        """Text of the present run was not handed over yet."""
        end = self._runs[0][0] if self._runs else self._ledger.length
        return self._ledger.said_to < end

    def _begin_run(self) -> None:
        """All text of the last run is audio, or there was none: the next one may have another voice."""
        while self._runs and self._utterance is None and self._ledger.said_to >= self._runs[0][0]:
            _, manner = self._runs.popleft()
            wanted = self._cast.asked_for(manner.voice, manner.language)
            if wanted is None and (manner.voice or manner.language):
                asked = manner.voice or manner.language
                self._stage.timeline.note("no_such_voice", voice=asked, spoken_by=self._member.name)
            self._fixed = manner.fixed
            self._change_to(wanted or self._cast.lead())

    def _change_to(self, member: Member) -> None:
        if member is not self._member:
            self._member = member
            self._ledger.change_pace(member.pace)
            self._restarts, self._asked_at = 0, None
            self._stage.timeline.note("voice_changed", voice=member.name)

    def _say(self) -> None:
        text = self._ledger.next_text(self._member.speech.max_chars)
        self._ledger.said(text)
        self._speaking().say(text)
        self._stage.reached("asked")

    def _speaking(self) -> Utterance:
        if self._utterance is None:
            self._utterance = self._member.speech_for(fixed=self._fixed).utterance(self._on_speech)
        return self._utterance

    def _ask(self, now: float) -> None:
        if self._asked_at is None:
            self._asked_at = now

    def _finish(self, now: float) -> None:
        """The run has no more text."""
        self._finishing = True
        if self._utterance is None:
            self._run_over()
            return
        if self._ledger.unflushed:
            self._ledger.flushed()
            self._ask(now)
        self._utterance.finish()

    # -- audio from the provider -------------------------------------------------------------------

    def _on_speech(self, event: SpeechEvent) -> None:
        now = self._clock()
        match event:
            case Audio(data):
                self._stage.reached("audio")
                self._playout.add(data)
                self._ledger.received(data)
                self._play(now)
                self._asked_at = now
            case Aligned():
                self._ledger.aligned(event)
            case Flushed():
                self._ledger.segment_done()
                self._asked_at = None
            case Finished():
                self._utterance = None
                self._asked_at = None
                self._ledger.complete()
                self._member.health.worked()
                self._run_over()
            case Warned(code, message):
                self._stage.timeline.note("provider_warning", code=code, message=message)
            case Lost(error):
                self._on_lost(error, now)
        self._wake()

    def _run_over(self) -> None:
        """All audio of a run is there; another one follows, or nothing."""
        if self._runs or self._more:
            self._finishing = False
        else:
            self._playout.finish()
            self._play(self._clock())
        self._wake()

    def _on_lost(self, error: Exception, now: float) -> None:
        """The provider will not speak the rest. Nothing sent is recalled; the rest is said again, or elsewhere."""
        self._utterance = None
        self._finishing = False
        cut = self._cut_point(now)
        self._playout.drop_from(cut)
        self._ledger.restart(cut)
        member = self._member
        self._progress = cut + int(self._ledger.next_word_takes * BYTES_PER_S)
        self._restarts += 1
        self._stage.timeline.note("provider_lost", voice=member.name, error=str(error), restart=self._restarts)
        waited = 0.0 if self._asked_at is None else now - self._asked_at
        hopeless = isinstance(error, ProviderRefused | ProviderBusy)
        if self._restarts <= MOST_RESTARTS and waited < LONGEST_WAIT and not hopeless:
            return
        member.health.failed(now)
        if (understudy := self._cast.understudy(member)) is not None:
            self._change_to(understudy)
        else:
            self._stage.timeline.note("speech_given_up")
            self.apologise()

    def _cut_point(self, now: float) -> int:
        """The byte of audio from which on the speech is made anew."""
        sent, received = self._playout.sent, self._playout.received
        known = self._ledger.restart_point(sent)
        if known is not None:
            return known
        # Far enough to bridge the pause, and for each restart to begin at a later word than the last.
        wanted = max(sent, self._playout.played(now) + int(BRIDGE * BYTES_PER_S), self._progress)
        pause = first_pause(self._playout.unsent(), max(0, wanted - sent))
        return min(received, wanted if pause is None else sent + pause)

    def apologise(self) -> None:
        """Say the recorded apology in place of what could not be had."""
        self._finishing = True
        self._more = False
        self._runs.clear()
        self._playout.add(self._options.apology)
        self._playout.finish()
        self._wake()

    # -- audio to the leg --------------------------------------------------------------------------

    def _play(self, now: float) -> None:
        leg = self._stage.leg
        if leg is None or leg.backlog > BACKLOG:
            return
        while send := self._playout.take(now):
            self._stage.reached("sent")
            if send.gap >= LEAST_GAP:
                asked_late = self._asked_at is not None and self._asked_at > now - send.gap
                self._stage.timeline.note("gap", seconds=round(send.gap, 3), agent_waited=asked_late)
            leg.play(send.audio)
            if send.mark:
                leg.mark(send.mark)
        if mark := self._playout.end_mark():
            leg.mark(mark)
        self._playout.forget_played(now)

    def marked(self, name: str) -> None:
        self._playout.marked(name, self._clock())
        if self._playout.began_at is not None:
            self._stage.reached("audible", self._playout.began_at)
        self._wake()

    def over(self) -> bool:
        """All was said and played."""
        over = self._playout.over(self._clock())
        if over and self._playout.marks_missing:
            self._stage.timeline.note("marks_missing", count=self._playout.marks_missing)
        return over

    # -- interrupting ------------------------------------------------------------------------------

    def interruptible(self) -> bool:
        piece = self._ledger.piece_at(self._playout.played(self._clock()))
        return piece is None or piece.interruptible

    def barge_in(self) -> BargeIn | None:
        """What the line being said asked for, if anything is being said."""
        piece = self._ledger.piece_at(self._playout.played(self._clock()))
        return None if piece is None else piece.barge_in

    @property
    def sounding(self) -> bool:
        """Audio went to the leg."""
        return self._playout.sent > 0

    @property
    def held(self) -> bool:
        return self._playout.held

    def hold(self) -> CutOff:
        """Fall silent now. What was not heard is kept until `resume`, or the end of this stretch."""
        position = self._playout.hold(self._clock())
        if self._stage.leg is not None:
            self._stage.leg.clear()
        return self._ledger.cut(position)

    def resume(self) -> None:
        """Go on from the first word that was not heard."""
        self._playout.resume(max(self._playout.oldest, self._ledger.word_start(self._playout.sent)))
        self.step()
        self._wake()

    def close(self) -> None:
        """Nothing more is wanted from the provider."""
        if self._utterance is not None:
            self._utterance.cancel()
            self._utterance = None

    def account(self) -> CutOff:
        """What was heard when all that could be said was played."""
        return self._ledger.cut(self._playout.played(self._clock()))

    @property
    def text(self) -> str:
        return self._ledger.text
