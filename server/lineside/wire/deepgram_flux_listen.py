"""Deepgram's turn-taking listen protocol (`/v2/listen`, the Flux models): options, messages, the open turn. No I/O.

The service itself decides where a turn starts and ends; its transcript is cumulative over the turn. Its clock is the
audio: a turn in which the audio stops never ends.

Sources:
https://developers.deepgram.com/reference/speech-to-text/listen-flux
https://developers.deepgram.com/docs/flux/state
https://developers.deepgram.com/docs/flux/configuration
https://developers.deepgram.com/docs/flux/configure
https://developers.deepgram.com/docs/flux/force-end-turn
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lineside.errors import RemoteProtocolError
from lineside.events import EagerEndOfTurn, EndOfTurn, HearingEvent, Partial, SpeechStarted, TurnResumed
from lineside.wire.arrived import Arrived, untold
from lineside.wire.deepgram_listen import (
    ONSET_S,
    QUIET_S,
    address,
    check_number,
    check_terms,
    decode,
    encode,
    failure,
    is_time,
    seconds,
    warning,
    wrong,
)

MAX_KEYTERMS = 100
REDACTIONS = ("numbers", "aggressive_numbers")
NOTHING: tuple[str, float | None] = ("", None)  # a text, and when its last word was here
FORCE_END_TURN = '{"type":"ForceEndTurn"}'

# -- options and address -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxOptions:
    """How to listen, and when to call a turn ended.

    Raises:
        SettingsError: a value that the service refuses; names field, value and range.
    """

    model: str = "flux-general-en"
    eot_threshold: float = 0.7
    """Confidence that ends a turn; at 1.0 only the timeout does, or we."""
    eager_eot_threshold: float | None = None
    """Confidence for `EagerEndOfTurn`. None: no such event, and no `TurnResumed`."""
    eot_timeout_ms: int = 5000
    """ms without speech that end a turn at any confidence."""
    keyterms: tuple[str, ...] = ()
    language_hints: tuple[str, ...] = ()
    """Of the multilingual model only."""
    profanity_filter: bool = False
    numerals: bool = False
    redact: tuple[str, ...] = ()
    mip_opt_out: bool = False
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.model.startswith("flux-"):
            raise wrong("model", self.model, "a Flux model, flux-general-en or flux-general-multi")
        _check_thresholds(self.eot_threshold, self.eager_eot_threshold, self.eot_timeout_ms)
        _check_keyterms(self.keyterms)
        check_terms("language_hints", self.language_hints)
        if self.language_hints and "multi" not in self.model:
            raise wrong("language_hints", list(self.language_hints), f"none: only flux-general-multi, not {self.model}")
        for kind in self.redact:
            if kind not in REDACTIONS:
                raise wrong("redact", kind, " or ".join(REDACTIONS))
        check_terms("tags", self.tags)


def _check_thresholds(eot: float | None, eager: float | None, timeout_ms: int | None) -> None:
    check_number("eot_threshold", eot, 0.5, 1.0)
    check_number("eager_eot_threshold", eager, 0.3, 0.9)
    check_number("eot_timeout_ms", timeout_ms, 500, 60000, whole=True)
    if eot is not None and eager is not None and eager > eot:
        raise wrong("eager_eot_threshold", eager, f"at most eot_threshold, which is {eot}")


def _check_keyterms(keyterms: Sequence[str]) -> None:
    check_terms("keyterms", keyterms)
    if len(keyterms) > MAX_KEYTERMS:
        raise wrong("keyterms", f"{len(keyterms)} terms", f"at most {MAX_KEYTERMS}")


def flux_url(base_url: str, options: FluxOptions) -> str:
    """The address of a Flux socket for a phone call's audio: mu-law, 8 kHz, mono.

    Raises:
        SettingsError: a base that is not a WebSocket or HTTP URL.
    """
    query: list[tuple[str, str]] = [
        ("model", options.model),
        ("encoding", "mulaw"),
        ("sample_rate", "8000"),
        ("eot_threshold", str(options.eot_threshold)),
        ("eot_timeout_ms", str(options.eot_timeout_ms)),
    ]
    if options.eager_eot_threshold is not None:
        query.append(("eager_eot_threshold", str(options.eager_eot_threshold)))
    query += [(name, "true") for name in ("profanity_filter", "numerals", "mip_opt_out") if getattr(options, name)]
    query += [("keyterm", term) for term in options.keyterms]
    query += [("language_hint", hint) for hint in options.language_hints]
    query += [("redact", kind) for kind in options.redact]
    query += [("tag", tag) for tag in options.tags]
    return address(base_url, "/v2/listen", query)


# -- what we send ------------------------------------------------------------------------------------------------------


def configure(
    *,
    eot_threshold: float | None = None,
    eager_eot_threshold: float | None = None,
    eot_timeout_ms: int | None = None,
    keyterms: Sequence[str] | None = None,
    language_hints: Sequence[str] | None = None,
    numerals: bool | None = None,
) -> str:
    """Change an open socket: all of it or, when a part is refused, nothing. What is None stays as it is.

    Raises:
        SettingsError: nothing to change, or a value out of its range.
    """
    _check_thresholds(eot_threshold, eager_eot_threshold, eot_timeout_ms)
    thresholds = {
        "eot_threshold": eot_threshold,
        "eager_eot_threshold": eager_eot_threshold,
        "eot_timeout_ms": eot_timeout_ms,
    }
    body: dict[str, object] = {"type": "Configure"}
    if given := {name: value for name, value in thresholds.items() if value is not None}:
        body["thresholds"] = given
    if keyterms is not None:
        _check_keyterms(keyterms)
        body["keyterms"] = list(keyterms)
    if language_hints is not None:
        check_terms("language_hints", language_hints)
        body["language_hints"] = list(language_hints)
    if numerals is not None:
        body["numerals"] = numerals
    if len(body) == 1:
        raise wrong("configure", None, "something to change")
    return encode(body)


# -- what comes back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TurnInfo:
    event: str
    turn: int
    text: str
    window_start: float
    window_end: float
    words: tuple[tuple[float, float], ...]
    """Start and end of each word in s; empty when one of them is not known."""


def _turn_info(body: Mapping[str, Any]) -> _TurnInfo:
    event, turn, text = body.get("event"), body.get("turn_index"), body.get("transcript")
    if not isinstance(event, str) or not isinstance(turn, int) or isinstance(turn, bool) or not isinstance(text, str):
        raise RemoteProtocolError("Deepgram listening: TurnInfo without event, turn_index or transcript")
    start = seconds("TurnInfo", body, "audio_window_start")
    end = seconds("TurnInfo", body, "audio_window_end")
    return _TurnInfo(event, turn, text.strip(), start, end, _timings(body.get("words")))


def _timings(words: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(words, list):
        return ()
    times = [(word.get("start"), word.get("end")) for word in words if isinstance(word, dict)]
    known = [(float(a), float(b)) for a, b in times if is_time(a) and is_time(b)]
    return tuple(known) if len(known) == len(words) else ()


class FluxWire:
    """The open turn, over a call's sockets, one after the other."""

    def __init__(self, arrived: Arrived = untold) -> None:
        self._arrived = arrived
        # Texts, and the loop time at which the last word of each was here:
        self._carried, self._carried_by = NOTHING  # the settled part of a turn that an earlier socket could not end
        self._text, self._text_by = NOTHING  # of the open turn on this socket
        self._safe, self._safe_by = NOTHING  # the part of it whose audio is settled
        self._unsettled, self._unsettled_by = NOTHING  # what the last socket had beyond that: it will be heard again
        self._turn = -1
        self._open = False
        self._eager = False  # an EagerEndOfTurn stands
        self._told = ""
        self.settled = 0.0
        """Seconds of this socket's audio that need not be heard again should it die."""

    @property
    def unfinished(self) -> bool:
        """Something was said that is not part of an `EndOfTurn` yet."""
        return bool(self._open or self._carried or self._text)

    def audio(self, chunk: bytes) -> bytes:
        """A frame of audio."""
        return chunk

    def receive(self, message: str | bytes) -> list[HearingEvent]:
        """What a message tells; nothing for one of a type that we do not know.

        Raises:
            RemoteProtocolError: broken.
            ProviderUnavailable: the service says that it cannot go on.
        """
        kind, body = decode(message)
        match kind:
            case "TurnInfo":
                return self._turn_info(_turn_info(body))
            case "ConfigureFailure" | "Warning":
                return [warning(kind, body)]
            case "Error":
                raise failure(body)
        return []

    def lost(self) -> list[HearingEvent]:
        """The socket is gone. The next one's time and turns start at zero, with the audio that is not settled."""
        events: list[HearingEvent] = [TurnResumed()] if self._eager else []
        self._unsettled, self._unsettled_by = self._text[len(self._safe) :].strip(), self._text_by
        if self._safe:
            self._carried, self._carried_by = _join(self._carried, self._safe), self._safe_by
        self._text = self._safe = ""
        self._turn, self._open, self._eager = -1, False, False
        self.settled = 0.0
        return events

    def finish(self, *, deaf: bool) -> list[HearingEvent]:
        """After `lost`: end the turn with what was understood, since nobody else can.

        Args:
            deaf: no socket will hear the rest again, so that a text that was not certain is better than none.
        """
        text = ""
        if deaf:
            text, self._unsettled = self._unsettled, ""
        return self._end(text, self._unsettled_by)

    def _turn_info(self, info: _TurnInfo) -> list[HearingEvent]:
        if info.turn < self._turn:
            return []  # of a turn that has ended
        events: list[HearingEvent] = []
        if info.turn > self._turn:
            if self._turn >= 0:
                events += self._end(self._text, self._text_by)  # its own end was never told
            self._turn = info.turn
        self._text = info.text
        self._text_by = self._arrived(info.words[-1][1]) if info.words else None
        match info.event:
            case "StartOfTurn":
                self._open = True
                events += [SpeechStarted(), *self._partial()]
            case "Update":
                events += self._partial()
            case "EagerEndOfTurn":
                if text := _join(self._carried, info.text):
                    self._eager = True
                    events.append(EagerEndOfTurn(text, self._text_by if info.text else self._carried_by))
            case "TurnResumed":
                if self._eager:
                    events.append(TurnResumed())
                self._eager = False
                events += self._partial()
            case "EndOfTurn":
                events += self._end(info.text, self._text_by)
                self._turn = info.turn + 1
        self._settle(info)
        if self._carried and not self._open and not info.text and info.window_end >= QUIET_S:
            events += self._end("", None)
        return events

    def _settle(self, info: _TurnInfo) -> None:
        """Fix how much of the turn would survive this socket: all words but the last, which may be half of one."""
        tokens, words = info.text.split(), info.words
        if info.event == "EndOfTurn":
            self._safe, self.settled = "", info.window_end
        elif not tokens:
            self._safe, self.settled = "", max(self.settled, info.window_end - ONSET_S)
        elif len(tokens) == len(words):
            before = words[-2][1] if len(words) > 1 else max(info.window_start, words[-1][0] - ONSET_S)
            self._safe = info.text[: info.text.rindex(tokens[-1])].strip()
            self._safe_by = self._arrived(words[-2][1]) if len(words) > 1 else None
            self.settled = max(self.settled, (before + words[-1][0]) / 2)
        else:
            self._safe = ""  # no telling which audio holds which word

    def _partial(self) -> list[HearingEvent]:
        text = _join(self._carried, self._text)
        if not self._text or text == self._told:
            return []
        self._told = text
        return [Partial(text)]

    def _end(self, text: str, by: float | None) -> list[HearingEvent]:
        by = by if text else self._carried_by
        text = _join(self._carried, text)
        eager, self._eager = self._eager, False
        self._carried = self._text = self._safe = self._told = ""
        self._open = False
        if text:
            return [EndOfTurn(text, by)]
        return [TurnResumed()] if eager else []  # nothing was said after all: the draft is not wanted


def _join(first: str, second: str) -> str:
    return f"{first} {second}".strip()
