"""What a speak socket's messages mean, by the order in which they come."""

from __future__ import annotations

import json
from collections import deque
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.audio.formats import AudioFormat
from lineside.errors import LocalProtocolError, ProviderSilent, ProviderUnavailable, RemoteProtocolError
from lineside.events import Audio, Flushed, Lost, SpeechEvent, Warned
from lineside.wire.deepgram_speak import (
    CHARS_PER_MINUTE,
    FLUSHES_PER_MINUTE,
    MAX_SPEAK_CHARS,
    Cleared,
    Opened,
    SpeakWire,
    speak_url,
)

MULAW = AudioFormat("mulaw", 8000)
FLUSHED = '{"type":"Flushed","sequence_id":0}'
CLEARED = '{"type":"Cleared","sequence_id":1}'
EXCESSIVE = '{"type":"Warning","warn_code":"EXCESSIVE_FLUSH","warn_msg":"Rate limit exceeded for flushes."}'
EXCESSIVE_AS_PUBLISHED = '{"type":"Warning","code":"EXCESSIVE_FLUSH","description":"Rate limit exceeded."}'


def flushed_wire(*texts: str) -> SpeakWire:
    """A wire on which each text was said and flushed."""
    wire = SpeakWire()
    for text in texts:
        wire.speak(text)
        wire.flush()
    return wire


def lost(event: object) -> Exception:
    assert isinstance(event, Lost)
    return event.error


# -- the address ---------------------------------------------------------------------------------------------------


def test_voice_and_format_are_in_the_address() -> None:
    url = urlsplit(speak_url("wss://api.deepgram.com", "aura-2-thalia-en", MULAW))
    assert (url.scheme, url.netloc, url.path) == ("wss", "api.deepgram.com", "/v1/speak")
    assert parse_qs(url.query) == {"model": ["aura-2-thalia-en"], "encoding": ["mulaw"], "sample_rate": ["8000"]}


def test_linear_audio_is_asked_for_at_its_rate() -> None:
    query = parse_qs(urlsplit(speak_url("wss://x", "m", AudioFormat("linear16", 24000))).query)
    assert (query["encoding"], query["sample_rate"]) == (["linear16"], ["24000"])


@pytest.mark.parametrize("base", ["ws://127.0.0.1:8080", "ws://127.0.0.1:8080/"])
def test_a_slash_behind_the_host_makes_no_second_one(base: str) -> None:
    assert speak_url(base, "m", MULAW).startswith("ws://127.0.0.1:8080/v1/speak?")


def test_further_parameters_are_added_and_empty_ones_left_out() -> None:
    url = speak_url("wss://x", "m", MULAW, ("a b&c=d", "é"), speed="", mip_opt_out="true")
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert query["tag"] == ["a b&c=d", "é"]
    assert query["mip_opt_out"] == ["true"]
    assert "speed" not in query


def test_no_container_is_asked_for_and_none_of_the_limits_is_forgotten() -> None:
    assert "container" not in speak_url("wss://x", "m", MULAW)
    assert (MAX_SPEAK_CHARS, FLUSHES_PER_MINUTE, CHARS_PER_MINUTE) == (2000, 20, 2400)


# -- to the service ------------------------------------------------------------------------------------------------


def test_the_client_messages_are_those_of_the_protocol_and_no_more() -> None:
    wire = SpeakWire()
    assert json.loads(wire.speak("Hello. ")) == {"type": "Speak", "text": "Hello. "}
    assert json.loads(wire.flush()) == {"type": "Flush"}
    assert json.loads(wire.clear()) == {"type": "Clear"}
    assert json.loads(wire.close()) == {"type": "Close"}


@pytest.mark.parametrize("text", ["x", "x" * 2000, "é" * 2000, "👍" * 2000, " "])
def test_up_to_2000_characters_may_be_spoken(text: str) -> None:
    assert json.loads(SpeakWire().speak(text))["text"] == text


