"""X-Twilio-Signature, and the URL that was signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from typing import TypedDict, Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from lineside.errors import AuthError, LocalProtocolError, SettingsError
from lineside.wire.signature import (
    public_url,
    sign_form,
    sign_url,
    trusted,
    valid_form,
    valid_json,
    valid_upgrade,
)

TOKEN = "12345"
OTHER = "98765"

FORM_URL = "https://example.com/myapp.php?foo=1&bar=2"
FORM = [
    ("To", "+18005551212"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
]
FORM_SIGNATURE = "L/OH5YylLD5NRKLltdqwSvS0BnU="

STREAM_URL = "wss://example.com/audiostream"
STREAM_SIGNATURE = "h1GDe9X4/sxGZmaZfzZVvygMML0="
STREAM_SLASH_SIGNATURE = "pA7u5BhDtgkynBQ7ElFK/UOByGg="
STREAM_HTTPS_SIGNATURE = "L2EgZfO7O92nD2K3YQ439vQNcNE="

BODY = b'{"CallSid":"CA1234567890ABCDE","Caller":"+12349013030"}'
BODY_HASH = "5ccde7145dfb8f56479710896586cb9d5911809d83afbe34627818790db0aec9"
JSON_URL = f"https://example.com/myapp?bodySHA256={BODY_HASH}"
JSON_SIGNATURE = "hPXmLwIy3Fgqv1i9KPmH/HhQ6zo="

BAD_SIGNATURES = [
    None,
    "",
    "=",
    " ",
    "garbage",
    "0" * 28,
    "é" * 28,
    "\x00" * 28,
    "\ud800" * 28,
    "A" * 100_000,
    FORM_SIGNATURE[:-1],
    FORM_SIGNATURE + " ",
    " " + FORM_SIGNATURE,
    FORM_SIGNATURE.lower(),
    FORM_SIGNATURE[:-1] + "é",
    FORM_SIGNATURE + "," + FORM_SIGNATURE,
]


# -- the carrier's own vectors -----------------------------------------------------------------------------------------


def test_a_form_is_signed_as_the_documentation_shows() -> None:
    assert sign_form(TOKEN, FORM_URL, FORM) == FORM_SIGNATURE
    assert valid_form([TOKEN], FORM_URL, FORM, FORM_SIGNATURE)


def test_a_stream_url_is_signed_as_written() -> None:
    assert sign_url(TOKEN, STREAM_URL) == STREAM_SIGNATURE
    assert sign_url(TOKEN, STREAM_URL + "/") == STREAM_SLASH_SIGNATURE
    assert sign_url(TOKEN, "https://example.com/audiostream") == STREAM_HTTPS_SIGNATURE


def test_an_upgrade_may_be_signed_with_a_slash_at_its_end_but_not_as_https() -> None:
    assert valid_upgrade([TOKEN], STREAM_URL, STREAM_SIGNATURE)
    assert valid_upgrade([TOKEN], STREAM_URL, STREAM_SLASH_SIGNATURE)
    assert not valid_upgrade([TOKEN], STREAM_URL, STREAM_HTTPS_SIGNATURE)


def test_json_is_signed_by_its_url_and_the_hash_therein() -> None:
    assert hashlib.sha256(BODY).hexdigest() == BODY_HASH
    assert sign_url(TOKEN, JSON_URL) == JSON_SIGNATURE
    assert valid_json([TOKEN], JSON_URL, BODY, JSON_SIGNATURE)


# -- against the carrier's library -------------------------------------------------------------------------------------


class Fields(dict[str, list[str]]):
    """A multi-value form as web frameworks have it."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def as_fields(params: Iterable[tuple[str, str]]) -> Fields:
    fields = Fields()
    for name, value in params:
        fields.setdefault(name, []).append(value)
    return fields


PARAMS = st.lists(
    st.tuples(st.text(max_size=6) | st.sampled_from(["a", "A", "aa", "To"]), st.text(max_size=8)), max_size=8
)


@given(st.text(min_size=1, max_size=40), st.text(max_size=60), PARAMS)
def test_every_form_is_signed_as_the_library_does(token: str, url: str, params: list[tuple[str, str]]) -> None:
    assert sign_form(token, url, params) == RequestValidator(token).compute_signature(url, as_fields(params))


