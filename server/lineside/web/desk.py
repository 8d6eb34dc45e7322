"""What the carrier's entry points share: the guard, the calls, and the passes that join a stream to its call."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from lineside.call import Call
from lineside.calls import Calls
from lineside.errors import AuthError
from lineside.events import CallInfo
from lineside.web.guard import Guard
from lineside.wire import token

PASS_LIFE = 60.0  # s between the webhook's answer and the stream; the carrier dials within a second or two
REMEMBERED = 10_000  # ended calls and used passes; a replay of an older one finds an expired pass
MOST_RECONNECTS = 3  # of one call; a leg that is lost, or does not come, more often than that will not stay


class Remembered:
    """A set that keeps its newest members only."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._members: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def add(self, member: str) -> None:
        self._members[member] = None
        if len(self._members) > self._most:
            self._members.popitem(last=False)


@dataclass(slots=True)
class _Told:
    """What the carrier was told about a call."""

    twiml: str
    """For the voice webhook, so that a repetition is told the same."""
    n_reconnects: int = 0


class Desk:
    """Where calls come in.

    Args:
        make_call: a call, not yet started.
        allow_plain: let streams come over `ws://`, as they do from a local phone.
        worker: this process, among several behind one address.
        wall_clock: seconds since the epoch, for what several machines must agree on.
    """

    def __init__(
        self,
        guard: Guard,
        calls: Calls,
        make_call: Callable[[CallInfo], Call],
        *,
        secret: bytes | None = None,
        allow_plain: bool = False,
        worker: str = "w0",
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.guard = guard
        self.calls = calls
        self.allow_plain = allow_plain
        self._make_call = make_call
        self._secret = secret or os.urandom(32)
        self._worker = worker
        self._wall_clock = wall_clock
        self._used = Remembered()
        self._known = Remembered()
        self._told: WeakKeyDictionary[Call, _Told] = WeakKeyDictionary()

    def call_of(self, call_id: str, account_id: str) -> Call | None:
        """A call that is not over.

        Raises:
            AuthError: it belongs to another account.
        """
        call = self.calls.get(call_id)
        if call is None or call.over:
            return None
        if call.info.account_id != account_id:
            raise AuthError("the call belongs to another account")
        return call

    def answer_to(self, call: Call) -> str:
        """What the carrier was told when this call came in."""
        return self._told[call].twiml

    def is_past(self, call_id: str) -> bool:
        """Whether this call was here before and has ended."""
        return call_id in self._known and ((call := self.calls.get(call_id)) is None or call.over)

    def open_call(self, info: CallInfo, twiml_for: Callable[[str], str]) -> Call:
        """Start a call, and keep the answer for it.

        Args:
            twiml_for: makes the answer from the pass of the stream to come.

        Raises:
            TooManyCalls: there is no room.
        """
        twiml = twiml_for(self.new_pass(info.call_id))
        call = self.calls.start(info.call_id, lambda: self._make_call(info))
        self._known.add(info.call_id)
        self._told[call] = _Told(twiml)
        return call

    def may_reconnect(self, call: Call) -> bool:
        """Whether the carrier is to open one more stream for this call. Counts."""
        told = self._told[call]
        told.n_reconnects += 1
        return told.n_reconnects <= MOST_RECONNECTS

    def new_pass(self, call_id: str) -> str:
        return token.mint(self._secret, call_id, self._worker, self._wall_clock() + PASS_LIFE, os.urandom(12))

    def call_of_pass(self, presented: str) -> Call:
        """The call that a stream's pass is for. Looks only; see `use_pass`.

        Raises:
            AuthError: not a pass of ours, expired, used before, or its call is gone.
        """
        good = token.read(self._secret, presented, self._wall_clock())
        call = self.calls.get(good.call_id)
        if good.nonce.hex() in self._used or good.worker != self._worker or call is None or call.over:
            raise AuthError("the media token was used before, or its call is gone")
        return call

    def use_pass(self, presented: str) -> None:
        """The pass has let a stream in: it lets in no other."""
        self._used.add(token.read(self._secret, presented, self._wall_clock()).nonce.hex())
