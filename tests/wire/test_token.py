"""The media-path token."""

from __future__ import annotations

import base64
import hmac
import math
import struct
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import AuthError, LocalProtocolError
from lineside.wire.token import MAX_TOKEN, MediaPass, mint, read

SECRET = b"a secret of the bridge, 32 bytes"
CALL = "CA00000000000000000000000000000001"
NONCE = bytes(range(16))
EXPIRES = 1_790_000_000.5
TOKEN = mint(SECRET, CALL, "worker-3", EXPIRES, NONCE)

NAMES = st.text(min_size=1, max_size=16)
NONCES = st.binary(min_size=8, max_size=32)
SECRETS = st.binary(min_size=16, max_size=64)
TIMES = st.floats(min_value=0, max_value=1e11)


def forged(body: bytes, secret: bytes = SECRET) -> str:
    """A token around any body, signed as ours are."""
    mac = hmac.digest(secret, b"lineside media path\0" + body, "sha256")
    return base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()


def test_a_token_says_what_was_put_in() -> None:
    assert read(SECRET, TOKEN, EXPIRES - 30) == MediaPass(CALL, "worker-3", NONCE, EXPIRES)


def test_the_layout_of_a_token_stays() -> None:
    body = struct.pack(">BdBB", 1, EXPIRES, 16, 8) + NONCE + b"worker-3" + CALL.encode()
    assert forged(body) == TOKEN


@given(SECRETS, NAMES, NAMES, TIMES, NONCES)
def test_every_token_is_read_back(secret: bytes, call: str, worker: str, expires_at: float, nonce: bytes) -> None:
    token = mint(secret, call, worker, expires_at, nonce)
    assert read(secret, token, math.nextafter(expires_at, -1)) == MediaPass(call, worker, nonce, expires_at)


@given(NAMES, NAMES, TIMES, NONCES)
def test_every_token_can_stand_in_a_path(call: str, worker: str, expires_at: float, nonce: bytes) -> None:
    token = mint(SECRET, call, worker, expires_at, nonce)
    assert quote(token, safe="") == token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_longest_token_is_within_the_bound() -> None:
    token = mint(SECRET, "C" * 64, "é" * 32, EXPIRES, b"n" * 32)
    assert len(token) <= MAX_TOKEN
    assert read(SECRET, token, 0).call_id == "C" * 64


@pytest.mark.parametrize(
    ("after", "good"), [(-3600.0, True), (-0.001, True), (0.0, False), (0.001, False), (1e9, False), (math.inf, False)]
)
def test_a_token_is_good_until_it_expires(after: float, good: bool) -> None:
    if good:
        assert read(SECRET, TOKEN, EXPIRES + after).nonce == NONCE
    else:
        with pytest.raises(AuthError, match="expired"):
            read(SECRET, TOKEN, EXPIRES + after)


def test_a_token_is_signed_before_it_is_dated() -> None:
    with pytest.raises(AuthError, match="signed"):
        read(b"another secret of 32 bytes......", TOKEN, EXPIRES + 1)


@pytest.mark.parametrize("secret", [SECRET + b"1", SECRET[:-1], SECRET.upper(), b"\0" * 32])
def test_another_secret_reads_nothing(secret: bytes) -> None:
    with pytest.raises(AuthError):
        read(secret, TOKEN, 0)


@pytest.mark.parametrize("at", range(len(TOKEN)))
def test_a_token_with_any_one_character_changed_is_refused(at: int) -> None:
    for other in "A_z":
        if other != TOKEN[at]:
            with pytest.raises(AuthError):
                read(SECRET, TOKEN[:at] + other + TOKEN[at + 1 :], 0)


@pytest.mark.parametrize("length", range(0, len(TOKEN), 7))
def test_a_token_cut_short_is_refused(length: int) -> None:
    with pytest.raises(AuthError):
        read(SECRET, TOKEN[:length], 0)


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("n_worker", [1, 2, 3])
def test_a_token_has_one_spelling(n_worker: int) -> None:
    token = mint(SECRET, CALL, "w" * n_worker, EXPIRES, NONCE)
    for last in ALPHABET:
        if last != token[-1]:
            with pytest.raises(AuthError):
                read(SECRET, token[:-1] + last, 0)
    for spelling in (token + "=", token + "==", token + "A", token + "\n", " " + token, token.swapcase(), token + "."):
        with pytest.raises(AuthError):
            read(SECRET, spelling, 0)


