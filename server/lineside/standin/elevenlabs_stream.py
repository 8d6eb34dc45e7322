"""ElevenLabs' single-context socket, `/v1/text-to-speech/{voice_id}/stream-input`: one text, from a space to "".

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input
"""

from __future__ import annotations

import asyncio
import math

from lineside.standin.elevenlabs_context import Context
from lineside.standin.elevenlabs_errors import Ending
from lineside.standin.elevenlabs_messages import Message
from lineside.standin.elevenlabs_outlet import Outlet


class Stream:
    """A `Conversation` of one text, without ids."""

    closing = False
    expires_at = math.inf  # the socket's own timer is all there is

    def __init__(self, outlet: Outlet, tasks: asyncio.TaskGroup) -> None:
        self._outlet = outlet
        self._tasks = tasks
        self._faults, self._record = outlet.studio.faults, outlet.studio.record
        self._context: Context | None = None

    async def take(self, message: Message) -> None:
        if self._context is None:
            if message.text != " ":
                self._record.breach("missing_init")
                if self._faults.elevenlabs.first_message == "refuse":
                    raise Ending("invalid_input_message")
            self._context = Context(None, message, self._outlet)
            self._speaking = self._context.start(self._tasks)
        await self._context.take(message)
        if message.text == "" and not (message.flush and self._faults.elevenlabs.empty_text_with_flush == "flush"):
            self.closing = True
            await self._context.finish()
            self._tasks.create_task(self._close())

    async def _close(self) -> None:
        await self._speaking
        await self._outlet.close(self._faults.elevenlabs.close_delay_s)

    async def expire(self) -> None:
        """Nothing has a time of its own."""

    def drop(self) -> None:
        if self._context:
            self._context.drop()
