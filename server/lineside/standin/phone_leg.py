"""One media stream on the wire: the carrier's socket, moved by the loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from lineside.standin.phone_record import CallRecord, new_sid
from lineside.standin.phone_settings import PhoneSettings
from lineside.standin.phone_socket import CLOSE_TIMEOUT, CarrierSocket, ConnectFailed, open_socket
from lineside.standin.phone_stream import CarrierStream, Gone
from lineside.standin.phone_webhook import Callback, Courier, sign
from lineside.standin.twiml_reader import ConnectStream

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
CODES = {"closed": "31921", "lost": "31903", "violation": "31924"}
ERRORS = {"31903": "Stream - Websocket - Connection Broken Pipe", "31924": "Stream - Websocket - Protocol Error"}


def stream_url(verb: ConnectStream, base_url: str, settings: PhoneSettings) -> str:
    """The url that the carrier dials and signs, as written in the TwiML but for a query string.

    Raises:
        ConnectFailed: 31922, 31923, or 31920 when a query is to fail.
    """
    url = verb.url
    if "://" not in url:
        url = urljoin(base_url, url).replace("http", "ws", 1)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as exc:
        raise ConnectFailed("31923", f"malformed stream url: {exc}") from exc
    if not host:
        raise ConnectFailed("31923", "the stream url names no host")
    local = settings.allow_ws and (host in LOOPBACK or host in settings.ws_hosts)
    if parts.scheme != "wss" and not (parts.scheme == "ws" and local):
        raise ConnectFailed("31922", f"the stream url's scheme is {parts.scheme}, not wss")
    if parts.query and settings.query_in_stream_url == "fail":
        raise ConnectFailed("31920", "the stream url has a query string")
    return url.partition("?")[0]


def upgrade_headers(url: str, settings: PhoneSettings) -> dict[str, str]:
    """What the carrier's upgrade carries besides RFC 6455's own headers: no Origin, no sub-protocol, no extension."""
    headers = {"User-Agent": "Twilio.TmeWs/1.0", "Accept-Encoding": "gzip"}
    signed = url + "/" if settings.sign_with_trailing_slash else url
    if signature := sign(signed, {}, settings.auth_token, settings.upgrade_signature or settings.signature):
        name = "X-Twilio-Signature"
        headers[name.lower() if settings.lower_case_signature_header else name] = signature
    return headers


class PhoneLeg:
    """One `<Connect><Stream>`. `run` lives as long as its socket."""

    def __init__(
        self, verb: ConnectStream, base_url: str, record: CallRecord, courier: Courier, started: Callable[[], None]
    ) -> None:
        """
        Args:
            started: called when the socket is open and `start` is on its way.
        """
        self.stream_sid = new_sid("MZ")
        self.stream: CarrierStream | None = None
        """None until the socket is open."""
        self._verb = verb
        self._base_url = base_url
        self._record = record
        self._settings = record.settings
        self._courier = courier
        self._started = started
        self._loop = asyncio.get_running_loop()
        self._socket: CarrierSocket | None = None
        self._early: list[str | bytes | Gone] = []
        self._alarm: asyncio.Future[None] | None = None
        self._closing = False
        self._close_sent: asyncio.Future[None] = self._loop.create_future()
        self._next_ping = float("inf")

    @property
    def live(self) -> bool:
        """The socket is open."""
        return self.stream is not None and self.stream.over is None

    async def run(self) -> Gone:
        """Open the stream and live it.

        Returns:
            How it ended.

        Raises:
            ConnectFailed: it could not be opened.
        """
        try:
            self._socket = await self._open()
        except ConnectFailed as exc:
            self._record.warn(self._loop.time(), exc.code, str(exc))
            self._report("stream-error", error=f"Stream - Websocket - {exc}")
            raise
        stream = self._start()
        try:
            over = await self._pump(self._socket, stream)
            code = CODES.get(over.how, "") if not stream.stopped else ""
            if code:
                self._record.warn(self._loop.time(), code, over.detail)
            self._record.note(self._loop.time(), "closed", f"{over.how} {over.detail}".strip())
            if code in ERRORS:
                self._report("stream-error", error=ERRORS[code])
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await asyncio.shield(self._socket.closed)
        except TimeoutError:
            self._cut_off()
        finally:
            self._socket.abort()
            stream.end(Gone("left"), self._loop.time())
            if not self._close_sent.done():
                self._close_sent.set_result(None)
            self._report("stream-stopped")
        return over

    # -- the caller and the carrier do something ---------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed: look again at what is due."""
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    def stop(self) -> None:
        """Send `stop`; the socket stays open."""
        if self.live and self.stream is not None:
            self.stream.stop(self._loop.time())
            self.wake()

    async def close(self) -> None:
        """Close from the carrier's side, behind what is on the way; returns when the close frame has left."""
        if self.live and self.stream is not None:
            self.stream.stop(self._loop.time(), say=False)
            self._closing = True
            self.wake()
            await self._close_sent

    def drop(self) -> None:
        """The network between carrier and server breaks."""
        if self._socket is not None:
            self._socket.abort()

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _open(self) -> CarrierSocket:
        url = stream_url(self._verb, self._base_url, self._settings)
        if "?" in self._verb.url:
            self._record.warn(self._loop.time(), "stream_url_query", "the carrier drops a stream url's query string")
        self._record.note(self._loop.time(), "connecting")
        return await open_socket(
            url,
            upgrade_headers(url, self._settings),
            self._receive,
            self._receive,
            timeout=self._settings.connect_timeout_s,
            tls=self._settings.tls,
        )

    def _start(self) -> CarrierStream:
        now = self._loop.time()
        self.stream = CarrierStream(self._record, self.stream_sid, self._verb.parameters, now)
        self._record.note(now, "started", self.stream_sid)
        for message in self._early:
            self.stream.receive(message, now)
        if self._settings.ping_interval_s:
            self._next_ping = now + self._settings.ping_interval_s
        self._report("stream-started")
        self._started()
        return self.stream

    def _receive(self, message: str | bytes | Gone) -> None:
        if self.stream is None:
            self._early.append(message)  # sent with, or right behind, the answer to the upgrade
        else:
            self.stream.receive(message, self._loop.time())
            self.wake()

    async def _pump(self, socket: CarrierSocket, stream: CarrierStream) -> Gone:
        while True:
            now = self._loop.time()
            for message in stream.step(now, congested=socket.backlog > self._settings.inbound_buffer_bytes):
                socket.send(message)
            if stream.over is not None:
                return stream.over
            if self._closing and not stream.on_the_way and not self._close_sent.done():
                socket.close()
                self._close_sent.set_result(None)
                self._loop.call_later(CLOSE_TIMEOUT, self._cut_off)
            if now >= self._next_ping:
                socket.ping()
                self._next_ping += self._settings.ping_interval_s or 0.0
            await self._sleep(min(stream.next_due, self._next_ping))

    def _cut_off(self) -> None:
        if self._socket is not None and not self._socket.closed.done():
            self._record.warn(self._loop.time(), "close_unfinished", "the server did not finish the closing handshake")
            self._socket.abort()

    async def _sleep(self, until: float) -> None:
        alarm = self._alarm = self._loop.create_future()
        timer = self._loop.call_at(until, self.wake) if until < float("inf") else None
        try:
            await alarm
        finally:
            if timer is not None:
                timer.cancel()

    def _report(self, event: str, *, error: str = "") -> None:
        """Tell the stream's status callback. Its time stamp is ISO 8601, unlike a call's."""
        if self._verb.status_callback is None:
            return
        fields = {
            "AccountSid": self._settings.account_sid,
            "CallSid": self._record.call_sid,
            "StreamSid": self.stream_sid,
            "StreamName": self._verb.name or self.stream_sid,
            "StreamEvent": event,
            "Timestamp": self._record.wall(self._loop.time()).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if error:
            fields["StreamError"] = error
        url = urljoin(self._base_url, self._verb.status_callback)
        self._courier.send(Callback(url, fields, self._verb.status_callback_method))
