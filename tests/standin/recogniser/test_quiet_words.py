"""Words below the level of speech, as an echo has them, and what is on record of words before they are final."""

from __future__ import annotations

import asyncio

import pytest

from lineside.standin.recogniser.listened import Interim
from lineside.standin.recogniser.modem import Decoder, encode
from lineside.standin.recogniser.sounds import quieter, silence
from standin.phone_server import about
from standin.recogniser.client import FLUX, LISTEN, SCRIBE, now, session
from standin.recogniser.test_faults import is_end, is_interim, text

SAID = "these are quiet words"
QUIET = quieter(encode(SAID), 27)  # -42 dBFS; speech begins at -35
VAD = SCRIBE + "&commit_strategy=vad&vad_silence_threshold_secs=0.3"

every_recogniser = pytest.mark.parametrize("path", [LISTEN, FLUX, VAD])


@every_recogniser
async def test_quiet_words_are_one_turn_as_loud_ones_are(path: str) -> None:
    async with session(path) as client:
        await client.hear(silence(0.5) + QUIET + silence(1))
        await asyncio.sleep(1)
        assert [text(message) for message in client.messages if is_end(message)] == [SAID]


async def test_a_word_that_breaks_off_is_no_speech_any_more() -> None:
    async with session(LISTEN + "&vad_events=true") as client:
        await client.hear(QUIET[: 2400 + 1000] + silence(0.6))  # the second of them does
        at, message = await client.until(is_end)
        assert (text(message), at) == ("these", about(now() - 0.6 + 0.3 + 0.3, within=0.05))


def test_a_word_is_being_read_from_its_beginning_to_its_end() -> None:
    decoder, reading = Decoder(), []
    audio = silence(0.1) + encode("now", 0.3) + silence(0.1)
    for start in range(0, len(audio), 160):
        decoder.feed(audio[start : start + 160])
        reading.append(decoder.reading)
    first, last = reading.index(True), len(reading) - reading[::-1].index(True)
    assert 0.1 <= first * 0.02 <= 0.2  # a beginning is looked for every 40 ms
    assert all(reading[first:last])
    assert last * 0.02 == pytest.approx(0.396, abs=0.02)


@every_recogniser
async def test_words_that_are_not_final_are_on_record_with_the_time_of_each_message(path: str) -> None:
    async with session(path) as client:
        await client.hear(silence(0.5) + encode("one two three four five") + silence(1))
        await client.until(is_end)
        told = [(at, message) for at, message in client.got if is_interim(message) or "StartOfTurn" in message.values()]
        with_words = [Interim(text(message), at) for at, message in told if text(message)]
        assert len(with_words) >= 2
        assert client.listened.interims == with_words
