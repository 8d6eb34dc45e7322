"""What listens to one caller besides the recogniser: a detector of speech, and a guard against our own voice.

A detector tells the beginning of speech sooner than a recogniser does, whose own word for it is then left out. The
guard knows what we play, and when: what comes back of it on the line is neither speech nor passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lineside.events import EagerEndOfTurn, EarWarned, EndOfTurn, HearingEvent, SpeechStarted, SpeechStopped
from lineside.hearing.own_voice import ONSET, SPEECH, Evidence, Gate, OwnVoice
from lineside.hearing.vad import Detector
from lineside.ports import Hearing, Leg

LOOK_EVERY = 3  # frames, while the detector hears what may be our own voice


class Attention:
    """One call's; see `lineside.ports.Hearing`.

    Args:
        listener: of everything that is heard.
        detector: None to leave the beginning of speech to the recogniser.
        guard: whether our own voice is to be told from the caller's.
    """

    def __init__(
        self,
        listener: Callable[[HearingEvent], None],
        clock: Callable[[], float],
        *,
        detector: Detector | None = None,
        guard: bool = True,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._detector = detector
        self._guarding = guard
        self._own: OwnVoice | None = None
        self._gate: Gate | None = None
        self._recogniser: Hearing | None = None
        self._n_unsure = 0  # frames since the detector first heard what may be our own voice
        self._echo_told = False

    def listen_with(self, recogniser: Hearing) -> None:
        """Where the audio goes on to."""
        self._recogniser = recogniser
        self._gate = Gate(recogniser.chunk) if self._guarding else None

    def overhearing(self, leg: Leg) -> Leg:
        """The leg to play on, so that it is known what is played."""
        if not self._guarding:
            return leg
        self._own, self._echo_told = OwnVoice(leg, self._clock), False
        self._n_unsure = 0
        if self._gate is not None:
            self._gate.forget()
        return self._own

    def feed(self, audio: bytes) -> None:
        """Caller audio, mu-law 8 kHz, as it arrives."""
        own = self._own
        if own is not None:
            own.guard.heard(audio, self._clock())
        if self._recogniser is not None:
            if own is None or self._gate is None:
                self._recogniser.feed(audio)
            elif passed := self._gate.push(audio, own):
                self._recogniser.feed(passed)
                self._tell_of_echo(own, self._gate)
        if self._detector is not None:
            self._detect(self._detector, audio)

    def _detect(self, detector: Detector, audio: bytes) -> None:
        if self._n_unsure:
            # It goes on hearing us, and would not tell of a second beginning when the caller joins in.
            self._n_unsure += 1
            if self._n_unsure % LOOK_EVERY == 0 and not self._is_ours(SPEECH):
                self._n_unsure = 0
                self._listener(SpeechStarted())
        match detector.feed(audio):
            case SpeechStarted() as started:
                if self._is_ours(ONSET):
                    self._n_unsure = 1
                else:
                    self._listener(started)
            case SpeechStopped() as stopped:
                if not self._n_unsure:
                    self._listener(stopped)
                self._n_unsure = 0

    def heard(self, event: HearingEvent) -> None:
        """The recogniser tells something."""
        if self._detector is not None:
            if isinstance(event, SpeechStarted):
                return
            if isinstance(event, EndOfTurn | EagerEndOfTurn) and event.spoken_by is None:
                event = replace(event, spoken_by=self._clock() - self._detector.since_speech_ms / 1000)
        self._listener(event)

    def _is_ours(self, evidence: Evidence) -> bool:
        return self._own is not None and self._own.alone(evidence)

    def _tell_of_echo(self, own: OwnVoice, gate: Gate) -> None:
        delay, gain = own.guard.delay, own.guard.gain
        if self._echo_told or not (gate.muted and own.guard.needed) or delay is None or gain is None:
            return
        self._echo_told = True
        text = f"our own voice comes back after {delay:.2f} s at {gain:.0f} dB; it is not taken for the caller's"
        self._listener(EarWarned("echo", text))
