"""When Deepgram's Flux says what: a turn begins, grows, may be over, goes on, is over. No I/O, no clock.

Everything goes by audio time: a turn hangs open when the client stops sending. How sure it is that a turn is over
depends here on nothing but how long it has been silent.

Sources: https://developers.deepgram.com/docs/flux/quickstart, https://developers.deepgram.com/docs/flux/configuration
"""

from __future__ import annotations

from typing import Any, Literal

from lineside.standin.recogniser.deepgram_query import FluxSettings
from lineside.standin.recogniser.ear import Moment, Voicing
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.modem import DecodedWord
from lineside.standin.recogniser.outlet import Say

CONFIDENCE = 0.99
SURE = 0.99  # a threshold of 1.0 is never reached
SAME_TIME = 1e-6  # s, and as good for confidences

Event = Literal["StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn"]
Trigger = Literal["model", "manual", "timeout"]


class Turns:
    """The turns of one connection.

    Args:
        settings: `thresholds` and what else is there; `thresholds` may be set later.
    """

    def __init__(self, settings: FluxSettings, faults: RecogniserFaults, request_id: str) -> None:
        self.thresholds = settings.thresholds
        self.language_hints = settings.language_hints
        self._multi = settings.model == "flux-general-multi"
        self._faults = faults
        self._request_id = request_id
        self._voicing = Voicing(faults.onset_s)
        self._now_s = 0.0
        self._told_s = 0.0  # the end of the latest TurnInfo's window
        self._window_s = 0.0  # where the present turn's window begins
        self._index = 0
        self._open = False
        self._eager = False  # an EagerEndOfTurn holds
        self._words: list[DecodedWord] = []
        self._sounded_s = 0.0  # the end of the latest word, or of what began the turn

    def hear(self, moment: Moment) -> list[Say]:
        """Take up 20 ms."""
        self._now_s = moment.end_s
        speaks = self._voicing.hear(moment, self._faults.loud_dbfs)
        said = self._go_on(moment, speaks) if self._open else self._begin(moment, speaks)
        if self._open:
            said += self._end()
        every_s = self._faults.flux_update_every_s
        if self._now_s - self._told_s >= every_s - SAME_TIME and (self._open or self._faults.flux_idle_updates):
            said.append(self._tell("Update"))
        return said

    def force_end(self) -> list[Say]:
        """End the turn now; nothing when none is open."""
        return [self._over("manual")] if self._open else []

    def rest(self) -> list[Say]:
        """The last word on a turn that the stream's end cuts."""
        return [self._tell("Update")] if self._open else []

    # -- deciding ----------------------------------------------------------------------------------------------------

    def _begin(self, moment: Moment, speaks: bool) -> list[Say]:
        if not (moment.words or (speaks and self._faults.flux_start_on == "voice")):
            return []
        self._open, self._eager = True, False
        self._words += moment.words
        self._sounded_s = moment.end_s
        return [self._tell("StartOfTurn")]

    def _go_on(self, moment: Moment, speaks: bool) -> list[Say]:
        if moment.words:
            self._words += moment.words
            self._sounded_s = moment.end_s
        if not (self._eager and (speaks or moment.words)):
            return []
        self._eager = False
        return [self._tell("TurnResumed")]

    def _end(self) -> list[Say]:
        sure, thresholds = self._confidence(), self.thresholds
        if sure >= thresholds.eot - SAME_TIME:
            return [self._over("model")]
        if self._now_s - self._sounded_s >= thresholds.timeout_ms / 1000 - SAME_TIME:
            return [self._over("timeout")]
        if thresholds.eager_eot is not None and not self._eager and sure >= thresholds.eager_eot - SAME_TIME:
            self._eager = True
            self._voicing.end()  # so that speech may begin anew
            return [self._tell("EagerEndOfTurn")]
        return []

    def _confidence(self) -> float:
        return min(SURE, self._voicing.silent_s(self._now_s) * self._faults.flux_confidence_per_s)

    def _over(self, trigger: Trigger) -> Say:
        end = self._tell("EndOfTurn", trigger)
        self._voicing.end()
        self._open = self._eager = False
        self._words.clear()
        self._index += 1
        self._window_s = self._now_s
        return end

    # -- saying ------------------------------------------------------------------------------------------------------

    def _tell(self, event: Event, trigger: Trigger | None = None) -> Say:
        self._told_s = self._now_s
        texts = [word.text for word in self._words]
        if texts and event == "Update" and self._faults.revised_interims:
            texts[-1] = texts[-1][: (len(texts[-1]) + 1) // 2]
        message: dict[str, Any] = {
            "type": "TurnInfo",
            "request_id": self._request_id,
            "event": event,
            "turn_index": self._index,
            "audio_window_start": round(self._window_s, 6),
            "audio_window_end": round(self._now_s, 6),
            "transcript": " ".join(texts),
            "words": [
                {"word": text, "confidence": CONFIDENCE, "start": round(word.start_s, 6), "end": round(word.end_s, 6)}
                for text, word in zip(texts, self._words, strict=True)
            ],
            "end_of_turn_confidence": round(self._confidence(), 4) if self._open else 0.0,
        }
        if self._multi:
            message |= {"languages": ["en"] if texts else [], "languages_hinted": list(self.language_hints)}
        latency_s = self._faults.flux_latency_s
        text = message["transcript"] or None
        match event:
            case "Update":
                return Say(message, "interim", text=text, latency_s=latency_s)
            case "EndOfTurn":
                return Say(message | {"trigger": trigger}, "final", text=text, latency_s=latency_s)
        return Say(message, text=text, latency_s=latency_s)
