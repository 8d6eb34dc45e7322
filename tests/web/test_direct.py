"""Text messages that reach their reader by a plain call, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidState

from lineside.web.direct import EXTENSION, DirectProtocol
from lineside.web.serving import config, serving

Serve = Callable[[WebSocket, DirectProtocol], Awaitable[None]]


def app(serve: Serve) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await serve(websocket, scope["extensions"][EXTENSION])

    return answer


@asynccontextmanager
async def talking(serve: Serve) -> AsyncIterator[ClientConnection]:
    """A client of a server that does this with its socket."""
    async with (
        serving(app(serve)) as address,
        connect(f"ws://{address}/", ping_interval=None, compression=None, close_timeout=1, max_queue=None) as client,
    ):
        yield client


async def gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def test_messages_that_came_before_anybody_listened_come_first_and_once() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        await asyncio.sleep(1)
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        for n in range(50):
            await client.send(str(n))
        await asyncio.sleep(2)
        for n in range(50, 100):
            await client.send(str(n))
        await asyncio.sleep(1)
    assert got == [str(n) for n in range(100)]


async def test_one_message_may_come_in_many_frames() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        await client.send(["frag", "men", "ted ", "\N{GREEK SMALL LETTER ALPHA}"])
        await client.send(["", "x"])
        await client.send("whole")
        await asyncio.sleep(1)
    assert got == ["fragmented \N{GREEK SMALL LETTER ALPHA}", "x", "whole"]


async def test_binary_messages_are_passed_over() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        for _ in range(100):
            await client.send(b"\x00" * 100)
        await client.send([b"a", b"b"])
        await client.send("text")
        await asyncio.sleep(1)
    assert got == ["text"]


async def test_text_that_is_not_utf_8_ends_the_socket_and_reaches_nobody() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        await client.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), 5)
        assert client.close_code == 1007
    assert got == []


async def test_a_message_that_is_too_large_ends_the_socket() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    for message in ("x" * 70_000, ["x" * 40_000, "x" * 40_000]):
        async with talking(serve) as client:
            await client.send("x" * 60_000)
            await asyncio.sleep(1)
            await client.send(message)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), 5)
            assert client.close_code == 1009
    assert [len(each) for each in got] == [60_000, 60_000]


async def test_what_is_sent_arrives_in_order_and_then_the_close() -> None:
    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(lambda _: None)
        for n in range(100):
            direct.send_text(str(n))
        direct.close()
        direct.close()
        direct.send_text("too late")
        await gone(websocket)

    async with talking(serve) as client:
        assert [str(message) async for message in client] == [str(n) for n in range(100)]
        assert client.close_code == 1000


async def test_sending_after_the_peer_has_closed_is_nothing() -> None:
    sent = asyncio.Event()

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(lambda _: None)
        await gone(websocket)
        direct.send_text("too late")
        direct.close()
        sent.set()

    async with talking(serve) as client:
        await client.close()
        await asyncio.wait_for(sent.wait(), 5)


async def test_a_lost_connection_is_noticed_and_takes_nothing_more() -> None:
    noticed = asyncio.Event()

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(lambda _: None)
        await gone(websocket)
        direct.send_text("too late")
        direct.close()
        noticed.set()

    async with talking(serve) as client:
        client.transport.abort()
        await asyncio.wait_for(noticed.wait(), 5)


async def test_small_messages_are_not_held_back_for_larger_ones() -> None:
    held_back: list[int] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        transport_socket = direct.transport.get_extra_info("socket")
        held_back.append(transport_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        direct.listen(lambda _: None)
        direct.close()
        await gone(websocket)

    async with talking(serve) as client:
        await asyncio.wait_for(client.wait_closed(), 5)
    assert held_back == [1]


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "does not read"])
async def test_a_peer_that_never_finishes_the_close_is_cut_off(reads: bool) -> None:
    lost_at: list[float] = []
    closed_at: list[float] = []
    now = asyncio.get_running_loop().time

    class Cut(DirectProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost_at.append(now())
            super().connection_lost(exc)

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.__class__ = Cut
        direct.listen(lambda _: None)
        direct.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        for _ in range(1 if reads else 1_000):
            direct.send_text("x" * 1000)
        assert (direct.backlog == 0) is reads
        closed_at.append(now())
        direct.close()
        await gone(websocket)

    async with serving(app(serve)) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        if reads:
            await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(30)
        assert lost_at[0] - closed_at[0] == pytest.approx(10, abs=0.1)
        writer.transport.abort()


# -- frames that are taken apart here, beside the library on the same bytes -------------------------------------------

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
LARGEST = 300
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x00, 0x01, 0x02, 0x08, 0x09, 0x0A
FIN, RSV1, RSV3 = 0x80, 0x40, 0x10


class Library(DirectProtocol):
    """The same without the short way."""

    n_fast = 0

    def _take_texts(self, data: bytes, on_text: Callable[[str], None]) -> bytes:
        return data


class Counting(DirectProtocol):
    n_fast = 0

    def _take_texts(self, data: bytes, on_text: Callable[[str], None]) -> bytes:
        rest = super()._take_texts(data, on_text)
        self.n_fast += len(data) - len(rest)
        return rest


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return self.over

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def frame(head: int, payload: bytes, *, mask: bytes | None = b"mask", form: int = 0) -> bytes:
    """A client's frame. `form`: 126 or 127 writes the length in two or eight bytes, needed or not."""
    n, bit = len(payload), 0 if mask is None else 0x80
    form = form or (n if n < 126 else 126)
    length = {126: n.to_bytes(2, "big"), 127: n.to_bytes(8, "big")}.get(form, b"")
    masked = payload if mask is None else bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes((head, bit | form)) + length + (mask or b"") + masked


