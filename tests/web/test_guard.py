"""By what URL a request was signed, and who may have signed it."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.requests import HTTPConnection, Request

from calls.stage import ACCOUNT, TOKEN, signature
from lineside.carriers.twilio_rest import Account
from lineside.errors import AuthError, RemoteProtocolError
from lineside.web.guard import BODY_TIMEOUT, MAX_BODY, Guard

GUARD = Guard({ACCOUNT: Account(ACCOUNT, (TOKEN, "the next one"))})
FORM = "application/x-www-form-urlencoded"


def scope(kind: str = "http", **how: Any) -> dict[str, Any]:
    headers = {"host": "here.example"} | how.pop("headers", {})
    return {
        "type": kind,
        "scheme": "https" if kind == "http" else "wss",
        "method": "POST",
        "path": "/a/b",
        "raw_path": b"/a/b",
        "query_string": b"",
        "root_path": "",
        "client": ("10.0.0.7", 1234),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
    } | how


def request(*chunks: bytes, stop: bool = True, **how: Any) -> Request:
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not stop}

    return Request(scope(**how), receive)


@pytest.mark.parametrize(
    ("how", "url"),
    [
        ({}, "https://here.example/a/b"),
        ({"scheme": "http"}, "http://here.example/a/b"),
        ({"query_string": b"x=1&y=%20"}, "https://here.example/a/b?x=1&y=%20"),
        ({"path": "/a b", "raw_path": b"/a%20b"}, "https://here.example/a%20b"),
        ({"path": "/\N{LATIN SMALL LETTER E WITH ACUTE}", "raw_path": b"/%c3%a9"}, "https://here.example/%c3%a9"),
        ({"raw_path": None}, "https://here.example/a/b"),
        ({"headers": {"host": "here.example:8443"}}, "https://here.example:8443/a/b"),
        ({"headers": {"host": "[::1]:8080"}, "scheme": "http"}, "http://[::1]:8080/a/b"),
        ({"headers": {"x-forwarded-host": "there.example", "x-forwarded-proto": "http"}}, "https://here.example/a/b"),
        ({"client": None}, "https://here.example/a/b"),
    ],
)
def test_the_url_is_what_the_request_says(how: dict[str, Any], url: str) -> None:
    assert GUARD.url(HTTPConnection(scope(**how))) == url


def test_a_stream_is_signed_for_a_websocket_url() -> None:
    assert GUARD.url(HTTPConnection(scope("websocket")), upgrade=True) == "wss://here.example/a/b"


@pytest.mark.parametrize(
    ("root", "url"),
    [
        ("", "https://here.example/twilio/after"),
        ("/phone", "https://here.example/phone/twilio/after"),
        ("/our phones", "https://here.example/our%20phones/twilio/after"),
        ("/\N{LATIN SMALL LETTER E WITH ACUTE}", "https://here.example/%C3%A9/twilio/after"),
    ],
)
def test_other_paths_of_ours_lie_where_we_are_mounted(root: str, url: str) -> None:
    connection = HTTPConnection(scope(root_path=root, query_string=b"x=1"))
    assert GUARD.url(connection, path="/twilio/after") == url


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7"])
def test_a_trusted_proxy_says_what_was_called(peer: str) -> None:
    guard = Guard({}, trusted_proxies=[ip_network("10.0.0.0/24")])
    headers = {"x-forwarded-host": "there.example, between.example", "x-forwarded-proto": "https,http"}
    connection = HTTPConnection(scope(scheme="http", client=(peer, 1), headers=headers))
    assert guard.url(connection) == "https://there.example/a/b"


@pytest.mark.parametrize("peer", ["10.0.1.7", "not an address", None])
def test_anybody_else_does_not(peer: str | None) -> None:
    guard = Guard({}, trusted_proxies=[ip_network("10.0.0.0/24")])
    headers = {"x-forwarded-host": "there.example"}
    assert guard.url(HTTPConnection(scope(client=peer and (peer, 1), headers=headers))) == "https://here.example/a/b"


@pytest.mark.parametrize("host", ["", "a b", "a/b", "user@host", "a?b"])
def test_a_request_that_does_not_name_its_host_is_refused(host: str) -> None:
    with pytest.raises(AuthError):
        GUARD.url(HTTPConnection(scope(headers={"host": host})))


async def test_a_form_keeps_empty_and_repeated_fields_and_their_order() -> None:
    body = f"AccountSid={ACCOUNT}&B=&A=2&A=1&C=%C3%A9+%2B".encode()
    signed = signature(TOKEN, "https://here.example/a/b", {"AccountSid": ACCOUNT, "B": "", "A": "1", "C": "\xe9 +"})
    fields = [("AccountSid", ACCOUNT), ("B", ""), ("A", "2"), ("A", "1"), ("C", "\xe9 +")]
    with pytest.raises(AuthError):  # a dict has lost one of the two values of A
        await GUARD.form(request(body, headers={"content-type": FORM, "x-twilio-signature": signed}))
    good = _sign_pairs(TOKEN, "https://here.example/a/b", fields)
    assert await GUARD.form(request(body, headers={"content-type": FORM, "x-twilio-signature": good})) == fields


def _sign_pairs(token: str, url: str, fields: list[tuple[str, str]]) -> str:
    import hmac
    from base64 import b64encode

    text = url + "".join(name + value for name, value in sorted(fields))
    return b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


async def test_a_body_may_come_in_pieces() -> None:
    fields = {"AccountSid": ACCOUNT, "X": "1"}
    good = signature("the next one", "https://here.example/a/b", fields)
    pieces = [b"Account", b"Sid=" + ACCOUNT.encode(), b"", b"&X=1"]
    got = await GUARD.form(request(*pieces, headers={"x-twilio-signature": good}))
    assert got == list(fields.items())


async def test_a_body_has_a_largest_size_and_a_longest_time() -> None:
    with pytest.raises(RemoteProtocolError, match="bytes"):
        await GUARD.form(request(*[b"x" * 1000] * (MAX_BODY // 1000 + 1), stop=False))
    began = asyncio.get_running_loop().time()
    with pytest.raises(RemoteProtocolError, match="10 s"):
        await GUARD.form(request(b"x", stop=False))
    assert asyncio.get_running_loop().time() - began == pytest.approx(BODY_TIMEOUT)


def test_an_upgrade_of_an_account_that_we_do_not_know_is_refused() -> None:
    connection = HTTPConnection(scope("websocket", headers={"x-twilio-signature": "A" * 28}))
    with pytest.raises(AuthError):
        GUARD.check_upgrade(connection, "AC" + "f" * 32)


def test_an_account_does_not_show_its_secrets() -> None:
    account = Account(ACCOUNT, ("one secret", "another"), api_key="SK1", api_secret="a third")
    for secret in ("one secret", "another", "a third"):
        assert secret not in repr(account)
        assert secret not in repr(Guard({ACCOUNT: account}))
