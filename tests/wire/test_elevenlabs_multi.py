"""The multi-context socket: what we send when, and what each utterance is told."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
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
from lineside.events import Aligned, Audio, Finished, Flushed, Lost, SpeechEvent, Warned
from lineside.wire.elevenlabs import VoiceOptions
from lineside.wire.elevenlabs_multi import MAX_CONTEXTS, MultiWire, Told

OPTIONS = VoiceOptions(api_key="key", stability=0.5)
WITH_DICTIONARY = VoiceOptions(api_key="key", pronunciation_dictionaries=(("d", "v"),))


def bodies(messages: list[str]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def timed(text: str, each_ms: int) -> dict[str, Any]:
    return {
        "chars": list(text),
        "charStartTimesMs": list(range(0, len(text) * each_ms, each_ms)),
        "charDurationsMs": [each_ms] * len(text),
    }


def frame(context_id: str, audio: bytes, text: str = "", *, each_ms: int = 10) -> str:
    """A frame as the service sends it: timings on a segment's first one, else null."""
    return json.dumps(
        {
            "audio": b64encode(audio).decode(),
            "isFinal": None,
            "normalizedAlignment": timed(f" {text}", each_ms) if text else None,
            "alignment": timed(text, each_ms) if text else None,
            "contextId": context_id,
        }
    )


def final(context_id: str) -> str:
    return json.dumps({"isFinal": True, "contextId": context_id})


def speech(text: str, each_ms: int = 10) -> bytes:
    """As much mu-law as `text` takes."""
    return bytes(len(text) * each_ms * 8)


def begun(options: VoiceOptions = OPTIONS) -> tuple[MultiWire, str]:
    wire = MultiWire(options)
    context_id, _ = wire.begin()
    return wire, context_id


def kinds(told: list[Told]) -> list[type[SpeechEvent]]:
    return [type(event) for _, event in told]


def lost(told: list[Told]) -> Exception:
    ((_, event),) = told
    assert isinstance(event, Lost)
    return event.error


# -- a turn as it should go --------------------------------------------------------------------------------------------


def test_a_turn_from_its_first_word_to_its_final() -> None:
    wire = MultiWire(OPTIONS)
    c, messages = wire.begin()
    assert bodies(messages) == [{"text": " ", "context_id": c, "voice_settings": {"stability": 0.5}}]
    assert bodies(wire.say(c, "Hello there.")) == [{"text": "Hello there. ", "context_id": c}]
    assert bodies(wire.finish(c)) == [{"context_id": c, "flush": True}]
    assert wire.due() == []
    audio = speech("Hello there. ")
    starts = tuple(range(0, 130, 10))
    assert wire.receive(frame(c, audio, "Hello there. ")) == [
        (c, Aligned("Hello there. ", starts, tuple(start + 10 for start in starts))),
        (c, Audio(audio)),
    ]
    assert bodies(wire.due()) == [{"context_id": c, "close_context": True}]
    assert wire.due() == []
    assert wire.receive(frame(c, b"\xff" * 30)) == [(c, Audio(b"\xff" * 30))]
    assert wire.open_contexts == 1
    assert wire.receive(final(c)) == [(c, Finished())]
    assert wire.open_contexts == 0


def test_settings_and_keys_are_in_the_first_message_of_a_context_only() -> None:
    wire = MultiWire(VoiceOptions(api_key="key", api_key_in="message", speed=1.1, chunk_length_schedule=(50,)))
    first, messages = wire.begin()
    second, more = wire.begin()
    later = wire.say(first, "One.") + wire.say(second, "Two.", flush=True) + wire.flush(first)
    later += wire.keep_alive() + wire.finish(first) + wire.cancel(second) + wire.close()
    for opening in bodies(messages + more):
        assert opening.keys() == {"text", "context_id", "voice_settings", "generation_config", "xi_api_key"}
    for body in bodies(later):
        assert body.keys() <= {"text", "context_id", "flush", "close_context", "close_socket"}


def test_ids_are_never_used_again() -> None:
    wire = MultiWire(OPTIONS)
    seen = set()
    for _ in range(20):
        context_id, _ = wire.begin()
        wire.finish(context_id)
        wire.due()
        wire.receive(final(context_id))
        seen.add(context_id)
    assert len(seen) == 20


# -- text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_text_without_a_word_is_not_sent(text: str) -> None:
    wire, c = begun()
    assert wire.say(c, text) == []