@pytest.mark.parametrize("text", ["", "x" * 2001, "👍" * 2001, "x" * 10_000])
def test_an_empty_text_or_one_over_2000_characters_is_our_mistake(text: str) -> None:
    wire = SpeakWire()
    with pytest.raises(LocalProtocolError):
        wire.speak(text)
    wire.flush()
    assert wire.receive(FLUSHED) == Flushed()  # nothing was taken as said


@given(st.text(min_size=1, max_size=50))
@settings(deadline=None)
def test_any_text_arrives_as_it_is(text: str) -> None:
    assert json.loads(SpeakWire().speak(text)) == {"type": "Speak", "text": text}


@pytest.mark.parametrize(
    ("text", "sent"),
    [("a\ud83d", "a\ufffd"), ("\udc4d b", "\ufffd b"), ("\ud83d\udc4d", "👍"), ("\udc4d\ud83d", "\ufffd\ufffd")],
)
def test_halves_of_surrogate_pairs_are_joined_or_replaced(text: str, sent: str) -> None:
    assert json.loads(SpeakWire().speak(text))["text"] == sent


def test_each_flush_is_unanswered_until_it_is_answered() -> None:
    wire = flushed_wire("a", "b")
    assert wire.unanswered == 2
    wire.receive(b"audio")
    assert wire.unanswered == 2
    wire.receive(FLUSHED)
    assert wire.unanswered == 1
    wire.receive(b"audio")
    wire.receive(FLUSHED)
    assert wire.unanswered == 0


# -- from the service ----------------------------------------------------------------------------------------------


def test_binary_frames_are_audio_as_it_is() -> None:
    wire = flushed_wire("a")
    assert wire.receive(b"\x00\xff\x01") == Audio(b"\x00\xff\x01")


def test_an_empty_frame_changes_nothing() -> None:
    wire = flushed_wire("a")
    assert wire.receive(b"") is None
    assert isinstance(lost(wire.receive(FLUSHED)), ProviderSilent)


def test_flushes_are_answered_first_come_first_served() -> None:
    wire = flushed_wire("a", "b", "c")
    seen = [wire.receive(message) for message in (b"1", FLUSHED, b"2", b"3", FLUSHED, b"4", FLUSHED)]
    assert seen == [Audio(b"1"), Flushed(), Audio(b"2"), Audio(b"3"), Flushed(), Audio(b"4"), Flushed()]


@pytest.mark.parametrize("answer", ['{"type":"Flushed"}', '{"sequence_id":77,"type":"Flushed","more":[1]}', FLUSHED])
def test_the_sequence_id_means_nothing(answer: str) -> None:
    wire = flushed_wire("a")
    wire.receive(b"1")
    assert wire.receive(answer) == Flushed()


def test_an_answer_nobody_waits_for_changes_nothing() -> None:
    wire = SpeakWire()
    assert wire.receive(FLUSHED) is None
    wire.speak("a")
    wire.flush()
    assert wire.receive(b"1") == Audio(b"1")
    assert wire.receive(FLUSHED) == Flushed()
    assert wire.receive(FLUSHED) is None


def test_words_without_any_audio_are_a_loss() -> None:
    wire = flushed_wire("Hello.", "Bye.")
    error = lost(wire.receive(FLUSHED))
    assert isinstance(error, ProviderSilent)
    assert isinstance(error, ProviderUnavailable)


def test_words_without_audio_behind_some_that_had_audio_are_a_loss() -> None:
    wire = flushed_wire("Hello.", "Bye.")
    wire.receive(b"1")
    assert wire.receive(FLUSHED) == Flushed()
    assert isinstance(lost(wire.receive(FLUSHED)), ProviderSilent)


@pytest.mark.parametrize("text", [" ", "...", "?!", "—", "👍", "\n"])
def test_text_without_a_word_needs_no_audio(text: str) -> None:
    wire = flushed_wire(text)
    assert wire.receive(FLUSHED) == Flushed()


@pytest.mark.parametrize("text", ["a", "5", "é", "你好", "… ok"])
def test_a_letter_or_digit_of_any_script_needs_audio(text: str) -> None:
    assert isinstance(lost(flushed_wire(text).receive(FLUSHED)), ProviderSilent)


