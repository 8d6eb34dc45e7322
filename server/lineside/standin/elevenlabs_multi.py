"""ElevenLabs' multi-context socket, `/v1/text-to-speech/{voice_id}/multi-stream-input`: up to five texts at once.

Any message opens the context that it names, if there is none: also one that was meant for a context that is closed
already. Such a phantom takes one of the five places until it idles out.

Sources: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input,
https://elevenlabs.io/docs/developers/guides/cookbooks/multi-context-web-socket
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

from lineside.standin.elevenlabs_context import Context
from lineside.standin.elevenlabs_errors import Ending
from lineside.standin.elevenlabs_messages import Message
from lineside.standin.elevenlabs_outlet import Outlet, now

CLOSED_IDS_KEPT = 1000  # the last ones, to tell a phantom from a new context


class Multi:
    """A `Conversation` of several texts, told apart by their ids (None: the one without)."""

    closing = False

    def __init__(self, outlet: Outlet, tasks: asyncio.TaskGroup) -> None:
        self._outlet = outlet
        self._tasks = tasks
        self._faults, self._record = outlet.studio.faults, outlet.studio.record
        self._contexts: dict[Context, asyncio.Task[None]] = {}  # with what speaks them; the finished ones go in time
        self._closed_ids: deque[str | None] = deque(maxlen=CLOSED_IDS_KEPT)

    async def take(self, message: Message) -> None:
        if message.close_socket:
            await self._close_socket()
            return
        if message.context_id is None and message.text == "" and not message.flush:
            return  # keeps the connection, and opens nothing
        context = self._find(message.context_id) or self._open(message)
        if message.close_context:
            self._closed_ids.append(context.id)
            await context.close()
        else:
            await context.take(message)

    def _find(self, context_id: str | None) -> Context | None:
        return next((each for each in self._living() if each.id == context_id and each.state == "open"), None)

    def _living(self) -> list[Context]:
        """The contexts that take a place: until the final, not until the close."""
        return [context for context in self._contexts if context.state != "over"]

    def _open(self, message: Message) -> Context:
        self._note_opening(message)
        limit = self._faults.elevenlabs.max_contexts
        if len(self._living()) >= limit:
            raise Ending("max_active_conversations", "sixth_context", context_id=message.context_id, limit=limit)
        self._contexts = {each: task for each, task in self._contexts.items() if each.state != "over"}
        context = Context(message.context_id, message, self._outlet)
        self._contexts[context] = context.start(self._tasks)
        return context

    def _note_opening(self, message: Message) -> None:
        """A context is meant to be opened by one space, or by text with an id that was not used before."""
        if message.close_context:
            self._record.breach("phantom_context")
        elif not message.text:
            self._record.breach("phantom_context")
            self._record.breach("flush_uninitialised" if message.flush else "keepalive_before_init")
        elif message.text != " " and message.context_id in self._closed_ids:
            self._record.breach("phantom_context")
            self._record.breach("text_after_close")

    # -- idling ------------------------------------------------------------------------------------------------------

    @property
    def expires_at(self) -> float:
        timed = [context.heard_at for context in self._living() if context.state != "closing"]
        return min(timed, default=math.inf) + self._outlet.settings.inactivity_s

    async def expire(self) -> None:
        timeout_s = self._outlet.settings.inactivity_s
        for context in self._living():
            if context.state == "closing" or now() < context.heard_at + timeout_s:
                continue
            self._record.breach("context_expired")
            self._closed_ids.append(context.id)
            context.drop()
            ending = Ending("input_timeout_exceeded", context_id=context.id, seconds=timeout_s)
            match self._faults.elevenlabs.context_expiry:
                case "final":
                    await self._outlet.send_final(context.id)
                case "error":
                    await self._outlet.send_error(ending)
                case "fatal":
                    raise ending

    # -- the end -----------------------------------------------------------------------------------------------------

    async def _close_socket(self) -> None:
        self.closing = True
        for context in self._living():
            if context.state == "open":
                await (context.finish() if self._faults.elevenlabs.close_socket_flushes else context.close())
        self._tasks.create_task(self._close())

    async def _close(self) -> None:
        for context, speaking in self._contexts.items():
            if context.state != "lost":
                await asyncio.wait([speaking])
        await self._outlet.close(self._faults.elevenlabs.close_delay_s)

    def drop(self) -> None:
        for context in self._living():
            context.drop()
