"""Whole calls on a good day: what the caller hears of Deepgram's voice, and what it costs of Deepgram's limits."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from calls.scenes import (
    RATE,
    REAL,
    VOCABULARY,
    Script,
    beset,
    is_whole,
    listen,
    prose,
    record,
    settings,
    slowly,
    spans,
    speaks,
    spoken,
    telling,
    words_of,
)
from lineside.audio.formats import AudioFormat
from lineside.events import Audio, Finished, Line, Lost, SpeechEvent
from lineside.speech import deepgram, deepgram_line
from lineside.speech.deepgram import DeepgramOptions, DeepgramVoice
from lineside.standin.phone import PhoneCall
from lineside.standin.provider import Provider
from lineside.standin.tone import CHARS_PER_S, ToneVoice
from lineside.testing import PhoneSettings, Simulation, simulation
from lineside.wire import deepgram_speak

GREETING, ANSWER, LAST = prose(9), prose(18, first=9), prose(9, first=27)


def heard_whole(sim: Simulation, call: PhoneCall, *texts: str) -> bool:
    """Each text was one span without a break, to the byte; nothing else was played."""
    played = spans(call)
    return len(played) == len(texts) and all(
        is_whole(span.audio, spoken(sim.provider, text)) for span, text in zip(played, texts, strict=True)
    )


async def talk_twice(sim: Simulation) -> PhoneCall:
    """The greeting, played to its end, and the answer to a key."""
    call = await sim.phone.dial()
    await sim.turn_over(call)
    await asyncio.sleep(1)
    call.press("1")
    await sim.turn_over(call, 2)
    return call


# -- the sound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(REAL, id="irregular"),
        pytest.param(REAL | {"burst": True}, id="bursts"),
        pytest.param(REAL | {"chunk_sizes": [1, 159, 161, 4001, 37]}, id="crumbs"),
        pytest.param(REAL | {"chunk_sizes": [20000], "chunk_gap_s": 1.2}, id="lumps"),
        pytest.param(REAL | {"speed_up": 1.5, "chunk_sizes": [400]}, id="hardly faster than speech"),
    ],
)
async def test_the_caller_hears_what_the_provider_spoke_to_the_byte_and_without_a_gap(
    lead: float, faults: dict[str, Any]
) -> None:
    script = Script(GREETING, ANSWER)
    async with simulation(script.agent, settings=settings(lead=lead)) as sim:
        beset(sim, **faults)
        call = await talk_twice(sim)
        assert heard_whole(sim, call, GREETING, ANSWER)
        assert telling(spans(call)[1].audio, ANSWER, strangers=words_of(GREETING)).missing == ()
        assert not sim.of(call, "gap")
        assert (dict(record(sim).breaches), dict(call.warnings)) == ({}, {})


@pytest.mark.parametrize(("round_trip", "jitter"), [(0.0, 0.0), (0.08, 0.02), (0.2, 0.08)])
async def test_no_network_makes_a_gap(round_trip: float, jitter: float) -> None:
    script = Script(GREETING, ANSWER)
    phone = PhoneSettings("", round_trip_s=round_trip, jitter_s=jitter)
    async with simulation(script.agent, settings=settings(), phone=phone) as sim:
        beset(sim, **REAL)
        call = await talk_twice(sim)
        assert heard_whole(sim, call, GREETING, ANSWER)
        assert not sim.of(call, "marks_missing")


# -- how far ahead -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.7, 1.0, 1.4])
async def test_no_more_than_fifteen_seconds_and_a_sentence_are_spoken_ahead_of_the_caller(rate: float) -> None:
    text = prose(140)
    script = Script(text)
    async with simulation(script.agent, settings=settings(), voice=ToneVoice(rate=rate)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        asked, most = 0, 0.0
        for segment in record(sim).spoken:
            asked += len(segment.audio)
            most = max(most, (asked - call.queue.played(segment.at)) / RATE)
        sentence = max(map(len, text.split(". "))) + 2
        # What is not spoken yet is reckoned with the voice's usual pace until the first segment has shown its own.
        assert 10 < most <= (15 + sentence / CHARS_PER_S) / min(rate, 1.0)
        assert heard_whole(sim, call, text)


@pytest.mark.parametrize("pieces", [1, 1000])
async def test_an_endless_reply_is_drawn_from_the_agent_as_it_is_heard(pieces: int) -> None:
    sentence = "Nobody ever heard the end of what this agent had to say about the weather, the harvest and the sea. "
    n_drawn = 0

    async def endless() -> AsyncIterator[Line]:
        nonlocal n_drawn
        for _ in range(pieces):
            n_drawn += len(sentence) * 1000 // pieces
            yield sentence * (1000 // pieces)

    script = Script(endless)
    async with simulation(script.agent, settings=settings()) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(20)
        asked = sum(len(json.loads(message)["text"]) for message in speaks(record(sim)))
        assert asked <= (20 + 15) * CHARS_PER_S + len(sentence)
        # Of a hundred thousand characters: two messages' worth that wait here, and what the agent's side holds.
        assert pieces == 1 or n_drawn <= asked + 2 * 2000 + 50 * len(sentence)
        await call.hang_up()
        await sim.idle()


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" ".join(random.Random(1).choices(VOCABULARY, k=1400)), id="10,000 characters without a sentence"),
        pytest.param(" ".join(prose(i % 11 + 3, first=i) for i in range(140)), id="140 sentences"),
        pytest.param("x" * 3000, id="one word of 3,000 letters"),
    ],
)
async def test_no_speak_is_longer_than_the_service_takes_and_no_text_is_lost(text: str) -> None:
    script = Script(text)
    async with simulation(script.agent, settings=settings(), voice=ToneVoice(chars_per_s=100)) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        texts = [json.loads(message)["text"] for message in speaks(record(sim))]
        assert max(map(len, texts)) <= 2000
        assert "".join(texts) == text
        assert len(spans(call)) == 1
        assert (dict(record(sim).breaches), dict(call.warnings)) == ({}, {})


def n_flushes(sim: Simulation) -> list[int]:
    """Of each connection, in order."""
    return [sum('"Flush"' in message for message in messages) for messages in record(sim).messages.values()]


async def test_a_turn_of_more_flushes_than_a_socket_takes_goes_on_with_another_unheard() -> None:
    script = Script(slowly(60, every=1.05))
    text = " ".join(prose(2, first=2 * i) for i in range(60))
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, handshake_delay_s=2.0, first_audio_delay_s=0.15)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        assert len(n_flushes(sim)) > 2
        assert max(n_flushes(sim)) <= 20
        (only,) = spans(call)  # though a handshake takes longer than what is in hand when a socket has had its flushes
        assert telling(only.audio, text).missing == ()
        assert not sim.of(call, "provider_lost")
        assert dict(record(sim).breaches) == {}


@pytest.mark.parametrize(
    ("sentence", "every"),
    [
        pytest.param(6, 0.4, id="flushes run out"),
        pytest.param(60, 0.8, id="characters run out"),
    ],
)
async def test_a_caller_who_interrupts_without_end_breaches_no_limit_and_waits_for_no_handshake(
    sentence: int, every: float
) -> None:
    answers = [prose(60, first=i, sentence=sentence) for i in range(61)]
    script = Script(*answers)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        for _ in range(60):
            await asyncio.sleep(every)
            call.press("1")
        await asyncio.sleep(1)
        waits = [after.at - before.end for before, after in pairwise(spans(call))]
        assert len(waits) == 60
        assert max(waits) < REAL["first_audio_delay_s"] + 0.01
        assert dict(record(sim).breaches) == {}
        assert record(sim).connections.opened < 20
        assert record(sim).connections.max_open <= 2


async def test_a_monologue_outlives_its_sockets_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deepgram's hour is 100 s here; `test_seventy_minutes_of_speech` has the hour."""
    for module in (deepgram, deepgram_line):
        monkeypatch.setattr(module, "RENEW_AFTER", 30.0)
    monkeypatch.setattr(deepgram_speak, "SESSION_S", 100.0)
    text = prose(220)
    script = Script(text)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **REAL, session_s=100.0)
        call = await sim.phone.dial()
        await sim.turn_over(call, timeout=600)
        assert spans(call)[0].end - spans(call)[0].at > 110
        assert heard_whole(sim, call, text)
        assert record(sim).connections.opened > 2
        assert not sim.of(call, "provider_lost")
        assert dict(record(sim).breaches) == {}


