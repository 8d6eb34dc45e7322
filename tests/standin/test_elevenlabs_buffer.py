"""ElevenLabs' text buffer: how much text makes a segment."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.standin.elevenlabs_buffer import TextBuffer

CutAt = Literal["word", "threshold", "message"]


def words(n_chars: int) -> str:
    """Text of words of four characters, each with its blank."""
    return ("abcd " * n_chars)[:n_chars]


def lengths(buffer: TextBuffer, *pieces: str) -> list[list[int]]:
    return [[len(text) for text in buffer.add(piece)] for piece in pieces]


def test_text_waits_until_there_is_enough_of_it() -> None:
    buffer = TextBuffer(auto_mode=False)
    assert lengths(buffer, words(115)) == [[]]
    assert lengths(buffer, words(5)) == [[120]]


def test_each_fill_needs_what_the_schedule_says_and_the_last_figure_holds_for_ever() -> None:
    buffer = TextBuffer(auto_mode=False)
    assert lengths(buffer, *[words(10)] * 140) == [
        [n for n, at in ((120, 12), (160, 28), (250, 53), (290, 82), (290, 111), (290, 140)) if at == i + 1]
        for i in range(140)
    ]


def test_a_schedule_can_be_given_and_changed() -> None:
    buffer = TextBuffer(auto_mode=False, schedule=(50, 60))
    assert lengths(buffer, words(50), words(55)) == [[50], []]
    buffer.schedule = (500,)
    assert lengths(buffer, words(445)) == [[500]]


def test_one_long_piece_can_make_several_segments() -> None:
    buffer = TextBuffer(auto_mode=False)
    assert lengths(buffer, words(300)) == [[120, 160]]
    assert buffer.take() == [words(20)]


@pytest.mark.parametrize(("cut_at", "n_chars"), [("word", 124), ("threshold", 120), ("message", 308)])
def test_a_full_buffer_is_cut_where_the_switch_says(cut_at: CutAt, n_chars: int) -> None:
    text = "abc " + words(300) + "abcd"
    first, *_ = TextBuffer(auto_mode=False).add(text, cut_at=cut_at)
    assert first.rstrip() == text[:n_chars].rstrip()


def test_a_full_buffer_without_a_blank_behind_the_threshold_goes_as_a_whole() -> None:
    assert TextBuffer(auto_mode=False).add("a " * 50 + "b" * 40) == ["a " * 50 + "b" * 40 + " "]


def test_a_flush_takes_everything_with_its_own_text() -> None:
    buffer = TextBuffer(auto_mode=False)
    assert buffer.add("Hello ") == []
    assert buffer.add("there. ", flush=True) == ["Hello there. "]
    assert buffer.add("", flush=True) == []


def test_pieces_are_joined_as_they_are_and_one_space_is_added_at_the_end() -> None:
    buffer = TextBuffer(auto_mode=False)
    for piece in ("Hel", "lo", " world", "."):
        assert buffer.add(piece) == []
    assert buffer.take() == ["Hello world. "]


def test_a_keep_alive_is_text() -> None:
    buffer = TextBuffer(auto_mode=False)
    assert [buffer.add(piece) for piece in ("Hi", " ", " there.")] == [[], [], []]
    assert buffer.take() == ["Hi  there. "]


def test_blanks_alone_are_not_spoken_but_kept() -> None:
    buffer = TextBuffer(auto_mode=False)
    assert buffer.add(" " * 130, flush=True) == []
    assert buffer.add("a ", flush=True) == [" " * 130 + "a "]


@pytest.mark.parametrize(("n_chars", "n_segments"), [(49, 0), (50, 1)])
def test_a_trigger_needs_a_minimum(n_chars: int, n_segments: int) -> None:
    assert len(TextBuffer(auto_mode=False).add(words(n_chars), try_trigger_from=50)) == n_segments


def test_in_auto_mode_every_piece_is_a_segment_of_its_own() -> None:
    buffer = TextBuffer(auto_mode=True)
    pieces = ("Hel", "lo", " ", " world", "." * 300)
    assert [buffer.add(piece) for piece in pieces] == [["Hel "], ["lo "], [], ["  world "], ["." * 300 + " "]]


def test_cleared_text_is_gone() -> None:
    buffer = TextBuffer(auto_mode=False)
    buffer.add("gone ")
    buffer.clear()
    assert buffer.add("kept ", flush=True) == ["kept "]


@given(
    st.lists(st.tuples(st.text("ab \n", max_size=80), st.booleans(), st.booleans()), max_size=12),
    st.sampled_from(("word", "threshold", "message")),
    st.lists(st.integers(50, 500), min_size=1, max_size=3),
    st.booleans(),
)
def test_no_character_is_lost_doubled_or_moved(
    pieces: list[tuple[str, bool, bool]], cut_at: CutAt, schedule: list[int], auto_mode: bool
) -> None:
    buffer = TextBuffer(auto_mode=auto_mode, schedule=schedule)
    segments = []
    for text, flush, trigger in pieces:
        segments += buffer.add(text, flush=flush, try_trigger_from=50 if trigger else None, cut_at=cut_at)
    segments += buffer.take()
    assert all(segment.strip() and segment[-1].isspace() for segment in segments)
    assert "".join("".join(segments).split()) == "".join("".join(text for text, _, _ in pieces).split())
