"""Deepgram's speak socket, `/v1/speak`, served strictly.

A connection is two tasks: this one reads the client's messages and judges them, `deepgram_answers` answers.

Sources: https://developers.deepgram.com/docs/text-to-speech-websocket-streaming,
https://developers.deepgram.com/docs/tts-troubleshooting-websocket-net-and-data-errors
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from contextlib import suppress
from typing import Any, Literal
from uuid import uuid4

from websockets.exceptions import ConnectionClosed

from lineside.standin.budget import Budget
from lineside.standin.deepgram_answers import Answers, now
from lineside.standin.deepgram_upgrade import check_key, read_query, refusal
from lineside.standin.endpoint import Admission, Refusal, Socket, Studio, Upgrade

KEYS = {"Speak": {"type", "text"}, "Flush": {"type"}, "Clear": {"type"}, "Close": {"type"}}

ENDINGS = {
    "MESSAGE-0000": (1003, "Unsupported message type, only text messages are accepted."),
    "DATA-0000": (1008, "The message is not a recognised command."),
    "DATA-0001": (1008, "Too many input characters in the recent time window."),
    "BIG-0000": (1009, "The message is too large."),
    "BIG-0001": (1009, "The input text has too many characters."),
    "NET-0001": (1011, "Did not receive a message from the client in time."),
    "NET-0003": (1011, "The time limit of the connection was exceeded."),
}


class _Ending(Exception):
    """The session must be closed for a reason of `ENDINGS`; `breach` is its name in the record."""

    def __init__(self, code: str, breach: str) -> None:
        super().__init__(code)
        self.code = code
        self.breach = breach


class DeepgramSpeak:
    """The endpoint: judges handshakes, makes sessions."""

    pattern = re.compile("/v1/speak")

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._n_open = 0

    def admit(self, upgrade: Upgrade) -> Admission:
        faults = self._studio.faults
        check_key(upgrade.headers, self._studio)
        settings = read_query(upgrade.query, unknown=faults.unknown_query)
        if 0 < faults.max_connections <= self._n_open:
            raise refusal(429, breach="max_connections")
        request_id = str(uuid4())

        async def serve(socket: Socket, number: int) -> None:
            self._n_open += 1
            try:
                answers = Answers(socket, number, settings, request_id, self._studio)
                await _Session(socket, number, self._studio, answers).run()
            finally:
                self._n_open -= 1

        return Admission(serve, {"dg-request-id": request_id})

    def refuse(self, status: int) -> Refusal:
        return refusal(status)


class _Session:
    """One connection."""

    def __init__(self, socket: Socket, number: int, studio: Studio, answers: Answers) -> None:
        self._socket = socket
        self._number = number
        self._faults, self._record = studio.faults, studio.record
        self._answers = answers
        self._buffer: list[str] = []
        self._closing = False
        self._chars, self._flushes = Budget(), Budget()

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                worker = tasks.create_task(self._answers.run())
                with suppress(ConnectionClosed):
                    await self._answers.say(self._answers.metadata())
                    await self._read(worker)
                worker.cancel()
        finally:
            self._answers.drop()

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _read(self, worker: asyncio.Task[None]) -> None:
        """Take messages until the connection ends.

        Raises:
            ConnectionClosed: always, unless this side has ended it.
        """
        self._heard_at = now()
        ends_at = self._heard_at + (self._faults.session_s or math.inf)
        try:
            while True:
                message = await self._receive(ends_at)
                self._heard_at = now()
                self._record.heard(self._number, message)
                if self._closing:
                    self._record.breach("after_close")
                    continue
                await self._take(message)
        except _Ending as ending:
            worker.cancel()
            self._answers.drop()
            await self._end(ending)

    async def _receive(self, ends_at: float) -> str | bytes:
        while True:
            idle_at = max(self._heard_at, self._socket.pinged_at) + (self._faults.idle_s or math.inf)
            if now() >= ends_at:
                raise _Ending("NET-0003", "session_too_long")
            if now() >= idle_at:
                raise _Ending("NET-0001", "idle")
            wake_at = min(ends_at, idle_at)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if wake_at == math.inf else wake_at):
                    return await self._socket.recv()  # cancelling this loses no message

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            raise _Ending("MESSAGE-0000", "binary")
        if len(message.encode()) > self._faults.max_message_bytes:
            raise _Ending("BIG-0000", "too_large_message")
        body = self._parse(message)
        match body["type"]:
            case "Speak":
                await self._take_text(body.get("text"))
            case "Flush":
                await self._take_flush()
            case "Clear":
                self._buffer.clear()
                await self._answers.clear()
            case "Close":
                await self._take_close()

    def _parse(self, message: str) -> dict[str, Any]:
        try:
            body = json.loads(message)
        except (ValueError, RecursionError):
            raise _Ending("DATA-0000", "bad_json") from None
        if not isinstance(body, dict) or "type" not in body:
            raise _Ending("DATA-0000", "bad_json")
        kind = body["type"]
        if kind == "KeepAlive":  # of the listen socket; this one is kept open by pings
            raise _Ending("DATA-0000", "keepalive")
        if not isinstance(kind, str) or kind not in KEYS:
            raise _Ending("DATA-0000", "unknown_type")
        if not body.keys() <= KEYS[kind]:
            if self._faults.unknown_keys == "refuse":
                raise _Ending("DATA-0000", "unknown_key")
            self._record.breach("unknown_key")
        return body

    async def _take_text(self, text: object) -> None:
        faults = self._faults
        if not isinstance(text, str) or not _is_unicode(text):
            raise _Ending("DATA-0000", "bad_speak")
        if not text:
            if faults.empty_speak_closes:
                raise _Ending("DATA-0000", "empty_speak")
            self._record.breach("empty_speak")
        n_chars = _count(text, faults.char_unit)
        if n_chars > faults.max_speak_chars:
            raise _Ending("BIG-0001", "too_long_speak")
        fixed = faults.window_shape == "fixed"
        if not self._chars.spend(
            n_chars, now(), limit=faults.chars_per_window, window_s=faults.chars_window_s, fixed=fixed
        ):
            raise _Ending("DATA-0001", "chars_per_minute")
        self._buffer.append(text)
        if 0 < faults.auto_synthesis_without_flush <= sum(map(len, self._buffer)):
            await self._answers.flush(self._take_buffer(), answered=False)

    async def _take_flush(self) -> None:
        faults = self._faults
        fixed = faults.window_shape == "fixed"
        if self._flushes.spend(1, now(), limit=faults.flushes_per_window, window_s=faults.flush_window_s, fixed=fixed):
            await self._answers.flush(self._take_buffer())
            return
        self._record.breach("excessive_flush")
        if not faults.refused_flush_keeps_text:
            self._buffer.clear()
        await self._answers.refuse()

    def _take_buffer(self) -> str:
        text = "".join(self._buffer)
        self._buffer.clear()
        return text

    async def _take_close(self) -> None:
        self._closing = True
        if "".join(self._buffer).strip():
            self._record.breach("text_unflushed_at_close")
        if self._faults.close_drains:
            await self._answers.close()
        else:
            self._answers.drop()
            await self._socket.close(1000)

    async def _end(self, ending: _Ending) -> None:
        """Close the connection for what the client did, or failed to do."""
        self._record.breach(ending.breach)
        close_code, sentence = ENDINGS[ending.code]
        if self._faults.error_before_close:
            await self._answers.say({"type": "Error", "err_code": ending.code, "err_msg": sentence})
        by_code = self._faults.close_reason == "code"
        await self._socket.close(close_code, ending.code if by_code else f"{ending.code}: {sentence}")


def _count(text: str, unit: Literal["code_point", "utf16", "utf8"]) -> int:
    match unit:
        case "code_point":
            return len(text)
        case "utf16":
            return len(text.encode("utf-16-le")) // 2
        case "utf8":
            return len(text.encode())


def _is_unicode(text: str) -> bool:
    """Whether the text is free of halves of surrogate pairs, which JSON can spell but no one can speak."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
