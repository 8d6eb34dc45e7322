"""The carrier's HTTP client: signed requests to the server's webhooks, and callbacks that hold nothing up.

Signatures are made by the carrier's own library, so that no mistake of ours can agree with itself.

Source: https://www.twilio.com/docs/usage/webhooks/webhooks-security, https://www.twilio.com/docs/api/errors/11200
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from lineside.errors import RemoteProtocolError
from lineside.standin.phone_record import CallRecord
from lineside.standin.phone_settings import PhoneSettings, Signature

CONNECT_TIMEOUT = 10.0  # s, of the webhook's 15
MAX_BODY = 64 * 1024 + 1  # bytes read of an answer: enough to see that it is too large
MAX_CALLBACKS = 1000  # waiting; a call makes a few


class WebhookFailed(RemoteProtocolError):
    """The server did not answer a webhook as it must. `code` is the carrier's error code."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    content_type: str
    body: bytes


def url_to_sign(url: str) -> str:
    """The url as the carrier signs it: no user, no fragment, and over https no port."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https":
        host = re.sub(r":\d+$", "", host)
    return parts._replace(netloc=host, fragment="").geturl()


def sign(url: str, fields: Mapping[str, str], auth_token: str, how: Signature) -> str | None:
    """The signature header's value; None when it is to be missing."""
    if how == "missing":
        return None
    token = auth_token if how == "good" else f"not {auth_token}"
    signature: str = RequestValidator(token).compute_signature(url, fields)
    return signature


class Webhooks:
    """Requests of one phone. It uses the session and does not own it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(
        self,
        url: str,
        fields: Mapping[str, str],
        settings: PhoneSettings,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request.

        Raises:
            WebhookFailed: no connection (11205), no answer in time or a status that is not 2xx (11200).
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise WebhookFailed("11200", f"not an absolute http url: {url[:80]!r}")
        body: bytes | None = urlencode(fields).encode()
        signed: Mapping[str, str] = fields
        if method.upper() == "GET":
            url = f"{url.partition('#')[0]}{'&' if urlsplit(url).query else '?'}{urlencode(fields)}"
            body, signed = None, {}
        sent = {"User-Agent": "TwilioProxy/1.1", "Accept": "*/*", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        user, separator, _ = urlsplit(url).netloc.rpartition("@")
        if separator:
            sent["Authorization"] = "Basic " + b64encode(unquote(user).encode()).decode()
            url = url.replace(f"{user}@", "", 1)
        if signature := sign(url_to_sign(url), signed, settings.auth_token, settings.signature):
            sent["X-Twilio-Signature"] = signature
        timeout = aiohttp.ClientTimeout(total=settings.webhook_timeout_s, sock_connect=CONNECT_TIMEOUT)
        address = URL(url.partition("#")[0], encoded=True)
        tls = settings.tls or True
        try:
            async with self._session.request(
                method, address, data=body, headers=sent, timeout=timeout, ssl=tls, allow_redirects=False
            ) as response:
                answer = Answer(response.headers.get("Content-Type", ""), await _read(response.content))
        except aiohttp.ClientConnectorError as exc:
            raise WebhookFailed("11205", str(exc)) from exc
        except TimeoutError as exc:
            raise WebhookFailed("11200", f"no answer within {settings.webhook_timeout_s} s") from exc
        except aiohttp.ClientError as exc:
            raise WebhookFailed("11200", str(exc) or type(exc).__name__) from exc
        if not 200 <= response.status < 300:
            raise WebhookFailed("11200", f"HTTP status {response.status}")
        return answer


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) < MAX_BODY and (piece := await content.read(MAX_BODY - len(body))):
        body += piece
    return bytes(body)


@dataclass(frozen=True, slots=True)
class Callback:
    url: str
    fields: Mapping[str, str]
    method: str = "POST"


class Courier:
    """Sends one call's callbacks, one after another in the order given, without holding the call up."""

    def __init__(self, webhooks: Webhooks, record: CallRecord) -> None:
        self._webhooks = webhooks
        self._record = record
        self._waiting: asyncio.Queue[Callback | None] = asyncio.Queue(MAX_CALLBACKS)

    def send(self, callback: Callback) -> None:
        self._waiting.put_nowait(callback)

    def finish(self) -> None:
        """`run` returns when everything given so far was sent."""
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        while (callback := await self._waiting.get()) is not None:
            await self.deliver(callback)

    async def deliver(self, callback: Callback) -> None:
        """Send one now. A server that refuses it gets a warning, and the call goes on."""
        now = asyncio.get_running_loop().time
        kind = callback.fields.get("StreamEvent") or callback.fields.get("CallStatus", "")
        self._record.note(now(), "callback", kind)
        try:
            await self._webhooks.ask(callback.url, callback.fields, self._record.settings, method=callback.method)
        except WebhookFailed as exc:
            self._record.warn(now(), exc.code, f"callback {kind}: {exc}")
