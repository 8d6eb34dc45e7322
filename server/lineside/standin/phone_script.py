"""Follows TwiML verb by verb, as the carrier does.

Source: https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urljoin

from lineside.standin import twiml_reader as twiml
from lineside.standin.phone_leg import PhoneLeg
from lineside.standin.phone_record import CallRecord, new_sid
from lineside.standin.phone_socket import ConnectFailed
from lineside.standin.phone_webhook import Answer, Courier, WebhookFailed, Webhooks

SPOKEN_CHARS_A_SECOND = 15  # about the pace of a phone voice; sets how long a <Say> takes
PLAY_S = 1.0  # what is played is not fetched, so its length is not known
MAX_DOCUMENTS = 1000  # in one call; more is a loop of redirects


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the server for a document."""

    url: str
    method: str = "POST"
    fields: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    """More than one: the carrier retries, and the last answer counts."""


@dataclass(frozen=True, slots=True)
class Given:
    """A document that came with a REST request."""

    text: str


Source = Fetch | Given
Ending = Literal["completed", "failed", "busy", "no-answer"]


class Script:
    """One call's way through its documents."""

    def __init__(
        self,
        record: CallRecord,
        webhooks: Webhooks,
        courier: Courier,
        answered: Callable[[], None],
        connected: Callable[[], None],
    ) -> None:
        """
        Args:
            answered: called when the first verb that needs a connected caller begins.
            connected: called when a stream has started.
        """
        self.legs: list[PhoneLeg] = []
        self.halted = False
        """Set from outside: begin no further verb."""
        self.action: Fetch | None = None
        """What is asked when the running stream ends."""
        self._record = record
        self._settings = record.settings
        self._webhooks = webhooks
        self._courier = courier
        self._answered = answered
        self._connected = connected
        self._base_url = ""
        self._loop = asyncio.get_running_loop()

    async def follow(self, source: Source) -> Ending:
        """Run documents until one has no successor.

        Returns:
            The status of a call that ends like this.
        """
        try:
            for _ in range(MAX_DOCUMENTS):
                following = await self._play(await self._document(source))
                if not isinstance(following, Fetch):
                    return following
                source = following
            raise twiml.TwimlError("endless", f"more than {MAX_DOCUMENTS} documents in one call")
        except (WebhookFailed, twiml.TwimlError) as exc:
            self._record.warn(self._loop.time(), exc.code, str(exc))
            return "failed"

    # -- documents ---------------------------------------------------------------------------------------------------

    async def _document(self, source: Source) -> twiml.Document:
        if isinstance(source, Given):
            return self._read(Answer("text/xml", source.text.encode()))
        try:
            return await self._fetch(source)
        except (WebhookFailed, twiml.TwimlError) as exc:
            if self._settings.fallback_url is None:
                raise
            self._record.warn(self._loop.time(), exc.code, str(exc))
            why = {"ErrorCode": exc.code, "ErrorUrl": source.url}
            return await self._fetch(Fetch(self._settings.fallback_url, fields={**source.fields, **why}))

    async def _fetch(self, source: Fetch) -> twiml.Document:
        fields = self._record.fields(**source.fields)
        headers = {"I-Twilio-Idempotency-Token": new_sid("")}
        answer = Answer("", b"")
        for _ in range(source.times):
            self._record.note(self._loop.time(), "webhook", source.url)
            answer = await self._webhooks.ask(source.url, fields, self._settings, method=source.method, headers=headers)
        self._base_url = source.url
        return self._read(answer)

    def _read(self, answer: Answer) -> twiml.Document:
        self._record.documents.append(answer.body.decode(errors="replace"))
        document = twiml.read_twiml(answer.body, answer.content_type)
        for remark in document.remarks:
            self._record.warn(self._loop.time(), "unknown_attribute", remark)
        return document

    # -- verbs -------------------------------------------------------------------------------------------------------

    async def _play(self, document: twiml.Document) -> Fetch | Ending:
        for verb in document.verbs:
            if self.halted:
                return "completed"
            self._record.transcript.append(verb.tag if isinstance(verb, twiml.NotPlayed) else type(verb).__name__)
            self._record.note(self._loop.time(), "verb", self._record.transcript[-1])
            if not isinstance(verb, twiml.Reject):
                self._answered()
            following = await self._verb(verb)
            if following is not None:
                return following
        self._answered()
        return "completed"

    async def _verb(self, verb: twiml.Verb) -> Fetch | Ending | None:
        """Run one verb; None: the next one follows."""
        match verb:
            case twiml.ConnectStream():
                return await self._connect(verb)
            case twiml.Dial():
                return await self._dial(verb)
            case twiml.Play(url):
                self._record.played_urls.append(urljoin(self._base_url, url))
                await asyncio.sleep(PLAY_S)
            case twiml.Say(text):
                await asyncio.sleep(len(text) / SPOKEN_CHARS_A_SECOND)
            case twiml.Pause(seconds):
                await asyncio.sleep(seconds)
            case twiml.Redirect(url, method):
                return Fetch(urljoin(self._base_url, url), method)
            case twiml.Hangup():
                return "completed"
            case twiml.Reject(reason):
                return "busy" if reason == "busy" else "no-answer"
            case twiml.NotPlayed(tag):
                self._record.warn(self._loop.time(), "verb_not_played", f"<{tag}> is passed over")
        return None

    async def _connect(self, verb: twiml.ConnectStream) -> Fetch | Ending | None:
        leg = PhoneLeg(verb, self._base_url, self._record, self._courier, self._connected)
        self.legs.append(leg)
        if verb.action is not None:
            self.action = Fetch(urljoin(self._base_url, verb.action), verb.method)
        try:
            await leg.run()
        except ConnectFailed:
            if self._settings.after_failed_connect == "end":
                return "failed"
        action, self.action = self.action, None
        return action

    async def _dial(self, dial: twiml.Dial) -> Fetch | None:
        self._record.note(self._loop.time(), "dial", " ".join(dial.targets))
        began = self._loop.time()
        await asyncio.sleep(self._settings.dial_s)
        if dial.action is None:
            return None
        talked = self._settings.dial_status in ("completed", "answered")
        fields = {"DialCallStatus": self._settings.dial_status, "DialCallSid": new_sid("CA")}
        if talked:
            fields["DialCallDuration"] = str(math.floor(self._loop.time() - began))
        return Fetch(urljoin(self._base_url, dial.action), dial.method, fields)


def retried(source: Source, repeats: int) -> Source:
    """The same source, asked for `repeats` times more."""
    return replace(source, times=1 + repeats) if isinstance(source, Fetch) else source