@given(st.text(min_size=1, max_size=40), st.text(max_size=60))
def test_every_url_is_signed_as_the_library_does(token: str, url: str) -> None:
    assert sign_url(token, url) == RequestValidator(token).compute_signature(url, {})


@given(st.permutations([*FORM, ("b", "2"), ("B", "1"), ("b", "1"), ("b", "2"), ("", ""), ("é", "ü")]))
def test_the_order_of_fields_does_not_matter(params: list[tuple[str, str]]) -> None:
    expected = RequestValidator(TOKEN).compute_signature(FORM_URL, as_fields(params))
    assert sign_form(TOKEN, FORM_URL, params) == sign_form(TOKEN, FORM_URL, sorted(params)) == expected


def test_names_are_ordered_with_capitals_first_and_repeated_values_count_once() -> None:
    params = [("b", "x"), ("B", "y"), ("b", "a"), ("b", "x")]
    assert sign_form(TOKEN, "https://h/", params) == sign_url(TOKEN, "https://h/" + "By" + "ba" + "bx")


@given(st.binary(max_size=200))
def test_every_json_body_is_valid_as_the_library_says(body: bytes) -> None:
    url = f"https://example.com/a?x=1&bodySHA256={hashlib.sha256(body).hexdigest()}"
    assert valid_json([TOKEN], url, body, RequestValidator(TOKEN).compute_signature(url, {}))


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", BAD_SIGNATURES, ids=lambda signature: ascii(signature)[:20])
def test_anything_but_the_signature_is_refused(signature: str | None) -> None:
    assert not valid_form([TOKEN], FORM_URL, FORM, signature)
    assert not valid_json([TOKEN], JSON_URL, BODY, signature)
    assert not valid_upgrade([TOKEN], STREAM_URL, signature)


@given(st.none() | st.text() | st.text("abcABC019+/=", min_size=28, max_size=28))
def test_no_made_up_signature_is_valid_and_none_raises(signature: str | None) -> None:
    assert not valid_form([TOKEN, OTHER], FORM_URL, FORM, signature)
    assert not valid_upgrade([TOKEN, OTHER], STREAM_URL, signature)


@pytest.mark.parametrize(
    "params",
    [
        [],
        FORM[:-1],
        [*FORM, ("Extra", "")],
        [*FORM, ("Digits", "1235")],
        [(name.lower(), value) for name, value in FORM],
        [(name, value + " ") for name, value in FORM],
        [(name, value.replace("+", " ")) for name, value in FORM],
        [*FORM, ("\ud800", "\udfff")],
    ],
)
def test_a_form_with_other_fields_is_refused(params: list[tuple[str, str]]) -> None:
    assert not valid_form([TOKEN], FORM_URL, params, FORM_SIGNATURE)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/myapp.php",
        "https://example.com/myapp.php?bar=2&foo=1",
        "https://example.com/myapp.php?foo=1&bar=2&",
        "https://example.com/myapp.php/?foo=1&bar=2",
        "https://example.com/%6dyapp.php?foo=1&bar=2",
        "https://example.com.evil.net/myapp.php?foo=1&bar=2",
        "http://example.com/myapp.php?foo=1&bar=2",
        "wss://example.com/myapp.php?foo=1&bar=2",
        "ftp://example.com/myapp.php?foo=1&bar=2",
        "https://example.com:/myapp.php?foo=1&bar=2",
        "https://example.com:x/myapp.php?foo=1&bar=2",
        "https://exa mple.com/myapp.php?foo=1&bar=2",
        "https://example.com/myapp.php?foo=1&bar=2#fragment",
        " https://example.com/myapp.php?foo=1&bar=2",
        "//example.com/myapp.php?foo=1&bar=2",
        "/myapp.php?foo=1&bar=2",
        "https://",
        "https:///myapp.php?foo=1&bar=2",
        "\x00",
        "",
    ],
)
def test_a_form_to_another_url_is_refused(url: str) -> None:
    assert not valid_form([TOKEN], url, FORM, FORM_SIGNATURE)


