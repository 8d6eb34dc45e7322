"""When Deepgram's `/v1/listen` says what: interims, finals, the ends of speech and of utterances. No I/O, no clock.

Everything goes by audio time: what was not sent did not pass.

Sources: https://developers.deepgram.com/docs/understand-endpointing-interim-results,
https://developers.deepgram.com/docs/understanding-end-of-speech-detection,
https://developers.deepgram.com/docs/finalize
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from lineside.standin.recogniser.deepgram_query import ListenSettings
from lineside.standin.recogniser.ear import Moment, Voicing
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.modem import DecodedWord
from lineside.standin.recogniser.outlet import Say

CHANNEL = [0, 1]  # the first of one
CONFIDENCE = 0.98
REARM_S = 1.0  # silence that ends speech where endpointing is off
LONGEST_WORD_S = 0.75  # what a word of the modem may have taken of audio that is not a word yet
PUNCTUATION = ".,;:!?…\"'()[]"
SAME_TIME = 1e-6  # s


class Results:
    """The transcript of one connection as it grows."""

    def __init__(self, settings: ListenSettings, faults: RecogniserFaults, request_id: str) -> None:
        self._settings = settings
        self._faults = faults
        self._request_id = request_id
        self._voicing = Voicing(faults.onset_s)
        self._now_s = 0.0
        self._final_s = 0.0  # everything before is final
        self._told_s = 0.0  # the end of the latest result
        self._words: list[DecodedWord] = []  # not final yet
        self._unended = False  # there were words since the latest `speech_final`
        self._gap_from_s: float | None = None  # end of the latest word, until an UtteranceEnd has named it

    def hear(self, moment: Moment) -> list[Say]:
        """Take up 20 ms."""
        said: list[Say] = []
        self._now_s = moment.end_s
        if self._voicing.hear(moment, self._faults.loud_dbfs) and self._settings.vad_events:
            said.append(Say({"type": "SpeechStarted", "channel": CHANNEL, "timestamp": _s(self._voicing.began_s)}))
        if moment.words:
            self._words += moment.words
            self._unended = True
            self._gap_from_s = moment.words[-1].end_s
        said += self._end_speech()
        said += self._end_utterance()
        said += self._tell()
        return said

    def finalize(self) -> list[Say]:
        """Finalize was asked for."""
        enough = bool(self._words) or self._now_s - self._final_s >= self._faults.finalize_min_s - SAME_TIME
        if self._faults.finalize_answers == "never" or (self._faults.finalize_answers == "enough" and not enough):
            return []
        return [self._final(self._now_s, speech_final=self._faults.finalize_speech_final, from_finalize=True)]

    def rest(self) -> list[Say]:
        """The last results of a stream that ends."""
        return [self._final(self._now_s)] if self._now_s > self._final_s or self._words else []

    # -- deciding ----------------------------------------------------------------------------------------------------

    def _end_speech(self) -> list[Say]:
        endpointing_s = self._settings.endpointing_s
        silent_s = self._voicing.silent_s(self._now_s)
        if not self._voicing.speaking or silent_s < (REARM_S if endpointing_s is None else endpointing_s) - SAME_TIME:
            return []
        self._voicing.end()
        if endpointing_s is None or not (self._unended or self._faults.empty_speech_final):
            return []
        return [self._final(self._now_s, speech_final=True)]

    def _end_utterance(self) -> list[Say]:
        gap_s, ended_s = self._settings.utterance_end_s, self._gap_from_s
        if gap_s is None or ended_s is None or self._now_s - ended_s < gap_s - SAME_TIME:
            return []
        self._gap_from_s = None
        end = Say({"type": "UtteranceEnd", "channel": CHANNEL, "last_word_end": _s(ended_s)})
        return [self._final(ended_s), end] if self._words and self._faults.utterance_end_finalises else [end]

    def _tell(self) -> list[Say]:
        """The final of a long stretch, or an interim, when one is due."""
        if self._now_s - self._final_s >= self._faults.segment_s - SAME_TIME:
            if not self._voicing.speaking:
                return [self._final(self._now_s)]
            # A word may be half said: the final ends before it.
            return [self._final(self._words[-1].end_s if self._words else self._now_s - LONGEST_WORD_S)]
        if not self._settings.interim_results or self._now_s - self._told_s < self._faults.interim_every_s - SAME_TIME:
            return []
        self._told_s = self._now_s
        if not (self._words or self._faults.empty_interims):
            return []
        message = self._result(self._now_s, revised=self._faults.revised_interims)
        return [Say(message, "interim", text=_transcript(message) or None)]

    # -- saying ------------------------------------------------------------------------------------------------------

    def _final(self, until_s: float, *, speech_final: bool = False, from_finalize: bool = False) -> Say:
        until_s = max(until_s, self._final_s)
        message = self._result(until_s, is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        self._words.clear()
        self._final_s = self._told_s = until_s
        self._unended = self._unended and not speech_final
        return Say(message, "final", text=_transcript(message) or None)

    def _result(
        self,
        until_s: float,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
        revised: bool = False,
    ) -> dict[str, Any]:
        start_s = min([self._final_s, *(word.start_s for word in self._words[:1])])
        texts = [word.text for word in self._words]
        if revised and texts:
            texts[-1] = texts[-1][: (len(texts[-1]) + 1) // 2]
        model = self._settings.model
        return {
            "type": "Results",
            "channel_index": CHANNEL,
            "duration": _s(until_s - start_s),
            "start": _s(start_s),
            "is_final": is_final,
            "speech_final": speech_final,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [self._alternative(texts)]},
            "metadata": {
                "request_id": self._request_id,
                "model_uuid": str(uuid5(NAMESPACE_DNS, f"{model}.deepgram.com")),
                "model_info": {"name": f"general-{model}", "version": "2025-04-17.0", "arch": model},
            },
        }

    def _alternative(self, texts: list[str]) -> dict[str, Any]:
        punctuated = self._settings.punctuated
        words: list[dict[str, Any]] = [
            {"word": plain(text), "start": _s(word.start_s), "end": _s(word.end_s), "confidence": CONFIDENCE}
            | ({"punctuated_word": text} if punctuated else {})
            for text, word in zip(texts, self._words, strict=True)
        ]
        transcript = " ".join(texts if punctuated else map(plain, texts))
        return {"transcript": transcript, "confidence": CONFIDENCE if texts else 0.0, "words": words}


def _transcript(message: dict[str, Any]) -> str:
    """What a result says."""
    text: str = message["channel"]["alternatives"][0]["transcript"]
    return text


def plain(text: str) -> str:
    """A word without capitals and punctuation; a word that is nothing else stays."""
    return text.strip(PUNCTUATION).lower() or text


def _s(seconds: float) -> float:
    return round(seconds, 6)