@dataclass
class Exchange:
    """What came of some bytes."""

    got: list[str]
    """The texts that reached the reader."""
    answered: bytes
    over: bool
    """The server closed the connection."""
    n_fast: int
    """Bytes that the library has not seen."""


def exchange(kind: type[Library | Counting], pieces: list[bytes], close_at: str | None = None) -> Exchange:
    """Give some bytes to a server of this kind whose reader closes at the text `close_at`."""
    got: list[str] = []

    async def run() -> Exchange:
        wire, listening = Wire(), asyncio.Event()

        def take(text: str) -> None:
            got.append(text)
            if text == close_at:
                protocol.close()

        async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
            direct.listen(take)
            listening.set()
            await gone(websocket)

        SETTINGS.loaded_app = app(serve)
        protocol = kind(SETTINGS, ServerState(), {})
        protocol.connection_made(wire)
        protocol.data_received(HANDSHAKE)
        await asyncio.wait_for(listening.wait(), 5)
        raised = False
        for piece in pieces:
            if not (wire.over or raised):
                try:
                    protocol.data_received(piece)
                except InvalidState:  # of uvicorn's, when a broken close comes with a broken text: asyncio ends it then
                    raised = True
        over = wire.over or raised
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        return Exchange(got, wire.written, over, protocol.n_fast)

    return asyncio.run(run())


def served() -> Config:
    made = config(app(lambda *_: asyncio.sleep(0)), "127.0.0.1", 0)
    made.ws_max_size, made.ws_ping_interval = LARGEST, None
    made.load()
    return made


SETTINGS = served()

