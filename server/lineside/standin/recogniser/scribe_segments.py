"""When ElevenLabs' listening socket says what: partials, and segments when they are committed. No I/O, no clock.

Everything goes by audio time.

Source: https://elevenlabs.io/docs/developers/guides/cookbooks/speech-to-text/realtime/transcripts-and-commit-strategies
"""

from __future__ import annotations

from typing import Any

from lineside.standin.recogniser.ear import Moment, Voicing
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.line import Ending
from lineside.standin.recogniser.modem import DecodedWord
from lineside.standin.recogniser.outlet import Say
from lineside.standin.recogniser.scribe_query import ScribeSettings

SAME_TIME = 1e-6  # s
LOGPROB = -0.05


class Segments:
    """The transcript of one connection."""

    def __init__(self, settings: ScribeSettings, faults: RecogniserFaults) -> None:
        self._settings = settings
        self._faults = faults
        self._voicing = Voicing(settings.min_speech_ms / 1000)
        self._now_s = 0.0
        self._committed_s = 0.0  # everything before is
        self._told_s = 0.0  # the latest partial's end
        self._partial = ""
        self._words: list[DecodedWord] = []

    def hear(self, moment: Moment) -> list[Say]:
        """Take up 20 ms."""
        self._now_s = moment.end_s
        self._voicing.hear(moment, self._faults.loud_dbfs)
        self._words += moment.words
        said = self._tell()
        fell_silent = self._voicing.silent_s(self._now_s) >= self._settings.silence_s - SAME_TIME
        if self._settings.vad and self._voicing.speaking and fell_silent:
            self._voicing.end()
            if self._words:
                said += self._commit()
        elif self._now_s - self._committed_s >= self._faults.longest_segment_s - SAME_TIME:
            said += self._commit()
        return said

    def commit(self) -> list[Say]:
        """The client commits.

        Raises:
            Ending: too soon.
        """
        new_s = self._now_s - self._committed_s
        if new_s < self._faults.commit_min_s - SAME_TIME:
            raise Ending("commit_throttled", "commit_throttled", f"Only {new_s:.2f}s of new audio since the last one.")
        return self._commit()

    def _tell(self) -> list[Say]:
        if self._now_s - self._told_s < self._faults.partial_every_s - SAME_TIME:
            return []
        texts = [word.text for word in self._words]
        if texts and self._faults.revised_interims:
            texts[-1] = texts[-1][: (len(texts[-1]) + 1) // 2]
        text = " ".join(texts)
        if not text or text == self._partial:
            return []
        self._told_s, self._partial = self._now_s, text
        return [Say({"message_type": "partial_transcript", "text": text}, "interim", text=text)]

    def _commit(self) -> list[Say]:
        text = " ".join(word.text for word in self._words)
        latency_s = self._faults.commit_latency_s
        committed = {"message_type": "committed_transcript", "text": text}
        said = [Say(committed, "final", text=text or None, latency_s=latency_s)]
        if self._settings.timestamps:
            timed = committed | {
                "message_type": "committed_transcript_with_timestamps",
                "language_code": self._language(),
                "words": self._timed(),
            }
            said.append(Say(timed, "final", latency_s=latency_s + self._faults.timestamps_delay_s))
        self._words.clear()
        self._committed_s = self._told_s = self._now_s
        self._partial = ""
        return said

    def _language(self) -> str | None:
        return self._settings.language or ("en" if self._settings.language_detection else None)

    def _timed(self) -> list[dict[str, Any]]:
        """The words and the spaces between them."""
        timed: list[dict[str, Any]] = []
        for before, word in zip([None, *self._words], self._words, strict=False):
            if before is not None:
                timed.append(_entry(" ", before.end_s, word.start_s, "spacing"))
            timed.append(_entry(word.text, word.start_s, word.end_s, "word"))
        return timed


def _entry(text: str, start_s: float, end_s: float, kind: str) -> dict[str, Any]:
    """What a word or a space is on the wire. Members that do not apply are there as null."""
    return {
        "text": text,
        "start": round(start_s, 3),
        "end": round(end_s, 3),
        "type": kind,
        "speaker_id": None,
        "logprob": LOGPROB,
        "characters": None,
        "channel_index": None,
    }
