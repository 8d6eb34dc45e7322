"""X-Twilio-Signature: what the carrier signs, how, and which URL it must have signed. Pure; fails closed.

The signature is base64(HMAC-SHA1(AuthToken, text)). SHA-1 is the carrier's choice; as a keyed hash it still holds.

Source: https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from lineside.errors import AuthError, LocalProtocolError, SettingsError

SIGNATURE_LENGTH = 28  # characters: base64 of SHA-1's 20 bytes

_AUTHORITY = r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)"
_PORT = r"(?::[0-9]{1,5})"
_HOST = re.compile(f"{_AUTHORITY}{_PORT}?")
# User and password are never signed. Nor is a fragment, but that never reaches us: a URL that has one is refused.
_URL = re.compile(
    rf"(?P<scheme>https?|wss?)://(?:[^/?#@]*@)?(?P<name>{_AUTHORITY})(?P<port>{_PORT}?)(?P<rest>(?:[/?][^#]*)?)"
)
_ORIGIN = re.compile(rf"(?P<scheme>https?|wss?)://(?P<rest>{_AUTHORITY}{_PORT}?(?:/[^?#\s]*)?)", re.IGNORECASE)
_SECURE = {"https": True, "wss": True, "http": False, "ws": False}

# -- signing ---------------------------------------------------------------------------------------------------------


def sign_form(token: str, url: str, params: Iterable[tuple[str, str]]) -> str:
    """Sign a form POST: the whole URL, then each parameter's name and value without separators.

    Names are ordered by code point (case matters); of a repeated name every distinct value counts once, ordered.

    Args:
        url: as the carrier wrote it, with query.
        params: all fields received, in any order. New ones appear without notice: leave none out.
    """
    return _sign(token, url + _joined(params))


def sign_url(token: str, url: str) -> str:
    """Sign a request without form fields: a GET, a WebSocket upgrade (`wss://` URL), or JSON (`bodySHA256` in the
    query)."""
    return _sign(token, url)


def _joined(params: Iterable[tuple[str, str]]) -> str:
    return "".join(name + value for name, value in sorted(set(params)))


def _sign(token: str, text: str) -> str:
    # surrogatepass: whatever the request holds gets a signature, just not one that the carrier made.
    digest = hmac.digest(token.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"), "sha1")
    return b2a_base64(digest, newline=False).decode("ascii")


# -- checking --------------------------------------------------------------------------------------------------------


def valid_form(tokens: Sequence[str], url: str, params: Iterable[tuple[str, str]], signature: str | None) -> bool:
    """Whether one of `tokens` signed this form POST. Without `params`: this GET.

    Args:
        tokens: the account's auth tokens; two during a rotation. An empty one never matches.
        url: what `public_url` gave. `https` counts with and without port (the carrier drops it), `http` with its own.
        signature: the header as received, None when it was missing.

    Raises:
        LocalProtocolError: `tokens` is a single text.
    """
    return _valid(tokens, _spellings(url, "http", "https"), _joined(params), signature)


def valid_json(tokens: Sequence[str], url: str, body: bytes, signature: str | None) -> bool:
    """Whether one of `tokens` signed this JSON POST: the URL, whose query holds the body's SHA-256 as `bodySHA256`.

    Args:
        body: raw, as received.

    The other arguments and errors are those of `valid_form`.
    """
    query = url.partition("?")[2]
    hashes = [value for name, _, value in (pair.partition("=") for pair in query.split("&")) if name == "bodySHA256"]
    if len(hashes) != 1 or not hashes[0].isascii():
        return False
    if not hmac.compare_digest(hashes[0], hashlib.sha256(body).hexdigest()):
        return False
    return valid_form(tokens, url, (), signature)


def valid_upgrade(tokens: Sequence[str], url: str, signature: str | None) -> bool:
    """Whether one of `tokens` signed this WebSocket upgrade.

    Args:
        url: `wss://` (or `ws://`) as written in `<Stream url>`; `https://` never matches. The carrier's advice for
            handshakes that fail is to try the URL with `/` appended, so that is taken too.

    The other arguments and errors are those of `valid_form`.
    """
    return _valid(tokens, _with_slash(_spellings(url, "ws", "wss")), "", signature)


def _valid(tokens: Sequence[str], urls: Iterable[str], fields: str, signature: str | None) -> bool:
    if isinstance(tokens, str):  # its letters would be tokens, and a token of one letter can be guessed
        raise LocalProtocolError("tokens must be a sequence of tokens, not one token")
    if signature is None or len(signature) != SIGNATURE_LENGTH or not signature.isascii():
        return False
    return any(hmac.compare_digest(_sign(token, url + fields), signature) for url in urls for token in tokens if token)


def _spellings(url: str, plain: str, secure: str) -> Iterator[str]:
    """The ways in which the carrier may have written this URL when it signed. None for another scheme or no URL."""
    match = _URL.fullmatch(url)
    if match is None or match["scheme"] not in (plain, secure):
        return
    scheme, name, port, rest = match["scheme"], match["name"], match["port"], match["rest"]
    yield f"{scheme}://{name}{port}{rest}"
    if scheme == secure:
        yield f"{scheme}://{name}{'' if port else ':443'}{rest}"


def _with_slash(urls: Iterable[str]) -> Iterator[str]:
    for url in urls:
        yield url
        if "?" not in url:
            yield url + "/"


# -- the URL that was signed -----------------------------------------------------------------------------------------


def public_url(
    *,
    configured: str | None,
    scheme: str,
    host: str | None,
    raw_path: bytes,
    raw_query: bytes,
    forwarded_proto: str | None = None,
    forwarded_host: str | None = None,
    trusted_proxy: bool = False,
    upgrade: bool = False,
) -> str:
    """The URL that the carrier must have used for a request, and so have signed.

    The configured origin wins; else `X-Forwarded-*` where a trusted proxy says so, each header for itself and of each
    the first of comma-separated values; else the request's own.

    Args:
        configured: public origin, such as `https://voice.example.net`, or None. A path is kept, for proxies that strip
            one.
        scheme: of the request as it reached us: http, https, ws or wss.
        host: the Host header, None when missing.
        raw_path: as received, percent-encoding and all, without query.
        raw_query: as received, without `?`.
        forwarded_proto: the X-Forwarded-Proto header.
        forwarded_host: the X-Forwarded-Host header.
        trusted_proxy: whether the peer may say so, see `trusted`.
        upgrade: a WebSocket upgrade, for which the carrier signs `wss` instead of `https` and `ws` instead of `http`.

    Raises:
        AuthError: the request names no scheme or host that we could have been reached by.
        SettingsError: `configured` is not an origin.
    """
    if configured:
        match = _ORIGIN.fullmatch(configured)
        if match is None:
            raise SettingsError("LINESIDE_PUBLIC_URL must be an origin such as https://voice.example.net")
        scheme, origin = match["scheme"], match["rest"].rstrip("/")
    else:
        if trusted_proxy:
            scheme = _first(forwarded_proto) or scheme
            host = _first(forwarded_host) or host
        origin = host or ""
        # Strictly a host: one with a slash could move the border between host and path under a valid signature.
        if not _HOST.fullmatch(origin):
            raise AuthError("the request must name its host by a Host header")
    secure = _SECURE.get(scheme.lower())
    if secure is None:
        raise AuthError("the request's scheme must be http, https, ws or wss")
    if raw_path and not raw_path.startswith(b"/"):
        raise AuthError("the request's path must begin with /")
    query = b"?" + raw_query if raw_query else b""
    # latin-1 never fails; what is not ASCII there breaks HTTP, and its signature does not match.
    target = (raw_path + query).decode("latin-1")
    return f"{('ws' if upgrade else 'http') + 's' * secure}://{origin}{target}"


def _first(header: str | None) -> str:
    return header.partition(",")[0].strip() if header else ""


def trusted(peer_ip: str | None, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether the peer is one of our proxies.

    Args:
        peer_ip: the socket's peer, None when it has none. An IPv4 address mapped to IPv6 counts as IPv4. What is not
            an address is not trusted.
    """
    try:
        address = ip_address(peer_ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
