"""The single-context socket: turns in one stream of text, and how we know where each ends."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import (
    LocalProtocolError,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RemoteProtocolError,
)
from lineside.events import Aligned, Audio, Finished, Flushed, Lost, SpeechEvent
from lineside.wire.elevenlabs import VoiceOptions
from lineside.wire.elevenlabs_stream import StreamWire

OPTIONS = VoiceOptions(api_key="key", stability=0.5)
WITH_DICTIONARY = VoiceOptions(api_key="key", pronunciation_dictionaries=(("d", "v"),))
FINAL = '{"audio":null,"isFinal":true,"normalizedAlignment":null,"alignment":null}'


def bodies(messages: list[str]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def timed(text: str, each_ms: int = 10) -> dict[str, Any]:
    return {
        "chars": list(text),
        "charStartTimesMs": list(range(0, len(text) * each_ms, each_ms)),
        "charDurationsMs": [each_ms] * len(text),
    }


def frame(audio: bytes, text: str = "") -> str:
    return json.dumps(
        {
            "audio": b64encode(audio).decode(),
            "isFinal": None,
            "normalizedAlignment": timed(f" {text}") if text else None,
            "alignment": timed(text) if text else None,
        }
    )


def speech(text: str) -> bytes:
    """As much mu-law as `text` takes."""
    return bytes(len(text) * 80)


def segment(text: str) -> str:
    return frame(speech(text), text)


def speaking(*texts: str, options: VoiceOptions = OPTIONS) -> StreamWire:
    wire = StreamWire(options)
    wire.begin()
    for text in texts:
        wire.say(text)
    return wire


def kinds(events: list[SpeechEvent]) -> list[type[SpeechEvent]]:
    return [type(event) for event in events]


def lost(events: list[SpeechEvent]) -> Exception:
    (event,) = events
    assert isinstance(event, Lost)
    return event.error


# -- turns as they should go -------------------------------------------------------------------------------------------


def test_two_turns_on_one_socket() -> None:
    wire = StreamWire(OPTIONS)
    assert bodies(wire.begin()) == [{"text": " ", "voice_settings": {"stability": 0.5}}]
    assert bodies(wire.say("Hello there.")) == [{"text": "Hello there. "}]
    assert bodies(wire.finish()) == [{"text": " ", "flush": True}]
    assert (wire.complete, wire.speaking) == (False, True)
    assert kinds(wire.receive(segment("Hello there. "))) == [Aligned, Audio, Finished]
    assert (wire.complete, wire.speaking, wire.reusable) == (True, False, True)
    assert wire.begin() == []
    assert bodies(wire.say("Bye.", flush=True)) == [{"text": "Bye. ", "flush": True}]
    assert wire.finish() == []
    audio = speech("Bye. ")
    assert wire.receive(frame(audio, "Bye. ")) == [
        Aligned("Bye. ", (0, 10, 20, 30, 40), (10, 20, 30, 40, 50)),
        Audio(audio),
        Flushed(),
        Finished(),
    ]
    assert bodies(wire.close()) == [{"text": ""}]
    assert wire.receive(FINAL) == []


def test_a_spare_socket_is_opened_once() -> None:
    wire = StreamWire(OPTIONS)
    assert len(wire.open()) == 1
    assert wire.open() == []
    assert wire.begin() == []


def test_settings_and_keys_are_in_the_first_message_only() -> None:
    wire = StreamWire(VoiceOptions(api_key="key", api_key_in="message", speed=1.1))
    (first,) = bodies(wire.begin())
    assert first.keys() == {"text", "voice_settings", "xi_api_key"}
    later = wire.keep_alive() + wire.say("One.", trigger=True) + wire.flush() + wire.finish() + wire.close()
    for body in bodies(later):
        assert body.keys() <= {"text", "try_trigger_generation", "flush"}


# -- text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_empty_text_which_would_end_the_stream_is_not_sent(text: str) -> None:
    wire = speaking()
    assert wire.say(text) == []
    assert wire.say(text, flush=True) == []


@pytest.mark.parametrize("text", ["to the end", "to the end ", "\nto the end\n"])
def test_text_ends_with_one_space(text: str) -> None:
    assert bodies(speaking().say(text)) == [{"text": "to the end "}]


def test_text_may_ask_to_be_spoken_soon() -> None:
    assert bodies(speaking().say("One.", trigger=True)) == [{"text": "One. ", "try_trigger_generation": True}]


@given(st.lists(st.text(max_size=6) | st.none(), max_size=12))
def test_a_keep_alive_never_comes_between_the_halves_of_a_word(texts: list[str | None]) -> None:
    wire = StreamWire(OPTIONS)
    sent = bodies(wire.begin())
    for text in texts:
        sent += bodies(wire.keep_alive() if text is None else wire.say(text))
    for before, body in pairwise(sent):
        assert body["text"] != ""
        assert before["text"].endswith(" ")


def test_before_the_first_message_no_keep_alive_takes_its_place() -> None:
    wire = StreamWire(OPTIONS)
    assert wire.keep_alive() == []
    wire.open()
    assert bodies(wire.keep_alive()) == [{"text": " "}]
    wire.close()
    assert wire.keep_alive() == []


def test_keep_alive_spaces_between_turns_do_not_disturb_the_next_one() -> None:
    wire = speaking("One.")
    wire.finish()
    wire.receive(segment("One. "))
    wire.keep_alive()
    wire.begin()
    wire.say("Two.")
    wire.finish()
    events = wire.receive(segment("  Two.  "))
    assert kinds(events) == [Aligned, Audio, Finished]
    assert isinstance(events[0], Aligned)
    assert events[0].text == "Two. "


# -- where a turn ends -------------------------------------------------------------------------------------------------


def test_a_turn_is_complete_when_all_its_characters_are_timed_and_their_audio_is_here() -> None:
    wire = speaking("One.", "Two.")
    wire.finish()
    assert kinds(wire.receive(segment("One. "))) == [Aligned, Audio]
    assert not wire.complete
    assert kinds(wire.receive(frame(b"\xff" * 80, "Two. "))) == [Aligned, Audio]
    assert not wire.complete
    assert kinds(wire.receive(frame(bytes(320)))) == [Audio, Finished]
    assert wire.complete


def test_the_recorded_sizes_complete_a_turn_with_the_small_tail_frame() -> None:
    """Of 24 kHz PCM: 37,894 bytes are 789.5 ms, the timings end at 789 ms."""
    wire = StreamWire(VoiceOptions(api_key="key", output_format="pcm_24000"))
    wire.begin()
    wire.say("Hello world.")
    wire.finish()
    timings = timed("Hello world. ", 60)
    timings["charDurationsMs"][-1] = 69
    first = {"audio": b64encode(bytes(37458)).decode(), "isFinal": None, "alignment": timings}
    assert kinds(wire.receive(json.dumps(first))) == [Aligned, Audio]
    assert kinds(wire.receive(frame(bytes(436)))) == [Audio, Finished]


def test_a_turn_that_may_go_on_is_not_finished() -> None:
    wire = speaking("One.")
    wire.flush()
    assert kinds(wire.receive(segment("One. "))) == [Aligned, Audio, Flushed]
    assert wire.complete
    assert wire.speaking
    wire.say("Two.")
    assert not wire.complete


def test_finishing_what_was_spoken_already_ends_the_turn_at_once() -> None:
    wire = speaking("One.")
    wire.flush()
    wire.receive(segment("One. "))
    assert wire.finish() == []
    assert wire.told() == [Finished()]


def test_a_turn_without_text_ends_at_once() -> None:
    wire = speaking()
    assert wire.finish() == []
    assert wire.told() == [Finished()]
    assert wire.reusable


def test_a_flush_of_nothing_is_not_sent_and_answered_at_once() -> None:
    wire = speaking()
    assert wire.flush() == []
    assert wire.told() == [Flushed()]


def test_audio_after_the_end_of_a_turn_is_dropped() -> None:
    wire = speaking("One.")
    wire.finish()
    wire.receive(segment("One. "))
    assert wire.receive(frame(b"\xff")) == []


def test_closing_gives_a_certain_end_where_timings_cannot_tell() -> None:
    wire = speaking("One.", options=WITH_DICTIONARY)
    wire.flush()
    wire.finish()
    assert kinds(wire.receive(segment("One. "))) == [Aligned, Audio]
    assert bodies(wire.close()) == [{"text": ""}]
    assert wire.receive(FINAL) == [Flushed(), Finished()]
    assert not wire.reusable


def test_closing_finishes_a_turn_that_was_not_finished() -> None:
    wire = speaking("One.")
    assert bodies(wire.close()) == [{"text": ""}]
    assert wire.close() == []
    assert kinds(wire.receive(segment("One. "))) == [Aligned, Audio, Finished]


def test_closing_before_the_first_message_sends_nothing() -> None:
    assert StreamWire(OPTIONS).close() == []


# -- what the clock says -----------------------------------------------------------------------------------------------


def test_the_clock_can_end_a_turn_and_then_the_socket_serves_no_other() -> None:
    wire = speaking("One \U0001f600.")
    wire.finish()
    wire.receive(segment("One . "))
    assert not wire.complete
    wire.settle()
    assert wire.told() == [Finished()]
    assert not wire.reusable
    with pytest.raises(LocalProtocolError, match="fresh socket"):
        wire.begin()


def test_the_clock_can_answer_a_flush_and_the_turn_goes_on() -> None:
    wire = speaking("One.", options=WITH_DICTIONARY)
    wire.flush()
    wire.receive(segment("One. "))
    wire.settle()
    assert wire.told() == [Flushed()]
    assert wire.speaking
    assert bodies(wire.say("Two.")) == [{"text": "Two. "}]


def test_the_clock_finds_that_no_audio_came() -> None:
    wire = speaking("One.")
    wire.finish()
    wire.settle()
    assert isinstance(lost(wire.told()), ProviderSilent)
    assert not wire.reusable


def test_the_clock_has_nothing_to_say_between_turns() -> None:
    wire = StreamWire(OPTIONS)
    wire.settle()
    assert wire.told() == []
    assert wire.reusable


# -- losses ------------------------------------------------------------------------------------------------------------


def test_a_final_without_audio_is_a_loss() -> None:
    wire = speaking("One.")
    wire.close()
    error = lost(wire.receive(FINAL))
    assert isinstance(error, ProviderSilent)
    assert "final without audio" in str(error)


def test_a_final_that_we_did_not_ask_for_is_a_loss() -> None:
    wire = speaking("One.")
    assert isinstance(lost(wire.receive(FINAL)), ProviderUnavailable)
    assert not wire.reusable
    with pytest.raises(LocalProtocolError):
        wire.begin()


def test_an_error_ends_the_turn_and_the_socket() -> None:
    wire = speaking("One.")
    assert isinstance(
        lost(wire.receive('{"message":"Invalid API key","error":"invalid_api_key","code":1008}')), ProviderRefused
    )
    assert not wire.reusable
    wire.lose(ProviderUnavailable("closed with 1008"))
    assert wire.told() == []


def test_an_error_between_turns_ends_the_socket() -> None:
    wire = StreamWire(OPTIONS)
    wire.open()
    assert wire.receive('{"message":"idle","error":"input_timeout_exceeded","code":1008}') == []
    assert not wire.reusable


def test_a_lost_socket_ends_the_turn() -> None:
    wire = speaking("One.")
    wire.lose(ProviderUnavailable("gone"))
    assert str(lost(wire.told())) == "gone"


# -- what is not allowed -----------------------------------------------------------------------------------------------


def test_a_turn_does_not_begin_within_another() -> None:
    wire = speaking("One.")
    with pytest.raises(LocalProtocolError, match="not over"):
        wire.begin()


BEFORE: dict[str, Callable[[StreamWire], object]] = {
    "no turn": lambda _: None,
    "finished": lambda wire: (wire.begin(), wire.finish()),
    "finishing": lambda wire: (wire.begin(), wire.say("One."), wire.finish()),
    "closed": lambda wire: (wire.begin(), wire.say("One."), wire.close()),
    "final": lambda wire: (wire.begin(), wire.receive(FINAL)),
}


@pytest.mark.parametrize("what", ["say", "flush", "finish"])
@pytest.mark.parametrize("before", BEFORE)
def test_text_is_taken_within_a_turn_only(what: str, before: str) -> None:
    wire = StreamWire(OPTIONS)
    BEFORE[before](wire)
    calls: dict[str, Callable[[], object]] = {
        "say": lambda: wire.say("Late."),
        "flush": wire.flush,
        "finish": wire.finish,
    }
    with pytest.raises(LocalProtocolError, match=what):
        calls[what]()


# -- properties --------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.text(alphabet="ab. é", max_size=8), max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.data(),
)
def test_every_turn_ends_once_with_its_last_audio_however_it_is_cut(
    texts: list[str], flushes: list[bool], data: st.DataObject
) -> None:
    wire = StreamWire(OPTIONS)
    wire.begin()
    sent = ""
    for text, flush in zip(texts, flushes, strict=False):
        wire.say(text, flush=flush)
        sent += f"{text.strip()} " if text.strip() else ""
    wire.finish()
    events = wire.told()
    while sent:
        cut = data.draw(st.integers(1, len(sent)))
        piece, sent = sent[:cut], sent[cut:]
        audio = speech(piece)
        at = data.draw(st.integers(0, len(audio)))
        visible = bool(sent.strip())
        events += wire.receive(frame(audio[:at], piece))
        events += wire.receive(frame(audio[at:]))
        assert (Finished() in events) is not visible
    assert events.count(Finished()) == 1
    assert events.count(Flushed()) == sum(flushes[: len(texts)])
    assert wire.reusable


@given(st.text() | st.dictionaries(st.text(max_size=9), st.none() | st.booleans() | st.text()).map(json.dumps))
def test_whatever_comes_only_our_errors_come_out(message: str) -> None:
    wire = speaking("One.")
    with suppress(RemoteProtocolError):
        wire.receive(message)