@pytest.mark.parametrize("url", ["ftp://h/a", "https://h:x/a", "https://h/a#b", "/a", "", "wss://h/a", "HTTPS://h/a"])
def test_no_signature_at_all_is_valid_for_what_is_not_an_http_url(url: str) -> None:
    assert not valid_form([TOKEN], url, [], sign_url(TOKEN, url))


@pytest.mark.parametrize("url", ["https://h/a", "http://h/a", "h/a", "", "wss://h/a#b"])
def test_no_signature_at_all_is_valid_for_what_is_not_a_socket_url(url: str) -> None:
    assert not valid_upgrade([TOKEN], url, sign_url(TOKEN, url))


def test_a_get_is_signed_with_its_query_alone() -> None:
    assert valid_form([TOKEN], FORM_URL, [], sign_url(TOKEN, FORM_URL))


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (JSON_URL, BODY + b" "),
        (JSON_URL, b""),
        (JSON_URL, b"\xff\x00"),
        ("https://example.com/myapp", BODY),
        ("https://example.com/myapp?bodySHA256=", BODY),
        (f"https://example.com/myapp?bodysha256={BODY_HASH}", BODY),
        (f"https://example.com/myapp?bodySHA256={BODY_HASH.upper()}", BODY),
        (f"https://example.com/myapp?bodySHA256={BODY_HASH}&bodySHA256={'0' * 64}", BODY),
        (f"https://example.com/myapp?bodySHA256={'0' * 64}&bodySHA256={BODY_HASH}", BODY),
        (f"https://example.com/bodySHA256={BODY_HASH}", BODY),
        (f"https://example.com/myapp?bodySHA256={'é' * 64}", BODY),
        ("https://example.com/myapp?bodySHA256=\ud800", BODY),
    ],
)
def test_json_whose_hash_is_not_in_the_signed_url_is_refused(url: str, body: bytes) -> None:
    assert not valid_json([TOKEN], url, body, sign_url(TOKEN, url))


def test_json_signed_with_another_token_is_refused() -> None:
    assert not valid_json([OTHER], JSON_URL, BODY, JSON_SIGNATURE)


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "valid"),
    [
        ([TOKEN], True),
        ([TOKEN, OTHER], True),
        ([OTHER, TOKEN], True),
        (["", TOKEN], True),
        ((TOKEN,), True),
        ([OTHER], False),
        ([TOKEN + " "], False),
        ([""], False),
        ([], False),
        (["\ud800"], False),
    ],
)
def test_any_of_the_tokens_may_have_signed(tokens: list[str], valid: bool) -> None:
    assert valid_form(tokens, FORM_URL, FORM, FORM_SIGNATURE) is valid
    assert valid_json(tokens, JSON_URL, BODY, JSON_SIGNATURE) is valid
    assert valid_upgrade(tokens, STREAM_URL, STREAM_SIGNATURE) is valid


def test_an_empty_token_signs_nothing() -> None:
    assert not valid_form([""], FORM_URL, FORM, sign_form("", FORM_URL, FORM))
    assert not valid_upgrade(["", OTHER], STREAM_URL, sign_url("", STREAM_URL))


def test_one_token_is_not_taken_for_a_sequence_of_letters() -> None:
    forged = sign_url("1", STREAM_URL)
    with pytest.raises(LocalProtocolError):
        valid_upgrade(TOKEN, STREAM_URL, forged)
    with pytest.raises(LocalProtocolError):
        valid_form(TOKEN, FORM_URL, FORM, FORM_SIGNATURE)


# -- ports -------------------------------------------------------------------------------------------------------------

PORTS = [  # scheme, port where we are asked, port where it was signed, the same?
    ("s", "", "", True),
    ("s", "", ":443", True),
    ("s", ":443", "", True),
    ("s", ":443", ":443", True),
    ("s", ":8443", "", True),
    ("s", ":8443", ":8443", True),
    ("s", "", ":8443", False),
    ("s", ":8443", ":443", False),
    ("s", ":443", ":8443", False),
    ("s", "", ":80", False),
    ("", "", "", True),
    ("", ":8000", ":8000", True),
    ("", ":8000", "", False),
    ("", "", ":8000", False),
    ("", "", ":443", False),
]


