"""One connection of ElevenLabs' TTS sockets: who is let speak, how long the client may be silent, and how it ends.

What the messages do is the business of `elevenlabs_stream` and `elevenlabs_multi`.

Source: https://elevenlabs.io/docs/developers/websockets
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from lineside.standin.elevenlabs_account import Account
from lineside.standin.elevenlabs_errors import Ending
from lineside.standin.elevenlabs_messages import Message, parse
from lineside.standin.elevenlabs_outlet import Lost, Outlet, now
from lineside.standin.elevenlabs_upgrade import bare
from lineside.standin.endpoint import Socket, Studio

UNKNOWN_VOICE = "missing"  # a voice whose id begins like this does not exist


class Conversation(Protocol):
    """What one kind of socket makes of the client's messages."""

    @property
    def closing(self) -> bool:
        """The client has said that it is done."""
        ...

    @property
    def expires_at(self) -> float:
        """Loop time from which `expire` has something to do; inf: not for now."""
        ...

    async def take(self, message: Message) -> None:
        """Take a message.

        Raises:
            Ending: the connection must end.
        """
        ...

    async def expire(self) -> None:
        """End what was idle for too long.

        Raises:
            Ending: the connection must end.
        """
        ...

    def drop(self) -> None:
        """The connection has ended."""
        ...


class Session:
    """Reads the client and keeps the time.

    Args:
        key: what came with the handshake; None when the first message must bring it.
        account: the account that a key belongs to.
        make: makes the conversation, whose tasks live in the group.
    """

    def __init__(
        self,
        socket: Socket,
        outlet: Outlet,
        key: str | None,
        account: Callable[[str], Account],
        make: Callable[[Outlet, asyncio.TaskGroup], Conversation],
    ) -> None:
        self._socket = socket
        self._outlet = outlet
        self._studio: Studio = outlet.studio
        self._key = key
        self._account = account
        self._make = make
        self._heard_first = False

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                conversation = self._make(self._outlet, tasks)
                try:
                    await self._read(conversation)
                finally:
                    conversation.drop()
        except* ConnectionClosed:
            pass
        except* Lost:
            await self._outlet.die()
        except* Ending as endings:
            with suppress(ConnectionClosed):
                await self._end(next(each for each in endings.exceptions if isinstance(each, Ending)))

    async def _read(self, conversation: Conversation) -> None:
        """Take messages until the connection ends.

        Raises:
            ConnectionClosed, Ending: one of them, always.
        """
        if self._key is not None:
            self._let_in(self._key)
        self._heard_at = now()
        while True:
            message = await self._receive(conversation)
            self._studio.record.heard(self._outlet.number, message)
            parsed = parse(message, multi=self._outlet.settings.multi)
            if conversation.closing:
                self._studio.record.breach("text_after_close" if parsed.text else "after_close")
                continue
            if parsed.text is not None or self._studio.faults.elevenlabs.any_message_resets_idle:
                self._heard_at = now()
            self._check(parsed)
            await conversation.take(parsed)

    async def _receive(self, conversation: Conversation) -> str | bytes:
        timeout_s = self._outlet.settings.inactivity_s
        while True:
            idle_at = math.inf if conversation.closing else self._heard_at + timeout_s
            if now() >= idle_at:
                raise Ending("input_timeout_exceeded", "idle", seconds=timeout_s)
            if now() >= conversation.expires_at:
                await conversation.expire()
            wake_at = min(idle_at, conversation.expires_at)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if wake_at == math.inf else wake_at):
                    return await self._socket.recv()  # cancelling this loses no message

    # -- judging -----------------------------------------------------------------------------------------------------

    def _let_in(self, key: str) -> None:
        if not self._studio.knows_key(key):
            raise Ending("invalid_api_key", "bad_key")
        self._outlet.account = self._account(key)

    def _check(self, message: Message) -> None:
        """What holds for the messages of both kinds of socket."""
        if not self._heard_first:
            self._heard_first = True
            if self._key is None:
                if message.key is None:
                    raise Ending("authentication_required", "no_key")
                self._let_in(bare(message.key))
            voice_id = self._outlet.settings.voice_id
            if voice_id.startswith(UNKNOWN_VOICE):
                raise Ending("voice_id_does_not_exist", "unknown_voice", voice_id=voice_id)
        if message.out_of_range:
            if self._studio.faults.elevenlabs.out_of_range == "refuse":
                raise Ending("invalid_input_message", "out_of_range")
            self._studio.record.breach("out_of_range")

    async def _end(self, ending: Ending) -> None:
        """Tell why, then close."""
        if ending.breach:
            self._studio.record.breach(ending.breach)
        await self._outlet.send_error(ending)
        code = ending.message["code"]
        await self._outlet.close(self._studio.faults.elevenlabs.error_close_delay_s, code, ending.reason)