def test_a_flush_of_nothing_needs_no_audio() -> None:
    wire = SpeakWire()
    wire.flush()
    assert wire.receive(FLUSHED) == Flushed()


def test_one_word_among_several_texts_of_a_flush_needs_audio() -> None:
    wire = SpeakWire()
    for text in ("...", "word", "!"):
        wire.speak(text)
    wire.flush()
    assert isinstance(lost(wire.receive(FLUSHED)), ProviderSilent)


def test_audio_before_the_flush_counts_for_it() -> None:
    """A service might begin long texts early; the documents leave room for that."""
    wire = SpeakWire()
    wire.speak("Hello.")
    assert wire.receive(b"1") == Audio(b"1")
    wire.flush()
    assert wire.receive(FLUSHED) == Flushed()


def test_metadata_says_that_the_socket_is_open() -> None:
    message = '{"type":"Metadata","request_id":"5d6c","model_name":"aura-2-thalia-en","additional_model_uuids":[]}'
    assert SpeakWire().receive(message) == Opened("5d6c")
    assert SpeakWire().receive('{"type":"Metadata"}') == Opened("")


@pytest.mark.parametrize("kind", ["SpeechStarted", "flushed", "", "Configured"])
def test_a_type_we_do_not_know_changes_nothing(kind: str) -> None:
    wire = flushed_wire("a")
    assert wire.receive(json.dumps({"type": kind})) is None
    assert wire.unanswered == 1


@pytest.mark.parametrize("kind", [None, 7, ["Flushed"], {"type": "Flushed"}, True])
def test_a_type_that_is_no_text_changes_nothing(kind: object) -> None:
    wire = flushed_wire("a")
    assert wire.receive(json.dumps({"type": kind})) is None
    assert wire.unanswered == 1


@pytest.mark.parametrize(
    "message", ["", "{", "hello", "[]", "1", "null", '"Flushed"', "{}", '{"typ":"Flushed"}', '["type"]', "NaN", "\x00"]
)
def test_text_that_is_no_object_with_a_type_is_their_mistake(message: str) -> None:
    wire = flushed_wire("a")
    with pytest.raises(RemoteProtocolError):
        wire.receive(message)
    assert wire.unanswered == 1


def test_a_broken_message_is_quoted_in_part() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SpeakWire().receive("x" * 5000)
    assert len(str(caught.value)) < 200


# -- warnings and errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "warned"),
    [
        ('{"type":"Warning","warn_code":"X","warn_msg":"y"}', Warned("X", "y")),
        ('{"type":"Warning","code":"X","description":"y"}', Warned("X", "y")),
        ('{"type":"Warning","warn_code":"W","code":"C","warn_msg":"m","description":"d"}', Warned("W", "m")),
        ('{"type":"Warning"}', Warned("", "")),
        ('{"type":"Warning","warn_code":null,"warn_msg":7}', Warned("", "7")),
    ],
)
def test_a_warning_is_read_in_both_spellings(message: str, warned: Warned) -> None:
    assert flushed_wire("a").receive(message) == warned


@pytest.mark.parametrize("refusal", [EXCESSIVE, EXCESSIVE_AS_PUBLISHED])
def test_a_refused_flush_is_a_loss(refusal: str) -> None:
    error = lost(flushed_wire("a").receive(refusal))
    assert isinstance(error, ProviderUnavailable)
    assert "EXCESSIVE_FLUSH" in str(error)


def test_a_refusal_nobody_waits_for_is_a_warning() -> None:
    assert isinstance(SpeakWire().receive(EXCESSIVE), Warned)


def test_a_refusal_of_what_was_cleared_is_a_warning() -> None:
    wire = flushed_wire("a")
    wire.clear()
    wire.speak("b")
    wire.flush()
    assert isinstance(wire.receive(EXCESSIVE), Warned)
    assert wire.unanswered == 1


@pytest.mark.parametrize("fields", [{"err_msg": "no"}, {"description": "no"}, {"message": "no"}])
def test_an_error_is_a_loss_with_its_text(fields: dict[str, str]) -> None:
    error = lost(SpeakWire().receive(json.dumps({"type": "Error", **fields})))
    assert isinstance(error, ProviderUnavailable)
    assert "no" in str(error)


