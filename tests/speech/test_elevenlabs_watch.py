"""What ElevenLabs owes an utterance, and what its silence means."""

from __future__ import annotations

from lineside.events import Aligned, Audio, Flushed
from lineside.speech.elevenlabs_watch import RELEASE, SETTLE, Verdict, Watch

SILENCE = 4.0


def watch(*, comparable: bool = True) -> Watch:
    """One flush of two words, at 100 s."""
    watch = Watch(SILENCE, comparable=comparable)
    watch.said("Hello there. ")
    watch.flushed(100.0)
    return watch


def timings(text: str) -> Aligned:
    return Aligned(text, tuple(range(len(text))), tuple(range(1, len(text) + 1)))


def test_nothing_is_expected_of_text_that_was_not_flushed() -> None:
    watch = Watch(SILENCE, comparable=True)
    watch.said("Hello there. ")
    assert watch.deadline() is None


def test_without_any_audio_silence_is_a_loss() -> None:
    assert watch().deadline() == (100 + SILENCE, Verdict.LOST)


def test_with_all_text_timed_silence_settles() -> None:
    watched = watch()
    watched.told(timings("Hello there. "), 101.0)
    watched.told(Audio(b"x"), 101.5)
    assert watched.deadline() == (101.5 + SETTLE, Verdict.SETTLE)


def test_with_text_that_was_not_timed_silence_is_a_loss() -> None:
    watched = watch()
    watched.told(timings("Hello "), 101.0)
    watched.told(Audio(b"x"), 101.0)
    assert watched.deadline() == (101 + SILENCE, Verdict.LOST)


def test_where_timings_cannot_tell_silence_after_audio_settles() -> None:
    without, other_text = watch(), watch(comparable=False)
    without.told(Audio(b"x"), 101.0)
    other_text.told(timings("Hel"), 101.0)
    other_text.told(Audio(b"x"), 101.0)
    assert without.deadline() == other_text.deadline() == (101 + SETTLE, Verdict.SETTLE)


def test_an_answered_flush_ends_the_wait_and_a_later_flush_begins_another() -> None:
    watched = watch()
    watched.told(timings("Hello there. "), 101.0)
    watched.told(Audio(b"x"), 101.0)
    watched.told(Flushed(), 101.0)
    assert watched.deadline() is None
    watched.said("How are you? ")
    watched.flushed(107.0)
    assert watched.deadline() == (107 + SILENCE, Verdict.LOST)


def test_a_flush_does_not_excuse_the_silence_before_it() -> None:
    watched = watch()
    watched.said("How are you? ")
    watched.flushed(103.0)
    assert watched.deadline() == (100 + SILENCE, Verdict.LOST)


def test_the_time_before_the_socket_is_open_is_no_silence() -> None:
    watched = watch()
    watched.alive(103.9)
    assert watched.deadline() == (103.9 + SILENCE, Verdict.LOST)


def test_an_end_that_is_not_told_is_released_when_timings_told_that_all_was_spoken() -> None:
    watched = Watch(SILENCE, comparable=True)
    watched.said("Hello. ")
    watched.finishing()
    watched.flushed(100.0)
    for event in (timings("Hello. "), Audio(b"x"), Flushed()):
        watched.told(event, 101.0)
    assert watched.deadline() == (101 + SETTLE, Verdict.SETTLE)
    watched.settled()
    assert watched.deadline() == (101 + RELEASE, Verdict.RELEASE)


def test_an_end_that_is_not_told_is_a_loss_when_silence_alone_said_that_all_was_spoken() -> None:
    watched = Watch(SILENCE, comparable=True)
    watched.said("Hello there. ")
    watched.finishing()
    watched.flushed(100.0)
    watched.told(timings("Hello "), 101.0)
    watched.told(Audio(b"x"), 101.0)
    assert watched.deadline() == (101 + SETTLE, Verdict.SETTLE)  # the end will tell the truth
    watched.settled()
    watched.told(Flushed(), 102.0)
    assert watched.deadline() == (101 + SILENCE, Verdict.LOST)


def test_an_end_does_not_settle_a_flush_before_it_whose_text_was_not_timed() -> None:
    watched = watch()
    watched.said("How are you? ")
    watched.finishing()
    watched.flushed(100.5)
    watched.told(timings("Hello "), 101.0)
    watched.told(Audio(b"x"), 101.0)
    assert watched.deadline() == (101 + SILENCE, Verdict.LOST)
