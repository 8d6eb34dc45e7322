"""ElevenLabs' multi-context socket as the stand-in serves it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.protocol import State

from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from standin.elevenlabs_client import (
    MULTI,
    audio,
    close,
    dial,
    flush,
    for_a_while,
    init,
    now,
    receive,
    recorded,
    rest,
    send,
    session,
    text,
    until_final,
    voiced,
)

SENTENCE = "Your table is booked for seven. "
LONG = "a" * 149 + " "  # ten seconds
CLOSE_SOCKET = {"close_socket": True}


def switched(**switches: Any) -> Faults:
    return Faults(elevenlabs=ElevenLabsFaults(**switches))


def final(context_id: str) -> dict[str, Any]:
    return {"audio": None, "isFinal": True, "contextId": context_id}


# -- contexts --------------------------------------------------------------------------------------------------------


async def test_a_turn_is_spoken_and_ends_with_exactly_one_final() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"), close("c"))
        got = await for_a_while(socket, 15)
        assert got[-1] == final("c")
        assert [each["isFinal"] for each in got] == [None] * (len(got) - 1) + [True]
        assert {each["contextId"] for each in got} == {"c"}
        assert audio(got, "c") == voiced(SENTENCE) == recorded(provider)
        assert socket.state is State.OPEN
        assert not provider.record.breaches


async def test_real_text_may_open_a_context() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, text(SENTENCE, "c", flush=True), close("c"))
        assert audio(await until_final(socket, "c"), "c") == voiced(SENTENCE)
        assert not provider.record.breaches


async def test_contexts_do_not_share_text_or_settings_and_speak_at_the_same_time() -> None:
    async with session(MULTI, switched(frame_s=1.0)) as (socket, provider):
        await send(socket, init("slow", voice_settings={"speed": 0.8}), init("fast", voice_settings={"speed": 1.2}))
        for context_id in ("slow", "fast"):
            await send(socket, text(LONG, context_id), flush(context_id), close(context_id))
        got = await for_a_while(socket, 15)
        assert (len(audio(got, "slow")), len(audio(got, "fast"))) == (100_000, round(80_000 / 1.2))
        order = [each["contextId"] for each in got]
        assert order.index("fast") < order.index("slow", 1)
        assert provider.record.generations.max_running == 2


async def test_the_context_without_an_id_is_one_of_its_own() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, {"text": " "}, {"text": SENTENCE, "flush": True})
        got = await for_a_while(socket, 5)
        assert audio(got, None) == voiced(SENTENCE)
        assert got[0]["contextId"] is None
        assert not provider.record.breaches


async def test_ids_and_finals_can_have_the_other_names() -> None:
    async with session(MULTI, switched(context_id_name="context_id", is_final_name="is_final")) as (socket, _):
        await send(socket, text(SENTENCE, "c", flush=True), close("c"))
        got = await for_a_while(socket, 5)
        assert got[-1] == {"audio": None, "is_final": True, "context_id": "c"}
        assert got[0]["context_id"] == "c"
        assert not any("contextId" in each for each in got)


async def test_a_client_may_spell_the_id_the_other_way() -> None:
    async with session(MULTI) as (socket, _):
        await send(socket, {"text": SENTENCE, "contextId": "c", "flush": True})
        await send(socket, {"contextId": "c", "close_context": True})
        assert audio(await until_final(socket, "c"), "c") == voiced(SENTENCE)


async def test_empty_text_with_flush_is_a_flush() -> None:
    async with session(MULTI) as (socket, _):
        await send(socket, init("c"), text(SENTENCE, "c"), text("", "c", flush=True), close("c"))
        assert audio(await until_final(socket, "c"), "c") == voiced(SENTENCE)


# -- closing a context -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", [SENTENCE, SENTENCE.strip()])
async def test_close_drops_text_that_was_not_flushed_and_answers_with_a_final(sentence: str) -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, init("c"), text(sentence, "c"), close("c"))
        assert await for_a_while(socket, 15) == [final("c")]
        assert not provider.record.spoken


async def test_in_auto_mode_close_drops_nothing() -> None:
    async with session(MULTI, query="auto_mode=true") as (socket, _):
        await send(socket, init("c"), text(SENTENCE, "c"), text("More. ", "c"), close("c"))
        assert audio(await until_final(socket, "c"), "c") == voiced(SENTENCE) + voiced("More. ")


async def test_a_flush_alone_brings_audio_and_no_final() -> None:
    async with session(MULTI) as (socket, _):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"))
        got = await for_a_while(socket, 15)
        assert audio(got, "c") == voiced(SENTENCE)
        assert not any(each["isFinal"] for each in got)


async def test_close_while_it_speaks_lets_everything_come_then_one_final() -> None:
    async with session(MULTI, switched(frame_s=0.5)) as (socket, provider):
        await send(socket, init("c"), text(LONG, "c", flush=True), text("Next. ", "c", flush=True))
        first = await receive(socket)
        await send(socket, close("c"))
        got = [first, *await until_final(socket, "c")]
        assert audio(got, "c") == voiced(LONG) + voiced("Next. ")
        speaking, waiting = provider.record.spoken
        assert (speaking.cut, speaking.n_late_bytes) == (False, 76_000)
        assert (waiting.cut, waiting.n_late_bytes) == (False, len(voiced("Next. ")))


async def test_close_before_any_audio_lets_everything_come_whatever_the_drain() -> None:
    async with session(MULTI, switched(frame_s=0.5, drain_after_close_s=0)) as (socket, _):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"), close("c"))
        assert audio(await until_final(socket, "c"), "c") == voiced(SENTENCE)


@pytest.mark.parametrize(("drain_s", "n_late"), [(0.0, 0), (0.7, 5600), (60.0, 76_000)])
async def test_close_while_it_speaks_can_let_only_so_much_come(drain_s: float, n_late: int) -> None:
    async with session(MULTI, switched(frame_s=0.5, drain_after_close_s=drain_s)) as (socket, provider):
        await send(socket, init("c"), text(LONG, "c", flush=True))
        first = await receive(socket)
        await send(socket, close("c"))
        late = await until_final(socket, "c")
        assert len(audio(late, "c")) == n_late
        (spoken,) = provider.record.spoken
        assert spoken.audio == audio([first, *late], "c")
        assert (spoken.cut, spoken.n_late_bytes) == (drain_s < 60, n_late)


async def test_what_waits_behind_a_cut_segment_is_on_record_as_cut() -> None:
    async with session(MULTI, switched(frame_s=0.5, drain_after_close_s=0)) as (socket, provider):
        await send(socket, init("c"), text(LONG, "c", flush=True), text("Next. ", "c", flush=True))
        await receive(socket)
        await send(socket, close("c"))
        assert await until_final(socket, "c") == [final("c")]
        assert [(spoken.text, spoken.cut) for spoken in provider.record.spoken] == [(LONG, True), ("Next. ", True)]
        assert provider.record.spoken[1].audio == b""


async def test_other_contexts_speak_on_when_one_is_cut() -> None:
    async with session(MULTI, switched(frame_s=0.5, drain_after_close_s=0)) as (socket, _):
        await send(socket, text(LONG, "old", flush=True))
        await receive(socket)
        await send(socket, close("old"), init("new"), text(SENTENCE, "new", flush=True), close("new"))
        got = await until_final(socket, "new")
        assert audio(got, "new") == voiced(SENTENCE)
        assert final("old") in got
        assert not audio(got, "old")


async def test_close_before_any_audio_can_lose_the_turn_with_or_without_a_final() -> None:
    for race, expected in (("final", [final("c")]), ("nothing", [])):
        faults = switched(close_race=race)
        async with session(MULTI, faults) as (socket, provider):
            await send(socket, init("c"), text(SENTENCE, "c"), flush("c"), close("c"))
            assert await for_a_while(socket, 15) == expected
            assert [(spoken.cut, spoken.audio) for spoken in provider.record.spoken] == [(True, b"")]


async def test_close_after_the_first_audio_wins_that_race() -> None:
    async with session(MULTI, switched(close_race="nothing", frame_s=0.5)) as (socket, _):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"))
        first = await receive(socket)
        await send(socket, close("c"))
        assert audio([first, *await until_final(socket, "c")], "c") == voiced(SENTENCE)


async def test_an_id_can_be_used_again_as_a_new_context() -> None:
    async with session(MULTI) as (socket, provider):
        for speed in (1.0, 1.2):
            await send(socket, init("c", voice_settings={"speed": speed}), text(LONG, "c", flush=True), close("c"))
            assert len(audio(await until_final(socket, "c"), "c")) == round(80_000 / speed)
        assert not provider.record.breaches


# -- five contexts ---------------------------------------------------------------------------------------------------


async def test_the_sixth_context_closes_the_socket_with_a_reason_cut_to_fit() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, *[init(f"c{i}") for i in range(5)])
        assert not await for_a_while(socket, 5)
        await send(socket, init("c5"))
        got, code, reason = await rest(socket)
        sentence = (
            "Maximum simultaneous contexts per WebSocket connection exceeded (5). "
            "Please close an existing context before opening a new one."
        )
        assert got == [{"message": sentence, "error": "max_active_conversations", "code": 1008}]
        assert (code, reason) == (1008, sentence[:123])
        assert provider.record.breaches == {"sixth_context": 1}


async def test_a_place_is_free_at_the_final_not_at_the_close() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, text(LONG, "c0", flush=True), close("c0"), *[init(f"c{i}") for i in range(1, 5)])
        await until_final(socket, "c0")
        await send(socket, init("c5"))
        assert not await for_a_while(socket, 5)
        assert not provider.record.breaches
    async with session(MULTI) as (socket, provider):
        await send(socket, text(LONG, "c0", flush=True), close("c0"), *[init(f"c{i}") for i in range(1, 6)])
        assert (await rest(socket))[1] == 1008
        assert provider.record.breaches == {"sixth_context": 1}


async def test_hundreds_of_turns_fit_when_each_waits_for_its_final() -> None:
    async with session(MULTI) as (socket, provider):
        for i in range(300):
            await send(socket, init(f"c{i}"), text("Hi. ", f"c{i}", flush=True), close(f"c{i}"))
            await until_final(socket, f"c{i}")
        assert len(provider.record.spoken) == 300
        assert not provider.record.breaches


async def test_another_number_of_contexts_can_be_set() -> None:
    async with session(MULTI, switched(max_contexts=1, errors_name_context=True)) as (socket, _):
        await send(socket, init("a"), init("b"))
        got, _, _ = await rest(socket)
        assert "exceeded (1)" in got[0]["message"]
        assert got[0]["contextId"] == "b"


# -- phantoms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "breaches"),
    [
        (flush("c"), {"phantom_context": 1, "flush_uninitialised": 1}),
        (text("", "c", flush=True), {"phantom_context": 1, "flush_uninitialised": 1}),
        (text("", "c"), {"phantom_context": 1, "keepalive_before_init": 1}),
    ],
)
async def test_a_message_for_an_unknown_id_takes_a_place_without_a_word(
    message: dict[str, Any], breaches: dict[str, int]
) -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, message)
        assert not await for_a_while(socket, 5)
        assert provider.record.breaches == breaches
        await send(socket, *[init(f"other{i}") for i in range(5)])
        assert (await rest(socket))[0][0]["error"] == "max_active_conversations"


async def test_text_for_a_closed_id_opens_a_phantom() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, init("c"), close("c"), text("Late. ", "c"))
        assert await for_a_while(socket, 5) == [final("c")]
        assert provider.record.breaches == {"phantom_context": 1, "text_after_close": 1}
        await send(socket, *[init(f"other{i}") for i in range(5)])
        assert (await rest(socket))[0][0]["error"] == "max_active_conversations"


async def test_text_for_an_id_that_is_still_draining_opens_a_phantom_beside_it() -> None:
    async with session(MULTI, switched(max_contexts=2)) as (socket, provider):
        await send(socket, text(LONG, "c", flush=True), close("c"), text("Late. ", "c"))
        got = await until_final(socket, "c")
        assert audio(got, "c") == voiced(LONG)
        assert provider.record.breaches == {"phantom_context": 1, "text_after_close": 1}


async def test_a_second_close_is_a_phantoms_and_brings_a_second_final() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, init("c"), close("c"), close("c"))
        assert await for_a_while(socket, 5) == [final("c"), final("c")]
        assert provider.record.breaches == {"phantom_context": 1}


async def test_settings_after_a_keep_alive_that_came_too_early_close_the_socket() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, text("", "c"), init("c", voice_settings={"speed": 1.0}))
        got, code, _ = await rest(socket)
        assert got[0]["message"].startswith("voice_settings field must be provided in the first message")
        assert code == 1008
        assert provider.record.breaches["voice_settings_changed"] == 1


# -- silence of the client -------------------------------------------------------------------------------------------


async def keep_alive(socket: Any, context_id: str | None, seconds: float) -> list[dict[str, Any]]:
    """Send a keep-alive every ten seconds; what comes meanwhile."""
    got = []
    for _ in range(int(seconds / 10)):
        got += await for_a_while(socket, 10)
        await send(socket, text("", context_id))
    return got


async def test_a_socket_without_contexts_times_out_too() -> None:
    async with session(MULTI) as (socket, provider):
        began = now()
        got, code, _ = await rest(socket)
        assert (got[0]["error"], code) == ("input_timeout_exceeded", 1008)
        assert now() - began == pytest.approx(20.8)
        assert provider.record.breaches == {"idle": 1}


async def test_empty_text_without_an_id_keeps_the_socket_and_opens_nothing() -> None:
    async with session(MULTI) as (socket, provider):
        assert not await keep_alive(socket, None, 600)
        assert not provider.record.breaches
        await send(socket, *[init(f"c{i}") for i in range(5)])
        assert not await for_a_while(socket, 5)


async def test_empty_text_with_an_id_keeps_the_context_and_what_it_has() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, init("c"), text(SENTENCE, "c"))
        assert not await keep_alive(socket, "c", 600)
        await send(socket, flush("c"), close("c"))
        assert audio(await until_final(socket, "c"), "c") == voiced(SENTENCE)
        assert not provider.record.breaches


@pytest.mark.parametrize("expiry", ["silent", "final", "error"])
async def test_an_idle_context_is_closed_while_the_socket_lives_on(expiry: str) -> None:
    faults = switched(context_expiry=expiry, errors_name_context=True)
    async with session(MULTI, faults, query="inactivity_timeout=15") as (socket, provider):
        await send(socket, init("c"), text(SENTENCE, "c"))
        got = await keep_alive(socket, None, 40)
        assert provider.record.breaches == {"context_expired": 1}
        match expiry:
            case "silent":
                assert got == []
            case "final":
                assert got == [final("c")]
            case "error":
                assert [(each["error"], each["contextId"]) for each in got] == [("input_timeout_exceeded", "c")]
        # Its place is free, and its text is gone.
        await send(socket, *[init(f"c{i}") for i in range(4)], init("c"), flush("c"), close("c"))
        assert await until_final(socket, "c") == [final("c")]


async def test_an_idle_context_can_take_the_socket_with_it() -> None:
    async with session(MULTI, switched(context_expiry="fatal")) as (socket, _):
        await send(socket, init("c"))
        await asyncio.sleep(10)
        await send(socket, text("", None))
        began = now()
        got, code, _ = await rest(socket)
        assert (got[0]["error"], code) == ("input_timeout_exceeded", 1008)
        assert now() - began == pytest.approx(10.8)


async def test_a_turn_that_was_lost_gives_its_place_back_when_it_idles_out() -> None:
    async with session(MULTI, switched(close_race="nothing", max_contexts=1)) as (socket, provider):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"), close("c"))
        assert not await keep_alive(socket, None, 30)
        await send(socket, init("d"))
        assert not await for_a_while(socket, 5)
        assert provider.record.breaches == {"context_expired": 1}


async def test_a_context_that_is_closing_does_not_expire_when_another_one_does() -> None:
    async with session(MULTI, Faults(first_audio_delay_s=60)) as (socket, provider):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"), close("c"), init("idle"))
        got = await keep_alive(socket, None, 70)
        assert audio(got, "c") == voiced(SENTENCE)
        assert got[-1] == final("c")
        assert provider.record.breaches == {"context_expired": 1}


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_close_socket_finishes_what_was_flushed_and_closes_normally() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, text(LONG, "a", flush=True), text("Lost. ", "b"), CLOSE_SOCKET)
        got, code, reason = await rest(socket)
        assert (code, reason) == (1000, "")
        assert audio(got, "a") == voiced(LONG)
        assert audio(got, "b") == b""
        assert [each["contextId"] for each in got if each["isFinal"]] == ["b", "a"]
        assert not provider.record.breaches


async def test_close_socket_can_have_everything_spoken() -> None:
    async with session(MULTI, switched(close_socket_flushes=True, close_delay_s=0)) as (socket, _):
        await send(socket, init("b"), text("Kept. ", "b"), CLOSE_SOCKET)
        got, code, _ = await rest(socket)
        assert (audio(got, "b"), code) == (voiced("Kept. "), 1000)


async def test_close_socket_without_a_context_closes_after_a_while() -> None:
    async with session(MULTI) as (socket, _):
        began = now()
        await send(socket, CLOSE_SOCKET)
        assert await rest(socket) == ([], 1000, "")
        assert now() - began == pytest.approx(0.75)


async def test_close_socket_does_not_wait_for_a_turn_that_was_lost() -> None:
    async with session(MULTI, switched(close_race="nothing")) as (socket, _):
        await send(socket, init("c"), text(SENTENCE, "c"), flush("c"), close("c"), CLOSE_SOCKET)
        began = now()
        assert await rest(socket) == ([], 1000, "")
        assert now() - began == pytest.approx(0.75)


async def test_what_comes_after_close_socket_is_noted_and_ignored() -> None:
    async with session(MULTI) as (socket, provider):
        await send(socket, init("c"), CLOSE_SOCKET, text("More. ", "c"), close("c"))
        assert (await rest(socket))[0] == [final("c")]
        assert provider.record.breaches == {"text_after_close": 1, "after_close": 1}


async def test_an_error_ends_all_contexts_and_what_they_spoke_is_on_record() -> None:
    async with session(MULTI, switched(frame_s=0.5)) as (socket, provider):
        await send(socket, text(LONG, "a", flush=True), text(LONG, "b", flush=True))
        got = [await receive(socket) for _ in range(6)]
        await socket.send("{")
        more, code, _ = await rest(socket)
        got += more
        assert code == 1008
        assert got[-1]["error"] == "invalid_input_message"
        assert [spoken.cut for spoken in provider.record.spoken] == [True, True]
        heard = sorted(audio(got, context_id) for context_id in ("a", "b"))
        assert heard == sorted(spoken.audio for spoken in provider.record.spoken)


async def test_connections_are_strangers_to_each_other() -> None:
    async with session(MULTI) as (one, provider), dial(provider, MULTI) as two:
        await send(one, init("c"), text("One. ", "c"))
        await send(two, init("c"), text("Two. ", "c"))
        for socket, sentence in ((two, "Two. "), (one, "One. ")):
            await send(socket, flush("c"), close("c"))
            assert audio(await until_final(socket, "c"), "c") == voiced(sentence)
        assert [spoken.connection for spoken in provider.record.spoken] == [2, 1]


async def test_leaving_closes_connections_as_going_away() -> None:
    async with Provider() as provider, dial(provider, MULTI) as socket:
        await send(socket, text(LONG, "c", flush=True))
        await receive(socket)
        await provider.__aexit__()
        assert (await rest(socket))[1] == 1001
        assert provider.record.connections.open == 0