# -- clear ---------------------------------------------------------------------------------------------------------


def test_audio_on_the_way_when_we_cleared_is_dropped() -> None:
    wire = flushed_wire("old")
    wire.receive(b"1")
    wire.clear()
    assert (wire.clears, wire.clears_confirmed) == (1, 0)
    assert [wire.receive(frame) for frame in (b"2", b"3")] == [None, None]
    assert wire.receive(CLEARED) == Cleared()
    assert not wire.clearing
    wire.speak("new")
    wire.flush()
    assert wire.receive(b"4") == Audio(b"4")
    assert wire.receive(FLUSHED) == Flushed()


def test_the_next_text_may_be_said_before_the_clear_is_confirmed() -> None:
    wire = flushed_wire("old")
    wire.clear()
    wire.speak("new")
    wire.flush()
    assert wire.unanswered == 1
    assert [wire.receive(message) for message in (b"old", CLEARED, b"new", FLUSHED)] == [
        None,
        Cleared(),
        Audio(b"new"),
        Flushed(),
    ]


@pytest.mark.parametrize("late", ["between", "after", "never"])
@pytest.mark.parametrize("n_old", [1, 2, 3])
def test_an_answer_overtaken_by_a_clear_is_never_that_of_a_later_flush(late: str, n_old: int) -> None:
    wire = flushed_wire(*["old"] * n_old)
    wire.clear()
    answers = [FLUSHED] * n_old
    messages = [*(answers if late == "between" else []), CLEARED, *(answers if late == "after" else [])]
    wire.speak("new")
    wire.flush()
    assert [wire.receive(message) for message in messages] == [
        Cleared() if message == CLEARED else None for message in messages
    ]
    assert wire.unanswered == 1
    assert wire.receive(b"new") == Audio(b"new")
    assert wire.receive(FLUSHED) == Flushed()
    assert wire.receive(FLUSHED) is None


@pytest.mark.parametrize("answer", [FLUSHED, EXCESSIVE])
def test_an_answer_before_the_clear_was_confirmed_is_not_expected_again(answer: str) -> None:
    wire = flushed_wire("old")
    wire.clear()
    wire.receive(answer)
    wire.receive(CLEARED)
    wire.speak("...")
    wire.flush()
    assert wire.receive(FLUSHED) == Flushed()


def test_silence_of_the_next_flush_is_left_to_the_deadline_while_an_old_answer_may_come() -> None:
    """Neither side can tell whose answer this is."""
    wire = flushed_wire("old")
    wire.clear()
    wire.receive(CLEARED)
    wire.speak("new")
    wire.flush()
    assert wire.receive(FLUSHED) is None
    assert wire.unanswered == 1
    assert isinstance(lost(wire.receive(FLUSHED)), ProviderSilent)


def test_answers_owed_by_an_old_clear_are_forgotten_with_the_first_answer_in_order() -> None:
    wire = flushed_wire("old", "old")
    wire.clear()
    wire.receive(CLEARED)
    wire.speak("new")
    wire.flush()
    wire.receive(b"new")
    assert wire.receive(FLUSHED) == Flushed()
    wire.speak("...")
    wire.flush()
    assert wire.receive(FLUSHED) == Flushed()


def test_two_clears_need_two_confirmations() -> None:
    wire = flushed_wire("one")
    wire.clear()
    wire.speak("two")
    wire.flush()
    wire.clear()
    wire.speak("three")
    wire.flush()
    assert (wire.clears, wire.clears_confirmed) == (2, 0)
    assert wire.receive(CLEARED) == Cleared()
    assert (wire.clears, wire.clears_confirmed) == (2, 1)
    assert wire.receive(b"two") is None
    assert wire.receive(FLUSHED) is None
    assert wire.receive(CLEARED) == Cleared()
    assert not wire.clearing
    assert wire.receive(b"three") == Audio(b"three")
    assert wire.receive(FLUSHED) == Flushed()