@pytest.mark.parametrize("text", ["to the end", "to the end ", " to the end\n"])
def test_text_ends_with_one_space(text: str) -> None:
    wire, c = begun()
    assert bodies(wire.say(c, text)) == [{"text": "to the end ", "context_id": c}]


def test_a_flush_can_travel_with_its_text() -> None:
    wire, c = begun()
    assert bodies(wire.say(c, "Yes.", flush=True)) == [{"text": "Yes. ", "context_id": c, "flush": True}]
    assert wire.finish(c) == []


def test_a_flush_with_text_without_a_word_flushes_what_went_before() -> None:
    wire, c = begun()
    wire.say(c, "Yes.")
    assert bodies(wire.say(c, " ", flush=True)) == [{"context_id": c, "flush": True}]


# -- flushes -----------------------------------------------------------------------------------------------------------


def test_each_flush_is_answered_when_its_text_was_spoken() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    wire.flush(c)
    wire.say(c, "Two.")
    wire.flush(c)
    assert kinds(wire.receive(frame(c, speech("One. "), "One. "))) == [Aligned, Audio, Flushed]
    half = len(speech("Two. ")) // 2
    assert kinds(wire.receive(frame(c, bytes(half), "Two. "))) == [Aligned, Audio]
    assert kinds(wire.receive(frame(c, bytes(half)))) == [Audio, Flushed]


def test_a_flush_of_nothing_is_not_sent_and_answered_at_once() -> None:
    wire, c = begun()
    assert wire.flush(c) == []
    assert wire.told() == [(c, Flushed())]
    assert wire.told() == []


def test_a_second_flush_of_the_same_text_is_not_sent_and_answered_with_the_first() -> None:
    wire, c = begun()
    wire.say(c, "One.", flush=True)
    assert wire.flush(c) == []
    assert wire.told() == []
    assert kinds(wire.receive(frame(c, speech("One. "), "One. "))) == [Aligned, Audio, Flushed, Flushed]


def test_unanswered_flushes_are_answered_before_the_end() -> None:
    wire, c = begun(WITH_DICTIONARY)
    wire.say(c, "One.")
    wire.flush(c)
    wire.finish(c)
    assert kinds(wire.receive(frame(c, speech("One. "), "One. "))) == [Aligned, Audio]
    wire.due()
    assert kinds(wire.receive(final(c))) == [Flushed, Finished]


def test_with_dictionaries_the_timings_are_those_of_the_normalised_text() -> None:
    wire, c = begun(WITH_DICTIONARY)
    wire.say(c, "5 km")
    message = {
        "audio": "/w==",
        "contextId": c,
        "alignment": timed("5 k5 km ", 1),
        "normalizedAlignment": timed(" fi", 1),
    }
    assert wire.receive(json.dumps(message)) == [(c, Aligned("fi", (1, 2), (2, 3))), (c, Audio(b"\xff"))]


def test_the_clock_can_answer_what_the_timings_do_not() -> None:
    wire, c = begun(WITH_DICTIONARY)
    wire.say(c, "One.", flush=True)
    wire.receive(frame(c, speech("One. "), "One. "))
    wire.settle(c)
    assert wire.told() == [(c, Flushed())]
    assert wire.due() == []


# -- the end of a context ----------------------------------------------------------------------------------------------


def test_the_close_waits_for_the_audio_of_the_last_text() -> None:
    wire, c = begun()
    wire.say(c, "One.", flush=True)
    wire.receive(frame(c, speech("One. "), "One. "))
    wire.say(c, "Two.")
    wire.finish(c)
    assert wire.due() == []
    wire.receive(frame(c, b"\xff" * 8))  # a tail of the first segment
    assert wire.due() == []
    wire.receive(frame(c, b"\xff" * 8, "Two. "))
    assert bodies(wire.due()) == [{"context_id": c, "close_context": True}]


@pytest.mark.parametrize("flush", [True, False])
@pytest.mark.parametrize("options", [OPTIONS, WITH_DICTIONARY])
def test_where_timings_cannot_tell_the_close_waits_for_audio_after_the_last_flush(
    options: VoiceOptions, flush: bool
) -> None:
    wire, c = begun(options)
    wire.say(c, "One.", flush=True)
    wire.receive(frame(c, b"\xff" * 8))
    wire.say(c, "Two.", flush=flush)
    wire.finish(c)
    assert wire.due() == []
    wire.receive(frame(c, b"\xff" * 8))
    assert bodies(wire.due()) == [{"context_id": c, "close_context": True}]


