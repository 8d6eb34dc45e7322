"""Every error Lineside raises.

LinesideError
├── ProtocolError
│   ├── LocalProtocolError     our mistake: a call the protocol does not allow now
│   └── RemoteProtocolError    the peer's mistake: a message we cannot accept
├── ProviderError
│   ├── ProviderUnavailable    try again: the socket died, the service is down
│   │   ├── ProviderSilent     a deadline passed without an answer
│   │   └── ProviderBusy       no slot of the account became free in time
│   └── ProviderRefused        do not try again: key, quota, voice name
├── CarrierError               the carrier's REST side refused or did not answer
├── AgentError                 the user's agent raised, hung, or gave a line we do not know
├── AuthError                  a request that did not prove where it comes from
└── SettingsError              what is configured cannot work; says which setting and how to mend it

Messages say what was expected and what came, never a key or a phone number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class LinesideError(Exception):
    """Base of all errors of this package."""


class ProtocolError(LinesideError):
    """A rule of a wire protocol was broken."""


class LocalProtocolError(ProtocolError):
    """We asked for something that the protocol does not allow now."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that we cannot accept."""


class ProviderError(LinesideError):
    """A speech provider failed."""


class ProviderUnavailable(ProviderError):
    """The provider cannot serve now; a later try may work."""


class ProviderSilent(ProviderUnavailable):
    """The provider let a deadline pass."""


class ProviderBusy(ProviderUnavailable):
    """The account has no free slot: another voice may have one now."""


class ProviderRefused(ProviderError):
    """The provider said no for a reason that a later try will not change."""


class CarrierError(LinesideError):
    """The carrier's REST side refused or did not answer."""


class AgentError(LinesideError):
    """The user's agent raised, hung, or gave a line that we do not know."""


class AuthError(LinesideError):
    """A request did not prove where it comes from."""


class SettingsError(LinesideError):
    """What is configured cannot work. The message names the setting and the mend."""


@contextmanager
def translate(table: Mapping[type[BaseException], type[LinesideError]], what: str) -> Iterator[None]:
    """Raise our error in place of a library's, with the library's as its cause.

    Args:
        table: library error -> ours; the first entry that matches wins.
        what: what was being tried, for the message.
    """
    try:
        yield
    except tuple(table) as exc:
        ours = next(ours for theirs, ours in table.items() if isinstance(exc, theirs))
        raise ours(f"{what}: {str(exc) or type(exc).__name__}") from exc