def test_a_confirmation_too_many_is_not_one_of_the_next_clear() -> None:
    wire = flushed_wire("one")
    wire.clear()
    wire.receive(CLEARED)
    wire.receive(CLEARED)
    assert wire.clears_confirmed == 1
    wire.clear()
    assert wire.clearing
    assert wire.receive(b"stale") is None


def test_a_confirmation_nobody_asked_for_changes_nothing() -> None:
    wire = flushed_wire("one")
    assert wire.receive(CLEARED) == Cleared()
    assert wire.clears_confirmed == 0
    assert wire.receive(b"1") == Audio(b"1")


def test_words_said_before_a_clear_need_no_audio_after_it() -> None:
    wire = SpeakWire()
    wire.speak("Hello")
    wire.clear()
    wire.receive(CLEARED)
    wire.flush()
    assert wire.receive(FLUSHED) == Flushed()


def test_audio_heard_before_a_clear_does_not_count_for_a_flush_after_it() -> None:
    wire = flushed_wire("old")
    wire.receive(b"1")
    wire.clear()
    wire.receive(FLUSHED)
    wire.receive(CLEARED)
    wire.speak("new")
    wire.flush()
    assert isinstance(lost(wire.receive(FLUSHED)), ProviderSilent)


# -- against a service ---------------------------------------------------------------------------------------------


class Service:
    """The service's side, as documented; the answers to what a clear dropped come before it, after it, or never."""

    def __init__(self, overtaken: str) -> None:
        self._overtaken = overtaken
        self._text = ""
        self.out: deque[str | bytes] = deque()  # on the way to us

    def take(self, message: str) -> None:
        body = json.loads(message)
        match body["type"]:
            case "Speak":
                self._text += body["text"]
            case "Flush":
                self.out += [bytes([ord(char)]) for char in self._text if char.isalnum()]
                self.out.append(FLUSHED)
                self._text = ""
            case "Clear":
                self._text = ""

    def clear(self, sent: int) -> None:
        """All that was not sent yet is dropped, behind what is on the way already."""
        waiting = list(self.out)
        answers = waiting[sent:].count(FLUSHED)
        self.out = deque([*waiting[:sent], *(message for message in waiting[sent:] if message == CLEARED)])
        self.out += [FLUSHED] * answers if self._overtaken == "before" else []
        self.out.append(CLEARED)
        self.out += [FLUSHED] * answers if self._overtaken == "after" else []


@given(
    steps=st.lists(st.one_of(st.sampled_from(["say", "flush", "clear"]), st.integers(1, 5)), max_size=60),
    overtaken=st.sampled_from(["before", "after", "never"]),
    sent=st.integers(0, 6),
)
@settings(deadline=None, max_examples=300)
def test_no_audio_of_what_was_cleared_is_ever_given_and_none_after_it_lost(
    steps: list[str | int], overtaken: str, sent: int
) -> None:
    """Every turn speaks a letter of its own."""
    wire, service = SpeakWire(), Service(overtaken)
    turn, said, flushed, wanted, expected = 0, 0, 0, "", 0
    heard: list[SpeechEvent | Opened | Cleared | None] = []

    def letter() -> str:
        return chr(ord("a") + turn % 26)

    def hear(n: int) -> None:
        heard.extend(wire.receive(service.out.popleft()) for _ in range(min(n, len(service.out))))

    for step in [*steps, "say", "flush", 1000]:
        match step:
            case "say":
                service.take(wire.speak(letter() * 2 + " "))
                said += 2
            case "flush" if said > flushed:
                service.take(wire.flush())
                wanted += letter() * (said - flushed)
                flushed = said
                expected += 1
            case "clear":
                service.clear(sent)
                service.take(wire.clear())
                heard.clear()
                turn, said, flushed, wanted, expected = turn + 1, 0, 0, "", 0
            case int(n):
                hear(n)
    assert not wire.clearing
    assert b"".join(event.data for event in heard if isinstance(event, Audio)).decode() == wanted
    assert heard.count(Flushed()) == expected
    assert not any(isinstance(event, Lost) for event in heard)
    assert wire.unanswered == 0