GARBAGE = [
    "",
    "A",
    "=",
    "AAAA",
    "....",
    "%41",
    "\x00",
    "é",
    "\ud800",
    "../../etc/passwd",
    "A" * 43,
    "A" * 44,
    "A" * 320,
]
GARBAGE += ["+/" * 40, "-_" * 40, "A" * 1_000_000, "٠" * 64, TOKEN[:-4] + "====", TOKEN + TOKEN]


@pytest.mark.parametrize("token", GARBAGE, ids=lambda token: ascii(token)[:20])
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(AuthError):
        read(SECRET, token, 0)


def test_an_oversized_token_is_refused_for_its_size() -> None:
    with pytest.raises(AuthError, match="signed"):
        read(SECRET, "A" * MAX_TOKEN, 0)
    with pytest.raises(AuthError, match="too long"):
        read(SECRET, "A" * (MAX_TOKEN + 1), 0)


@given(st.text() | st.text(ALPHABET, max_size=400) | st.binary(max_size=200).map(lambda raw: raw.hex()))
def test_no_made_up_token_is_read(token: str) -> None:
    with pytest.raises(AuthError):
        read(SECRET, token, 0)


@given(st.binary(max_size=120))
def test_a_body_that_we_never_wrote_is_refused_or_read_though_the_secret_signed_it(body: bytes) -> None:
    try:
        read(SECRET, forged(body), 0)
    except AuthError:
        return


def test_a_token_of_another_version_is_refused() -> None:
    body = struct.pack(">BdBB", 2, EXPIRES, 16, 8) + NONCE + b"worker-3" + CALL.encode()
    with pytest.raises(AuthError, match="layout"):
        read(SECRET, forged(body), 0)


def test_what_the_secret_signs_elsewhere_is_no_media_token() -> None:
    body = struct.pack(">BdBB", 1, EXPIRES, 16, 8) + NONCE + b"worker-3" + CALL.encode()
    elsewhere = base64.urlsafe_b64encode(body + hmac.digest(SECRET, body, "sha256")).rstrip(b"=").decode()
    with pytest.raises(AuthError, match="signed"):
        read(SECRET, elsewhere, 0)


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN[:-1] + "~", TOKEN + "A" * MAX_TOKEN, TOKEN])
def test_a_refusal_does_not_echo_the_token(token: str) -> None:
    with pytest.raises(AuthError) as refused:
        read(SECRET, token, EXPIRES)
    assert TOKEN[:12] not in str(refused.value)
    assert CALL not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "worker", "expires_at", "nonce", "named"),
    [
        ("", "w", 1.0, NONCE, "call_id"),
        ("C" * 65, "w", 1.0, NONCE, "call_id"),
        ("é" * 33, "w", 1.0, NONCE, "call_id"),
        ("\ud800", "w", 1.0, NONCE, "call_id"),
        ("C", "", 1.0, NONCE, "worker"),
        ("C", "w" * 65, 1.0, NONCE, "worker"),
        ("C", "\ud800", 1.0, NONCE, "worker"),
        ("C", "w", math.nan, NONCE, "expires_at"),
        ("C", "w", math.inf, NONCE, "expires_at"),
        ("C", "w", -math.inf, NONCE, "expires_at"),
        ("C", "w", 1.0, b"", "nonce"),
        ("C", "w", 1.0, b"n" * 7, "nonce"),
        ("C", "w", 1.0, b"n" * 33, "nonce"),
    ],
)
def test_what_does_not_fit_a_token_is_ours_to_mend(
    call: str, worker: str, expires_at: float, nonce: bytes, named: str
) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        mint(SECRET, call, worker, expires_at, nonce)


@pytest.mark.parametrize("secret", [b"", b"s" * 15])
def test_a_short_secret_is_ours_to_mend(secret: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        mint(secret, CALL, "w", EXPIRES, NONCE)
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        read(secret, TOKEN, 0)


def test_two_nonces_make_two_tokens() -> None:
    assert mint(SECRET, CALL, "w", EXPIRES, b"1" * 16) != mint(SECRET, CALL, "w", EXPIRES, b"2" * 16)