def test_a_context_all_of_whose_text_was_spoken_is_closed_at_once() -> None:
    wire, c = begun()
    wire.say(c, "One.", flush=True)
    wire.receive(frame(c, speech("One. "), "One. "))
    assert wire.finish(c) == []
    assert bodies(wire.due()) == [{"context_id": c, "close_context": True}]


def test_a_context_without_text_is_closed_at_once_and_ends_well() -> None:
    wire, c = begun()
    assert wire.finish(c) == []
    assert bodies(wire.due()) == [{"context_id": c, "close_context": True}]
    assert wire.receive(final(c)) == [(c, Finished())]


def test_the_clock_can_close_a_context_whose_timings_never_add_up() -> None:
    wire, c = begun()
    wire.say(c, "One \U0001f600.")
    wire.finish(c)
    wire.receive(frame(c, speech("One . "), "One . "))
    assert wire.due() == []
    wire.settle(c)
    assert bodies(wire.due()) == [{"context_id": c, "close_context": True}]
    (warning, end) = wire.receive(final(c))
    assert isinstance(warning[1], Warned)
    assert warning[1].code == "unaligned_text"
    assert end == (c, Finished())


def test_what_the_clock_said_of_earlier_text_does_not_hurry_the_close_of_later_text() -> None:
    wire, c = begun()
    wire.say(c, "One.", flush=True)
    wire.settle(c)
    wire.say(c, "Two.")
    wire.finish(c)
    assert wire.due() == []


def test_a_final_without_audio_is_a_loss() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    wire.finish(c)
    wire.settle(c)
    wire.due()
    error = lost(wire.receive(final(c)))
    assert isinstance(error, ProviderSilent)
    assert "final without audio" in str(error)


def test_a_final_that_we_did_not_ask_for_is_a_loss() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    assert isinstance(lost(wire.receive(final(c))), ProviderUnavailable)
    with pytest.raises(LocalProtocolError):
        wire.say(c, "Two.")


def test_audio_in_the_final_message_is_given() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    wire.finish(c)
    message = {**json.loads(frame(c, speech("One. "), "One. ")), "isFinal": True}
    assert kinds(wire.receive(json.dumps(message))) == [Aligned, Audio, Finished]
    assert wire.due() == []


@pytest.mark.parametrize(
    "message",
    [
        {"isFinal": True, "contextId": "u1"},
        {"is_final": True, "context_id": "u1"},
        {"audio": None, "isFinal": True, "contextId": "u1", "alignment": None, "normalizedAlignment": None},
        {"audio": "", "isFinal": True, "context_id": "u1"},
    ],
)
def test_every_spelling_of_the_final_frees_the_place(message: dict[str, Any]) -> None:
    wire, c = begun()
    assert c == "u1"
    wire.finish(c)
    wire.due()
    assert wire.receive(json.dumps(message)) == [(c, Finished())]
    assert wire.open_contexts == 0


def test_a_final_that_never_comes_can_be_taken_as_come() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    wire.finish(c)
    with pytest.raises(LocalProtocolError, match="not closed"):
        wire.release(c)
    wire.receive(frame(c, speech("One. "), "One. "))
    wire.due()
    wire.release(c)
    assert wire.told() == [(c, Finished())]
    assert wire.open_contexts == 0
    assert wire.receive(final(c)) == []
    wire.release(c)


# -- barge-in ----------------------------------------------------------------------------------------------------------


def test_nothing_of_a_cancelled_context_is_told() -> None:
    wire, c = begun()
    wire.say(c, "One.", flush=True)
    assert bodies(wire.cancel(c)) == [{"context_id": c, "close_context": True}]
    d, _ = wire.begin()
    assert wire.receive(frame(c, speech("One. "), "One. ")) == []
    assert wire.receive(frame(d, b"\xff")) == [(d, Audio(b"\xff"))]
    assert wire.receive(final(c)) == []
    assert wire.receive(frame(c, b"\xff")) == []
    assert wire.open_contexts == 1


def test_events_that_were_not_taken_yet_are_dropped_with_their_context() -> None:
    wire, c = begun()
    wire.flush(c)
    wire.cancel(c)
    assert wire.told() == []


