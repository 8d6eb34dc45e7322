"""Timings of generated segments, placed in the time of an utterance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import RemoteProtocolError
from lineside.events import Aligned
from lineside.wire.alignment import SLACK_MS, Alignment, AlignmentClock, read

ULAW = 8000  # bytes a second


def timed(text: str, each_ms: int = 10) -> Alignment:
    """A segment in which every character takes the same time."""
    starts = tuple(range(0, len(text) * each_ms, each_ms))
    return Alignment(tuple(text), starts, (each_ms,) * len(text))


# -- decoding ----------------------------------------------------------------------------------------------------------

RECORDED = {
    "chars": ["H", "i", ".", " "],
    "charStartTimesMs": [0, 110, 300, 420],
    "charDurationsMs": [110, 190, 120, 130],
}
DECODED = Alignment(("H", "i", ".", " "), (0, 110, 300, 420), (110, 190, 120, 130))


def test_the_recorded_shape_is_read() -> None:
    assert read(RECORDED) == DECODED


@pytest.mark.parametrize(
    ("starts", "durations"),
    [
        ("charStartTimesMs", "charDurationsMs"),
        ("charStartTimesMs", "charsDurationsMs"),
        ("char_start_times_ms", "char_durations_ms"),
        ("char_start_times_ms", "chars_durations_ms"),
    ],
)
def test_every_spelling_of_the_times_is_read(starts: str, durations: str) -> None:
    body = {"chars": ["H", "i"], starts: [0, 110], durations: [110, 190]}
    assert read(body) == Alignment(("H", "i"), (0, 110), (110, 190))


def test_a_spelling_that_is_null_beside_one_that_is_not_is_passed_over() -> None:
    assert read({**RECORDED, "charDurationsMs": None, "charsDurationsMs": [110, 190, 120, 130]}) == DECODED


@pytest.mark.parametrize(
    "body", [None, {}, {"chars": None}, {"chars": [], "charStartTimesMs": [], "charDurationsMs": []}]
)
def test_an_absent_or_empty_alignment_is_none(body: object) -> None:
    assert read(body) is None


def test_fractions_of_a_millisecond_are_rounded() -> None:
    assert read({"chars": ["a"], "charStartTimesMs": [0.6], "charDurationsMs": [12.4]}) == Alignment(
        ("a",), (1,), (12,)
    )


@pytest.mark.parametrize(
    "body",
    [
        "Hi",
        ["H"],
        7,
        {"chars": "Hi", "charStartTimesMs": [0, 1], "charDurationsMs": [1, 1]},
        {"chars": ["H", "i"], "charStartTimesMs": [0], "charDurationsMs": [1, 1]},
        {"chars": ["H", "i"], "charStartTimesMs": [0, 1]},
        {"chars": ["H", 3], "charStartTimesMs": [0, 1], "charDurationsMs": [1, 1]},
        {"chars": ["H"], "charStartTimesMs": ["0"], "charDurationsMs": [1]},
        {"chars": ["H"], "charStartTimesMs": [True], "charDurationsMs": [1]},
        {"chars": ["H"], "charStartTimesMs": [None], "charDurationsMs": [1]},
    ],
)
def test_a_broken_alignment_is_the_peers_mistake(body: object) -> None:
    with pytest.raises(RemoteProtocolError, match="alignment"):
        read(body)


def test_an_item_of_several_characters_shares_its_time_out() -> None:
    assert list(Alignment(("ni", "", "hao"), (0, 100, 100), (100, 0, 90)).characters()) == [
        ("n", 0, 50),
        ("i", 50, 100),
        ("h", 100, 130),
        ("a", 130, 160),
        ("o", 160, 190),
    ]


# -- placing -----------------------------------------------------------------------------------------------------------


def test_the_first_segment_begins_with_the_utterance() -> None:
    clock = AlignmentClock(ULAW)
    assert clock.frame(4400, DECODED, None) == Aligned("Hi. ", (0, 110, 300, 420), (110, 300, 420, 550))


def test_a_later_segment_begins_where_the_audio_decoded_before_it_ends() -> None:
    clock = AlignmentClock(ULAW)
    clock.frame(4000, timed("Yes. "), None)  # 500 ms of audio, though the timings end at 50 ms
    clock.frame(800, None, None)
    assert clock.frame(400, timed("No. "), None) == Aligned("No. ", (600, 610, 620, 630), (610, 620, 630, 640))


@pytest.mark.parametrize(("bytes_per_s", "n_bytes"), [(8000, 800), (16000, 1600), (44100, 4410), (96000, 9600)])
def test_the_clock_goes_by_the_format_of_the_audio(bytes_per_s: int, n_bytes: int) -> None:
    clock = AlignmentClock(bytes_per_s)
    clock.frame(n_bytes, timed("A"), None)
    assert clock.audio_ms == 100
    assert clock.frame(n_bytes, timed("b"), None) == Aligned("b", (100,), (110,))


def test_a_frame_without_timings_tells_no_characters() -> None:
    clock = AlignmentClock(ULAW)
    assert clock.frame(800, None, None) is None
    assert clock.audio_ms == 100


def test_timings_that_overlap_the_next_segment_do_not_go_back() -> None:
    clock = AlignmentClock(ULAW)
    clock.frame(800, timed("abc", 40), None)  # the timings end at 120 ms, the audio at 100 ms
    assert clock.frame(800, timed("de", 40), None) == Aligned("de", (100, 140), (140, 180))


def test_timings_that_restart_with_every_frame_are_placed_by_the_audio() -> None:
    clock = AlignmentClock(ULAW)
    clock.frame(800, timed("t", 100), None)
    assert clock.frame(800, timed("al", 50), None) == Aligned("al", (100, 150), (150, 200))


def test_timings_that_go_on_through_a_segment_are_not_counted_twice() -> None:
    clock = AlignmentClock(ULAW)
    clock.frame(800, timed("t", 100), None)
    assert clock.frame(800, Alignment(("a", "l"), (100, 150), (50, 50)), None) == Aligned("al", (100, 150), (150, 200))
    assert clock.frame(800, Alignment(("k",), (200,), (100,)), None) == Aligned("k", (200,), (300,))
    assert clock.frame(800, timed("s"), None) == Aligned("s", (300,), (310,))


def test_the_leading_space_of_the_normalised_text_is_left_out() -> None:
    clock = AlignmentClock(ULAW, normalized=True)
    normalized = Alignment((" ", "H", "i"), (0, 20, 110), (20, 90, 190))
    assert clock.frame(2400, timed("Hi"), normalized) == Aligned("Hi", (20, 110), (110, 300))


def test_a_keep_alive_space_that_doubles_another_is_left_out() -> None:
    clock = AlignmentClock(ULAW)
    aligned = clock.frame(800, Alignment(tuple("Hi  there. "), tuple(range(11)), (1,) * 11), None)
    assert aligned is not None
    assert aligned.text == "Hi there. "
    assert aligned.starts_ms == (0, 1, 2, 4, 5, 6, 7, 8, 9, 10)


def test_the_spaces_between_segments_are_one() -> None:
    clock = AlignmentClock(ULAW)
    texts = [clock.frame(800, timed(text), None) for text in (" One. ", " ", " Two. ", "Three.")]
    assert [aligned.text if aligned else None for aligned in texts] == ["One. ", None, "Two. ", "Three."]


def test_the_raw_text_is_read_unless_told_otherwise() -> None:
    raw, normalized = timed("5 km"), timed("five kilometres")
    for clock, text in [(AlignmentClock(ULAW), "5 km"), (AlignmentClock(ULAW, normalized=True), "five kilometres")]:
        aligned = clock.frame(800, raw, normalized)
        assert aligned is not None
        assert aligned.text == text


def test_the_other_timings_are_better_than_none() -> None:
    clock = AlignmentClock(ULAW)
    aligned = clock.frame(800, None, timed(" five"))
    assert aligned is not None
    assert aligned.text == "five"
    assert not clock.counts


# -- flushes -----------------------------------------------------------------------------------------------------------


def test_a_flush_is_answered_when_timings_and_audio_reach_its_end() -> None:
    clock = AlignmentClock(ULAW)
    clock.said("Hi. ")
    clock.flush()
    assert clock.answered() == 0
    clock.frame(4400, DECODED, None)  # 550 ms
    assert clock.answered() == 1
    assert clock.answered() == 0
    assert clock.covered


def test_a_flush_waits_for_the_silence_after_its_last_word() -> None:
    clock = AlignmentClock(ULAW)
    clock.said("Hi. ")
    clock.flush()
    clock.frame((550 - SLACK_MS - 1) * 8, DECODED, None)  # the full stop ends at 420 ms, the space at 550 ms
    assert clock.answered() == 0
    clock.frame(8, None, None)
    assert clock.answered() == 1


def test_a_space_before_the_next_segment_does_not_hold_up_the_last_one() -> None:
    clock = AlignmentClock(ULAW)
    clock.said("One. ")
    clock.flush()
    clock.said("Two. ")
    clock.frame(36 * 8, timed("One."), None)  # 4 ms short of its timings
    assert clock.answered() == 0
    clock.frame((4 - SLACK_MS) * 8, timed("  Two."), None)
    assert clock.answered() == 1


def test_a_flush_waits_for_all_of_its_text() -> None:
    clock = AlignmentClock(ULAW)
    clock.said("One. Two. ")
    clock.flush()
    clock.frame(8000, timed("One. "), None)
    assert (clock.answered(), clock.missing, clock.covered) == (0, 4, False)
    clock.frame(8000, timed("Two. "), None)
    assert (clock.answered(), clock.missing, clock.covered) == (1, 0, True)


def test_text_is_unflushed_until_a_flush_follows_it() -> None:
    clock = AlignmentClock(ULAW)
    seen = [clock.unflushed]
    for text in ("One. ", "", "", "Two. ", ""):
        if text:
            clock.said(text)
        else:
            clock.flush()
        seen.append(clock.unflushed)
    assert seen == [False, True, False, False, True, False]


def test_flushes_are_answered_one_by_one() -> None:
    clock = AlignmentClock(ULAW)
    for text in ("One. ", "Two. "):
        clock.said(text)
        clock.flush()
    clock.frame(8000, timed("One. "), None)
    assert clock.answered() == 1
    clock.frame(8000, timed("Two. "), None)
    assert clock.answered() == 1


def test_a_flush_of_nothing_new_is_answered_with_what_went_before() -> None:
    clock = AlignmentClock(ULAW)
    clock.flush()
    assert clock.answered() == 1
    clock.said("One. ")
    clock.flush()
    clock.flush()
    assert clock.answered() == 0
    clock.frame(8000, timed("One. "), None)
    assert clock.answered() == 2


def test_a_flush_after_its_text_was_spoken_is_answered_at_once() -> None:
    clock = AlignmentClock(ULAW)
    clock.said("One. ")
    clock.frame(8000, timed("One. "), None)
    clock.flush()
    assert clock.answered() == 1


@pytest.mark.parametrize("silent_first", [True, False])
def test_without_timings_of_the_sent_text_no_flush_is_known_to_be_answered(silent_first: bool) -> None:
    clock = AlignmentClock(ULAW, normalized=not silent_first)
    clock.said("One. ")
    clock.flush()
    if silent_first:
        clock.frame(800, None, None)
    clock.frame(8000, timed("One. "), timed("One. "))
    assert not clock.counts
    assert (clock.answered(), clock.missing, clock.covered) == (0, 0, False)
    assert clock.settle() == 1
    assert clock.settle() == 0


# -- properties --------------------------------------------------------------------------------------------------------

texts = st.text(alphabet="abc .é漢", max_size=12)
times = st.integers(-50, 500)


@st.composite
def alignments(draw: st.DrawFn) -> Alignment:
    chars = draw(st.lists(st.text(alphabet="ab .漢", max_size=3), min_size=1, max_size=8))
    starts = draw(st.lists(times, min_size=len(chars), max_size=len(chars)))
    durations = draw(st.lists(times, min_size=len(chars), max_size=len(chars)))
    return Alignment(tuple(chars), tuple(starts), tuple(durations))


@given(st.lists(st.tuples(st.integers(0, 5000), st.none() | alignments(), st.none() | alignments())), st.booleans())
def test_whatever_comes_times_never_go_back(
    frames: list[tuple[int, Alignment | None, Alignment | None]], normalized: bool
) -> None:
    clock = AlignmentClock(ULAW, normalized=normalized)
    told = [aligned for frame in frames if (aligned := clock.frame(*frame))]
    for aligned in told:
        assert len(aligned.text) == len(aligned.starts_ms) == len(aligned.ends_ms) > 0
    starts = [start for aligned in told for start in aligned.starts_ms]
    ends = [end for aligned in told for end in aligned.ends_ms]
    assert starts == sorted(starts)
    assert ends == sorted(ends)
    assert all(0 <= start <= end for start, end in zip(starts, ends, strict=True))
    text = "".join(aligned.text for aligned in told)
    assert not text.startswith(" ")
    assert "  " not in text


@given(st.lists(texts), st.data())
def test_the_aligned_text_is_the_sent_text_but_for_runs_of_white_space(pieces: list[str], data: st.DataObject) -> None:
    """However the service cuts the text into segments, and with a space of its own at both ends."""
    sent = "".join(piece.strip() + " " for piece in pieces if piece.strip())
    clock = AlignmentClock(ULAW)
    clock.said(sent)
    clock.flush()
    left = f" {sent} "
    text = ""
    while left:
        cut = data.draw(st.integers(1, len(left)))
        segment, left = left[:cut], left[cut:]
        aligned = clock.frame(80 * len(segment), timed(segment), None)
        text += aligned.text if aligned else ""
    assert text == (" ".join(sent.split()) + " ").lstrip()
    assert clock.missing == 0
    assert clock.covered
    assert clock.answered() == 1


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_audio_time_is_the_sum_of_the_frames_however_they_are_cut(a: int, b: int) -> None:
    cut, whole = AlignmentClock(ULAW), AlignmentClock(ULAW)
    cut.frame(a, None, None)
    cut.frame(b, None, None)
    whole.frame(a + b, None, None)
    assert cut.audio_ms == whole.audio_ms == (a + b) // 8
