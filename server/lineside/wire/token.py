"""The media-path token: lets one call's stream in, once, and says which worker owns the call. Pure.

It stands in the stream URL's path, since the carrier drops query strings. Layout, base64url without padding:

    version (1 byte) | expires_at (8, IEEE 754, wall seconds) | length of nonce (1) | length of worker (1)
    | nonce | worker (UTF-8) | call_id (UTF-8) | HMAC-SHA256 of all before (32)
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from lineside.errors import AuthError, LocalProtocolError

MAX_TOKEN = 320  # characters; one with the longest fields has 271
MAX_TEXT = 64  # bytes of a call's or worker's name; a CallSid has 34
MIN_NONCE, MAX_NONCE = 8, 32  # bytes
MIN_SECRET = 16  # bytes

_PURPOSE = b"lineside media path\0"  # the same secret may sign other things: none of them is a media token
_VERSION = 1
_HEAD = struct.Struct(">BdBB")
_MAC_LENGTH = hashlib.sha256().digest_size
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class MediaPass:
    """What a token that we signed says."""

    call_id: str
    worker: str
    nonce: bytes
    expires_at: float
    """Wall clock, seconds since the epoch."""


def mint(secret: bytes, call_id: str, worker: str, expires_at: float, nonce: bytes) -> str:
    """A token for one stream of one call, safe in a URL's path.

    Args:
        secret: at least 16 bytes, the same for all workers.
        call_id, worker: 1 to 64 bytes of UTF-8 each.
        expires_at: wall clock, seconds since the epoch.
        nonce: 8 to 32 random bytes, new for each token: it is what makes the token usable once, see `read`.

    Raises:
        LocalProtocolError: one of these does not hold.
    """
    call, owner = _name("call_id", call_id), _name("worker", worker)
    if not MIN_NONCE <= len(nonce) <= MAX_NONCE:
        raise LocalProtocolError(f"a nonce has {MIN_NONCE} to {MAX_NONCE} bytes, not {len(nonce)}")
    if not math.isfinite(expires_at):
        raise LocalProtocolError(f"expires_at must be a time, not {expires_at}")
    body = _HEAD.pack(_VERSION, expires_at, len(nonce), len(owner)) + nonce + owner + call
    return _encode(body + _mac(secret, body))


def read(secret: bytes, token: str, now: float) -> MediaPass:
    """Check a token and say what it says.

    It is good for one use only if the caller sees to that: remember the `nonce` of each token used until its
    `expires_at`, and refuse a nonce that is remembered. Nothing is remembered here.

    Args:
        token: as it stood in the path; anything at all.
        now: wall clock, seconds since the epoch. A token is good before `expires_at`, not at it.

    Raises:
        AuthError: not a token, not signed with `secret`, or expired. Never quotes it.
        LocalProtocolError: `secret` is too short.
    """
    if len(token) > MAX_TOKEN:  # before any work on it
        raise AuthError("the media token is too long")
    raw = _decode(token)
    body, mac = raw[:-_MAC_LENGTH], raw[-_MAC_LENGTH:]
    if not hmac.compare_digest(_mac(secret, body), mac):
        raise AuthError("the media token is not signed by us")
    try:
        return _unpack(body, now)
    except (struct.error, ValueError) as exc:  # we signed it, so another version of us did
        raise AuthError("the media token is of an unknown layout") from exc


def _unpack(body: bytes, now: float) -> MediaPass:
    version, expires_at, n_nonce, n_worker = _HEAD.unpack_from(body)
    if version != _VERSION:
        raise ValueError(version)
    if now >= expires_at:
        raise AuthError("the media token has expired")
    worker_at = _HEAD.size + n_nonce
    call_at = worker_at + n_worker
    return MediaPass(
        call_id=body[call_at:].decode(),
        worker=body[worker_at:call_at].decode(),
        nonce=body[_HEAD.size : worker_at],
        expires_at=expires_at,
    )


def _mac(secret: bytes, body: bytes) -> bytes:
    if len(secret) < MIN_SECRET:
        raise LocalProtocolError(f"the secret of media tokens needs at least {MIN_SECRET} bytes")
    return hmac.digest(secret, _PURPOSE + body, "sha256")


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(token: str) -> bytes:
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4)) if _ALPHABET.fullmatch(token) else b""
    except ValueError:
        raw = b""
    # One token has one spelling: bits that the last character does not need must be zero.
    if len(raw) <= _MAC_LENGTH or _encode(raw) != token:
        raise AuthError("the media token is not one")
    return raw


def _name(what: str, text: str) -> bytes:
    try:
        name = text.encode()
    except UnicodeEncodeError as exc:
        raise LocalProtocolError(f"{what} must be encodable as UTF-8") from exc
    if not 0 < len(name) <= MAX_TEXT:
        raise LocalProtocolError(f"{what} has 1 to {MAX_TEXT} bytes, not {len(name)}")
    return name