@pytest.mark.parametrize("host", ["example.com", "a-b_c.example.com", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize(("secure", "asked", "signed", "same"), PORTS)
def test_a_port_may_be_missing_where_the_carrier_drops_it(
    host: str, secure: str, asked: str, signed: str, same: bool
) -> None:
    for rest in ("", "/", "/a/b?c=d:1&e=f/", "/a:8443/b@c"):
        form = sign_form(TOKEN, f"http{secure}://{host}{signed}{rest}", FORM)
        assert valid_form([TOKEN], f"http{secure}://{host}{asked}{rest}", FORM, form) is same
        upgrade = sign_url(TOKEN, f"ws{secure}://{host}{signed}{rest}")
        assert valid_upgrade([TOKEN], f"ws{secure}://{host}{asked}{rest}", upgrade) is same


@pytest.mark.parametrize(("secure", "asked", "signed", "same"), PORTS)
def test_slash_and_port_go_together(secure: str, asked: str, signed: str, same: bool) -> None:
    signature = sign_url(TOKEN, f"ws{secure}://h{signed}/media/x/")
    assert valid_upgrade([TOKEN], f"ws{secure}://h{asked}/media/x", signature) is same


def test_no_slash_is_added_to_a_query_and_none_taken_away() -> None:
    assert not valid_upgrade([TOKEN], "wss://h/a?b", sign_url(TOKEN, "wss://h/a?b/"))
    assert not valid_upgrade([TOKEN], "wss://h/a/", sign_url(TOKEN, "wss://h/a"))
    assert not valid_upgrade([TOKEN], "wss://h/a", sign_url(TOKEN, "wss://h/a//"))
    assert valid_upgrade([TOKEN], "wss://h/a?b", sign_url(TOKEN, "wss://h/a?b"))


def test_user_and_password_are_not_signed() -> None:
    assert valid_form([TOKEN], FORM_URL.replace("//", "//user:pass@"), FORM, FORM_SIGNATURE)
    assert valid_upgrade([TOKEN], "wss://user:p:w@example.com:443/audiostream", STREAM_SIGNATURE)


# -- the URL that was signed -------------------------------------------------------------------------------------------


class Request(TypedDict, total=False):
    configured: str | None
    scheme: str
    host: str | None
    raw_path: bytes
    raw_query: bytes
    forwarded_proto: str | None
    forwarded_host: str | None
    trusted_proxy: bool
    upgrade: bool


def asked(**changes: Unpack[Request]) -> str:
    """The public URL of a plain request from a proxy, with changes."""
    return public_url(
        configured=changes.get("configured"),
        scheme=changes.get("scheme", "http"),
        host=changes.get("host", "10.0.0.7:8080"),
        raw_path=changes.get("raw_path", b"/twilio/voice"),
        raw_query=changes.get("raw_query", b""),
        forwarded_proto=changes.get("forwarded_proto"),
        forwarded_host=changes.get("forwarded_host"),
        trusted_proxy=changes.get("trusted_proxy", False),
        upgrade=changes.get("upgrade", False),
    )


PROTOS: list[tuple[str | None, str]] = [  # X-Forwarded-Proto, what a trusted one means
    (None, "http"),
    ("", "http"),
    (" ", "http"),
    ("http", "http"),
    ("https", "https"),
    ("HTTPS", "https"),
    (" https ", "https"),
    ("https,http", "https"),
    ("http, https", "http"),
    ("https , http, http", "https"),
    ("wss", "https"),
    ("ws", "http"),
    (",https", "http"),
]
HOSTS: list[tuple[str | None, str]] = [  # X-Forwarded-Host, what a trusted one means
    (None, "10.0.0.7:8080"),
    ("", "10.0.0.7:8080"),
    ("voice.example.net", "voice.example.net"),
    ("voice.example.net:8443", "voice.example.net:8443"),
    (" voice.example.net ", "voice.example.net"),
    ("voice.example.net, inner.local", "voice.example.net"),
    ("voice.example.net,evil.example.org,10.0.0.7", "voice.example.net"),
    ("[2001:db8::1]:443", "[2001:db8::1]:443"),
]


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize(("host", "meant_host"), HOSTS)
@pytest.mark.parametrize(("proto", "meant_proto"), PROTOS)
def test_forwarded_headers_count_only_from_a_trusted_proxy_and_less_than_the_configured_origin(
    proto: str | None, meant_proto: str, host: str | None, meant_host: str, upgrade: bool
) -> None:
    def spell(scheme: str) -> str:
        return scheme.replace("http", "ws") if upgrade else scheme

    def ask(configured: str | None, trusted_proxy: bool) -> str:
        return asked(
            configured=configured,
            forwarded_proto=proto,
            forwarded_host=host,
            trusted_proxy=trusted_proxy,
            upgrade=upgrade,
        )

    assert ask(None, True) == f"{spell(meant_proto)}://{meant_host}/twilio/voice"
    assert ask(None, False) == f"{spell('http')}://10.0.0.7:8080/twilio/voice"
    for trusted_proxy in (True, False):
        assert ask("https://pbx.example.net", trusted_proxy) == f"{spell('https')}://pbx.example.net/twilio/voice"


@pytest.mark.parametrize("scheme", ["https", "wss", "HTTPS"])
@pytest.mark.parametrize(("upgrade", "expected"), [(False, "https"), (True, "wss")])
def test_a_secure_request_is_https_or_wss(scheme: str, upgrade: bool, expected: str) -> None:
    assert asked(scheme=scheme, host="h", upgrade=upgrade) == f"{expected}://h/twilio/voice"


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize(("upgrade", "expected"), [(False, "http"), (True, "ws")])
def test_a_plain_request_is_http_or_ws(scheme: str, upgrade: bool, expected: str) -> None:
    assert asked(scheme=scheme, host="h:8000", upgrade=upgrade) == f"{expected}://h:8000/twilio/voice"


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        (b"/", b"", "/"),
        (b"", b"", ""),
        (b"/a%2Fb%20c", b"", "/a%2Fb%20c"),
        (b"/a//b/../c", b"", "/a//b/../c"),
        (b"/a/", b"x=%7e&y=+&z=&&=", "/a/?x=%7e&y=+&z=&&="),
        (b"/a?", b"b", "/a??b"),
        (b"/a", b"?", "/a??"),
        (b"/\xff", b"\xe9", "/\xff?\xe9"),
    ],
)
def test_path_and_query_stay_exactly_as_received(path: bytes, query: bytes, target: str) -> None:
    assert asked(raw_path=path, raw_query=query, host="h") == f"http://h{target}"
    assert asked(raw_path=path, raw_query=query, configured="https://p.example") == f"https://p.example{target}"