def test_cancelling_before_any_text_closes_too() -> None:
    wire, c = begun()
    assert bodies(wire.cancel(c)) == [{"context_id": c, "close_context": True}]


def test_cancelling_is_sent_once_whatever_went_before() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    wire.finish(c)
    wire.receive(frame(c, speech("One. "), "One. "))
    assert len(wire.due()) == 1
    assert wire.cancel(c) == []
    assert wire.cancel(c) == []
    assert wire.receive(final(c)) == []
    assert wire.cancel(c) == []
    assert wire.cancel("never begun") == []


def test_the_sixth_context_is_refused_until_a_final_comes() -> None:
    wire = MultiWire(OPTIONS)
    ids = [wire.begin()[0] for _ in range(MAX_CONTEXTS)]
    for c in ids:
        wire.cancel(c)
    assert wire.open_contexts == MAX_CONTEXTS
    with pytest.raises(LocalProtocolError, match="5 contexts"):
        wire.begin()
    wire.receive(final(ids[0]))
    wire.begin()
    with pytest.raises(LocalProtocolError):
        wire.begin()


AFTER: dict[str, Callable[[MultiWire, str], object]] = {
    "cancelled": lambda wire, c: wire.cancel(c),
    "finished": lambda wire, c: wire.finish(c),
    "final": lambda wire, c: wire.receive(final(c)),
    "socket closed": lambda wire, _: wire.close(),
    "socket lost": lambda wire, _: wire.lose(ProviderUnavailable("gone")),
    "failed": lambda wire, c: wire.receive(json.dumps({"error": "x", "contextId": c})),
}


@pytest.mark.parametrize("what", ["say", "flush", "finish"])
@pytest.mark.parametrize("after", AFTER)
def test_a_context_that_is_over_is_not_named_again(what: str, after: str) -> None:
    wire, c = begun()
    AFTER[after](wire, c)
    calls: dict[str, Callable[[], object]] = {
        "say": lambda: wire.say(c, "Late."),
        "flush": lambda: wire.flush(c),
        "finish": lambda: wire.finish(c),
    }
    with pytest.raises(LocalProtocolError, match=what):
        calls[what]()


def test_a_context_that_was_never_begun_is_not_named() -> None:
    wire = MultiWire(OPTIONS)
    with pytest.raises(LocalProtocolError):
        wire.say("x", "One.")
    with pytest.raises(LocalProtocolError):
        wire.flush("x")
    with pytest.raises(LocalProtocolError):
        wire.finish("x")
    wire.settle("x")
    wire.release("x")
    assert wire.told() == []


# -- the socket --------------------------------------------------------------------------------------------------------


def test_an_idle_socket_is_kept_alive_by_an_empty_text_of_no_context() -> None:
    assert bodies(MultiWire(OPTIONS).keep_alive()) == [{"text": ""}]


def test_contexts_that_may_still_get_text_are_kept_alive_too_and_no_others() -> None:
    wire = MultiWire(OPTIONS)
    ids = [wire.begin()[0] for _ in range(3)]
    wire.cancel(ids[0])
    wire.finish(ids[1])
    wire.due()
    assert bodies(wire.keep_alive()) == [{"text": ""}, {"text": "", "context_id": ids[2]}]


def test_no_keep_alive_takes_the_place_of_the_message_with_the_key() -> None:
    wire = MultiWire(VoiceOptions(api_key="key", api_key_in="message"))
    assert wire.keep_alive() == []
    wire.begin()
    assert bodies(wire.keep_alive()) == [{"text": ""}, {"text": "", "context_id": "u1"}]


def test_closing_lets_what_was_flushed_come_and_sends_no_more() -> None:
    wire, c = begun()
    wire.say(c, "One.")
    wire.finish(c)
    assert bodies(wire.close()) == [{"close_socket": True}]
    assert (wire.close(), wire.keep_alive(), wire.cancel("u2")) == ([], [], [])
    assert kinds(wire.receive(frame(c, speech("One. "), "One. "))) == [Aligned, Audio]
    assert wire.due() == []
    assert wire.receive(final(c)) == [(c, Finished())]
    with pytest.raises(LocalProtocolError, match="closed"):
        wire.begin()