texts = st.text(max_size=8).map(str.encode) | st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 127, b"x" * LARGEST])
masks = st.binary(min_size=4, max_size=4)
sound = st.builds(frame, st.just(FIN | TEXT), texts, mask=masks, form=st.sampled_from([0, 0, 0, 126, 127]))
fragments = st.lists(texts.filter(lambda it: len(it) < 99), min_size=2, max_size=3).map(
    lambda parts: b"".join(
        frame((FIN if i == len(parts) - 1 else 0) | (CONT if i else TEXT), part) for i, part in enumerate(parts)
    )
)
control = st.builds(frame, st.sampled_from([FIN | PING, FIN | PONG, FIN | BINARY]), st.binary(max_size=20))
hostile = st.one_of(
    st.builds(frame, st.integers(0, 255), st.binary(max_size=130), mask=masks),
    st.builds(frame, st.just(FIN | TEXT), texts, mask=st.none()),
    st.sampled_from(
        [
            frame(FIN | TEXT, b"\xff\xfe"),
            frame(FIN | TEXT, b"x" * (LARGEST + 1)),
            frame(FIN | TEXT, b"x" * (LARGEST + 1), form=127),
            frame(FIN | RSV1 | TEXT, b"x"),
            frame(FIN | RSV3 | TEXT, b"x"),
            frame(TEXT, b"never ended"),
            frame(FIN | CONT, b"never begun"),
            frame(FIN | PING, b"x" * 126),
            frame(FIN | CLOSE, b"\x03\xe8"),
            frame(FIN | CLOSE, b"x"),
            b"\x81\xff" + b"\xff" * 8,
        ]
    ),
    st.binary(max_size=20),
)


@settings(max_examples=100)
@given(st.lists(sound | fragments | control | hostile, max_size=8), st.booleans(), st.lists(st.integers(0, 700)))
@example([frame(FIN | TEXT, b"a") * 3], False, [1, 3, 8])
@example([frame(FIN | TEXT, b"a" * 130) * 2], False, [2, 4, 6, 139])  # cut within its header
@example([frame(FIN | TEXT, b"a" * 9, mask=b"\x81\x80\x00\x00")], False, [2])  # a mask like a frame's beginning
@example([frame(FIN | TEXT, b"a" * 120, form=127), b"a" * 99], False, [])
@example([frame(FIN | TEXT, b"a" * 5, mask=None), b"a" * 200], False, [])
@example([frame(TEXT, b"a"), frame(FIN | TEXT, b"b")], True, [])  # a message begun within another
@example([frame(FIN | CLOSE, b"\x03\xe8"), frame(FIN | TEXT, b"late")], True, [])
@example([frame(FIN | TEXT, b"\xff"), frame(FIN | TEXT, b""), frame(FIN | CLOSE, b"\x03")], False, [])
def test_whatever_comes_and_however_it_is_cut_it_is_as_if_the_library_had_taken_it(
    frames: list[bytes], one_by_one: bool, cuts: list[int]
) -> None:
    whole = b"".join(frames)
    ends = list(accumulate(map(len, frames))) if one_by_one else []
    at = sorted({0, len(whole), *ends, *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in pairwise(at)]
    ours, library = exchange(Counting, pieces, "x"), exchange(Library, pieces, "x")
    assert ours.over == library.over
    if not ours.over:
        assert (ours.got, ours.answered) == (library.got, library.answered)
    else:  # of what comes with a broken frame, in one piece, the library tells nothing
        patient = exchange(Library, [bytes((byte,)) for byte in whole], "x")
        assert ours.got[: len(library.got)] == library.got
        assert patient.got[: len(ours.got)] == ours.got


def test_the_carriers_messages_do_not_go_through_the_library() -> None:
    messages = [frame(FIN | TEXT, b"%d" % n * 100) for n in range(3)]
    ours = exchange(Counting, messages)
    assert (len(ours.got), ours.n_fast) == (3, sum(map(len, messages)))


def test_several_messages_may_come_at_once_and_the_last_one_later() -> None:
    whole = b"".join(frame(FIN | TEXT, b"%d" % n * 100) for n in range(4))
    ours = exchange(Counting, [whole[:-50], whole[-50:], frame(FIN | TEXT, b"more")])
    assert [text[0] for text in ours.got] == ["0", "1", "2", "3", "m"]
    assert ours.n_fast == 3 * 106 + 10


def test_nothing_is_handed_over_after_the_reader_has_closed() -> None:
    ours = exchange(Counting, [b"".join(frame(FIN | TEXT, b"%d" % n) for n in range(4))], "1")
    assert ours.got == ["0", "1"]