@pytest.mark.parametrize(
    ("configured", "origin"),
    [
        ("https://voice.example.net", "https://voice.example.net"),
        ("https://voice.example.net/", "https://voice.example.net"),
        ("https://voice.example.net:8443", "https://voice.example.net:8443"),
        ("https://voice.example.net/lineside", "https://voice.example.net/lineside"),
        ("https://voice.example.net/lineside/", "https://voice.example.net/lineside"),
        ("HTTPS://Voice.Example.Net", "https://Voice.Example.Net"),
        ("wss://voice.example.net", "https://voice.example.net"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_configured_origin_replaces_all_that_the_request_says(configured: str, origin: str) -> None:
    expected = f"{origin}/twilio/voice?a=b"
    for host in ("evil.example.org", None, "not a host"):
        assert asked(configured=configured, host=host, raw_query=b"a=b") == expected
    assert asked(configured=configured, upgrade=True, raw_query=b"a=b") == expected.replace("http", "ws", 1)


@pytest.mark.parametrize(
    "configured",
    [
        "voice.example.net",
        "ftp://h",
        "https://",
        "https://h?a=b",
        "https://h/#x",
        "https://u:p@h",
        "https://h:port",
        " ",
        "https://h /",
        "https://h/a b",
        "https://h\n",
    ],
)
def test_a_configured_text_that_is_no_origin_is_a_settings_error(configured: str) -> None:
    with pytest.raises(SettingsError, match="LINESIDE_PUBLIC_URL"):
        asked(configured=configured)


NO_HOSTS = [
    "h/path",
    "h?x",
    "h#x",
    "u@h",
    "h h",
    "h:",
    "h:x",
    "h:123456",
    "[::1",
    "::1",
    "h\n",
    "\x00",
    "é.example",
    "a:1:2",
]


@pytest.mark.parametrize("host", [None, "", *NO_HOSTS])
def test_a_request_without_a_usable_host_is_refused(host: str | None) -> None:
    with pytest.raises(AuthError):
        asked(host=host)


@pytest.mark.parametrize("host", [host for host in NO_HOSTS if host == host.strip()])
def test_a_forwarded_host_that_is_none_is_refused_from_a_trusted_proxy_and_ignored_from_others(host: str) -> None:
    with pytest.raises(AuthError):
        asked(forwarded_host=host, trusted_proxy=True)
    assert asked(forwarded_host=host) == "http://10.0.0.7:8080/twilio/voice"


@pytest.mark.parametrize("proto", ["ftp", "javascript", "https://", "http;https", "\x00"])
def test_a_forwarded_scheme_that_is_none_is_refused_from_a_trusted_proxy_and_ignored_from_others(proto: str) -> None:
    with pytest.raises(AuthError):
        asked(forwarded_proto=proto, trusted_proxy=True)
    assert asked(forwarded_proto=proto) == "http://10.0.0.7:8080/twilio/voice"


def test_a_path_cannot_continue_the_host() -> None:
    with pytest.raises(AuthError):
        asked(host="voice", raw_path=b".example.net/twilio/voice")


@given(
    st.sampled_from([None, "https://p.example"]),
    st.text(max_size=12),
    st.none() | st.text(max_size=12),
    st.binary(max_size=12),
    st.binary(max_size=12),
    st.none() | st.text(max_size=12),
    st.booleans(),
)
def test_any_request_has_a_url_or_is_refused(
    configured: str | None, scheme: str, host: str | None, path: bytes, query: bytes, header: str | None, proxy: bool
) -> None:
    try:
        url = asked(
            configured=configured,
            scheme=scheme,
            host=host,
            raw_path=path,
            raw_query=query,
            forwarded_host=header,
            forwarded_proto=header,
            trusted_proxy=proxy,
        )
    except AuthError:
        return
    assert url.startswith(("http://", "https://"))


SIGNERS: list[tuple[bool, Callable[[str, str], bool]]] = [
    (False, lambda url, signature: valid_form([TOKEN], url, [], signature)),
    (True, lambda url, signature: valid_upgrade([TOKEN], url, signature)),
]


@pytest.mark.parametrize(("upgrade", "valid"), SIGNERS)
def test_behind_a_trusted_proxy_what_the_carrier_signed_is_valid(
    upgrade: bool, valid: Callable[[str, str], bool]
) -> None:
    signature = sign_url(TOKEN, f"{'wss' if upgrade else 'https'}://voice.example.net/twilio/voice?a=%20b")
    behind = Request(
        raw_query=b"a=%20b", forwarded_proto="https", forwarded_host="voice.example.net:443", upgrade=upgrade
    )
    assert valid(asked(**(behind | Request(trusted_proxy=True))), signature)
    assert not valid(asked(**behind), signature)


# -- trusted peers -----------------------------------------------------------------------------------------------------

NETWORKS = [ip_network(text) for text in ("10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "::1/128")]


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "10.255.255.255", "192.0.2.7", "fd12::1", "::1", "::ffff:10.0.0.1", "fd00::1%eth0"]
)
def test_a_peer_in_a_network_of_ours_is_trusted(peer: str) -> None:
    assert trusted(peer, NETWORKS)


@pytest.mark.parametrize(
    "peer",
    [
        None,
        "",
        "11.0.0.1",
        "192.0.2.8",
        "127.0.0.1",
        "fe80::1",
        "::2",
        "::ffff:11.0.0.1",
        "::10.0.0.1",
        "localhost",
        "10.0.0.1:80",
        "10.0.0",
        "10.0.0.01",
        " 10.0.0.1",
        "10.0.0.1, 10.0.0.2",
        "unix:",
        "10.0.0.1/8",
        "é",
    ],
)
def test_any_other_peer_is_not(peer: str | None) -> None:
    assert not trusted(peer, NETWORKS)


def test_nobody_is_trusted_without_networks() -> None:
    assert not trusted("127.0.0.1", [])


@given(st.text())
def test_no_text_as_a_peer_raises(peer: str) -> None:
    assert trusted(peer, NETWORKS) in (True, False)