def test_an_error_that_closes_the_socket_is_told_to_every_live_context() -> None:
    wire = MultiWire(OPTIONS)
    dead, live, other = (wire.begin()[0] for _ in range(3))
    wire.cancel(dead)
    told = wire.receive('{"message":"Invalid API key","error":"invalid_api_key","code":1008}')
    assert [name for name, _ in told] == [live, other]
    assert kinds(told) == [Lost, Lost]
    assert isinstance(lost(told[:1]), ProviderRefused)
    assert wire.open_contexts == 0
    assert (wire.keep_alive(), wire.due(), wire.close()) == ([], [], [])
    wire.lose(ProviderUnavailable("closed with 1008"))
    assert wire.told() == []
    assert wire.receive(frame(live, b"\xff")) == []


def test_an_error_of_one_context_is_told_to_it_alone() -> None:
    wire = MultiWire(OPTIONS)
    bad, good = (wire.begin()[0] for _ in range(2))
    assert isinstance(lost(wire.receive(json.dumps({"error": "x", "contextId": bad}))), ProviderUnavailable)
    assert wire.receive(frame(bad, b"\xff")) == []
    assert wire.receive(frame(good, b"\xff")) == [(good, Audio(b"\xff"))]
    assert wire.cancel(bad) == []
    assert wire.open_contexts == 2
    wire.receive(final(bad))
    assert wire.open_contexts == 1


def test_a_lost_socket_is_told_to_every_live_context() -> None:
    wire, c = begun()
    wire.lose(ProviderUnavailable("gone"))
    assert str(lost(wire.told())) == "gone"
    assert c not in [name for name, _ in wire.told()]


def test_audio_that_names_no_context_is_the_peers_mistake() -> None:
    wire, _ = begun()
    with pytest.raises(RemoteProtocolError, match="contextId"):
        wire.receive('{"audio":"/w==","isFinal":null}')


@pytest.mark.parametrize("message", ["{}", '{"isFinal":true}', '{"type":"flush_done","context_id":"u1"}'])
def test_a_message_that_tells_nothing_is_passed_over(message: str) -> None:
    wire, _ = begun()
    assert wire.receive(message) == []
    assert wire.open_contexts == 1


# -- properties --------------------------------------------------------------------------------------------------------

CALLS = ["begin", "say", "flush", "finish", "cancel", "keep_alive", "settle", "release", "audio", "final", "error"]


@given(st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 6)), max_size=40))
def test_whatever_is_called_the_service_never_sees_a_phantom_context_nor_a_sixth(calls: list[tuple[str, int]]) -> None:
    """A strict peer's view: ids open with their first message, close once, and are not named afterwards."""
    wire = MultiWire(OPTIONS)
    server_open: set[str] = set()
    over: set[str] = set()
    ended: set[str] = set()
    ids = ["never"]
    for call, pick in calls:
        c = ids[min(pick, len(ids) - 1)]
        messages: list[str] = []
        told: list[Told] = []
        try:
            if call == "begin":
                c, messages = wire.begin()
                ids.insert(0, c)
                server_open.add(c)
                assert len(server_open) <= MAX_CONTEXTS
            elif call == "audio":
                told = wire.receive(frame(c, b"\xff" * 80, "One. "))
            elif call == "final":
                server_open.discard(c)
                over.add(c)
                told = wire.receive(final(c))
            elif call == "error":
                told = wire.receive(json.dumps({"error": "x", "contextId": c}))
            elif call == "say":
                messages = wire.say(c, "One.")
            elif call == "keep_alive":
                messages = wire.keep_alive()
            elif call == "release":
                if c not in server_open:  # earlier than the service it would be the caller's risk
                    wire.release(c)
            else:
                messages = getattr(wire, call)(c) or []
        except LocalProtocolError:
            continue
        for body in bodies(messages + wire.due()):
            if name := body.get("context_id"):
                assert name in server_open
                assert name not in over
                if body.get("close_context"):
                    over.add(name)
        for name, event in told + wire.told():
            assert name not in ended
            if isinstance(event, Finished | Lost) or name not in server_open:
                ended.add(name)
        assert wire.open_contexts >= len(server_open)


@given(st.text() | st.dictionaries(st.text(max_size=9), st.none() | st.booleans() | st.text()).map(json.dumps))
def test_whatever_comes_only_our_errors_come_out(message: str) -> None:
    wire, _ = begun()
    with suppress(RemoteProtocolError):
        wire.receive(message)