@dataclass
class Ear:
    """Hears a voice without a phone: notes how much was in hand when more came."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    began: float | None = None
    n_bytes: int = 0
    least: float = float("inf")
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def in_hand(self) -> float:
        return 0.0 if self.began is None else self.began + self.n_bytes / RATE - self.loop.time()

    def hear(self, event: SpeechEvent) -> None:
        match event:
            case Audio(data):
                if self.began is None:
                    self.began = self.loop.time()
                else:
                    self.least = min(self.least, self.in_hand())
                self.n_bytes += len(data)
            case Finished():
                self.ended = True
            case Lost(error):
                raise error
        self.news.set()


async def test_seventy_minutes_of_speech_take_two_sockets_and_no_break() -> None:
    async with Provider() as provider:
        for name, value in REAL.items():
            setattr(provider.faults, name, value)
        provider.faults.chunk_sizes = [8000]
        voice = DeepgramVoice("deepgram", DeepgramOptions("key", provider.url, audio=AudioFormat("mulaw", 8000)))
        async with voice.connect() as speech:
            speech.prepare()
            ear = Ear()
            utterance = speech.utterance(ear.hear)
            for _ in range(420):
                utterance.say("Ten seconds of speech. " * 6 + "And nothing.")
                utterance.flush()
                await asyncio.sleep(10.0)
            utterance.finish()
            async with asyncio.timeout(20):
                while not ear.ended:
                    ear.news.clear()
                    await ear.news.wait()
        assert ear.n_bytes > 70 * 60 * RATE * 0.98
        assert ear.least > -0.01
        assert provider.record.connections.opened == 2
        assert dict(provider.record.breaches) == {}


async def test_a_call_that_is_silent_for_seventy_minutes_is_not_closed_by_the_service() -> None:
    async with Provider() as provider:
        voice = DeepgramVoice("deepgram", DeepgramOptions("key", provider.url))
        async with voice.connect() as speech:
            speech.prepare()
            await asyncio.sleep(70 * 60)
            assert provider.record.connections.open == 1
        assert provider.record.connections.opened == 2
        assert dict(provider.record.breaches) == {}


# -- many calls --------------------------------------------------------------------------------------------------------


async def test_two_calls_at_once_never_hear_each_other() -> None:
    texts = {"+15555550001": (GREETING, LAST), "+15555550002": (ANSWER, prose(9, first=36))}
    async with simulation(lambda call: Script(*texts[call.caller]), settings=settings()) as sim:
        beset(sim, **REAL, speed_up=2)
        calls = {caller: await sim.phone.dial(caller=caller) for caller in texts}
        for call in calls.values():
            await sim.turn_begun(call)
        await asyncio.sleep(1.2)
        for call in calls.values():
            call.press("1")
        for call in calls.values():
            await sim.turn_over(call)
        everything = [word for pair in texts.values() for text in pair for word in words_of(text)]
        for caller, call in calls.items():
            first, second = spans(call)
            own = {word for text in texts[caller] for word in words_of(text)}
            assert {heard.word for heard in listen(first.audio + second.audio, everything)} <= own
            assert spoken(sim.provider, texts[caller][0]).startswith(first.audio)
            assert is_whole(second.audio, spoken(sim.provider, texts[caller][1]))


async def test_hang_ups_and_interruptions_of_twenty_calls_leave_all_other_answers_whole() -> None:
    by = random.Random(7)
    scripts: dict[str, Script] = {}

    def agent(call: Any) -> Script:
        n = len(scripts)
        scripts[call.call_id] = Script(prose(10, first=n * 22), prose(12, first=n * 22 + 10))
        return scripts[call.call_id]

    async with simulation(agent, settings=settings()) as sim:
        beset(sim, **REAL, speed_up=3)

        async def live(call: PhoneCall, fate: str) -> None:
            await sim.turn_begun(call)
            if fate != "listen":
                await asyncio.sleep(by.uniform(0, 3))
            if fate == "hang up":
                await call.hang_up()
                return
            if fate == "listen":
                await sim.turn_over(call)
            call.press("1")
            await sim.turn_over(call, 2 if fate == "listen" else 1)

        calls = []
        fates = ["hang up", "interrupt", "listen"] * 7
        async with asyncio.TaskGroup() as tasks:
            for fate in fates[:20]:
                await asyncio.sleep(by.uniform(0, 0.4))
                calls.append(await sim.phone.dial())
                tasks.create_task(live(calls[-1], fate))
        for n, (call, fate) in enumerate(zip(calls, fates, strict=False)):
            first, second = prose(10, first=n * 22), prose(12, first=n * 22 + 10)
            played = spans(call)
            whole = [
                is_whole(span.audio, spoken(sim.provider, text))
                for span, text in zip(played, (first, second), strict=False)
            ]
            if fate != "listen":
                assert spoken(sim.provider, first).startswith(played[0].audio)
            assert whole == {"hang up": [False], "interrupt": [False, True], "listen": [True, True]}[fate]
            assert not sim.of(call, "provider_lost")
        assert dict(record(sim).breaches) == {}
        for call in calls:
            await call.hang_up()
        await sim.idle()
        await asyncio.sleep(2)
        assert record(sim).connections.open == 0
