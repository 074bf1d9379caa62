"""Requests on their way through a node: origin, deadline, where they wait.

A request waits in one of three places: parked until its range is ready,
pending until the backup has the mutation, or forwarded to the primary.
Whichever it is, it is answered exactly once; the deadline answers it where
nothing else did.

Invariants
  Q1  One answer per request (`Request.done`).
  Q2  Every waiting place is bounded; what does not fit is OVERLOADED.
Elsewhere: what the answer is (node).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from lockcore.core.limits import (
    KEY_BYTES_MAX,
    LEASE_MS_MAX,
    LEASE_MS_MIN,
    OWNER_BYTES_MAX,
    TOKEN_BYTES_MAX,
)
from lockcore.core.messages import Code, FindOwner, Lock, Operation, Refused, Result, Unlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.events import Event
    from lockcore.core.view import MemberId


@dataclass(slots=True, eq=False)
class Request:
    """One operation of one client.

    `call_id` for a client of this node; `peer` and `forward_id` where
    another node forwarded it here.
    """

    operation: Operation
    deadline_ns: int
    may_park: bool
    call_id: int = 0
    peer: MemberId | None = None
    forward_id: int = 0
    one_hop: bool = False
    done: bool = False
    target: str = ""
    asked_as: int = 0  # the number of its own forward, while it waits for the answer

    @property
    def key(self) -> str:
        """The lock it is about."""
        return self.operation.key

    @property
    def forwarded(self) -> bool:
        """Say whether it had its one hop already."""
        return self.one_hop or self.peer is not None


@dataclass(slots=True)
class Pending:
    """A mutation that is applied here and not yet acknowledged by the pair."""

    order: tuple[int, int]
    request: Request | None
    result: Result
    event: Event | None
    fresh: bool = False


@dataclass(slots=True)
class Desk:
    """All requests that wait."""

    parked: dict[str, list[Request]] = field(default_factory=dict)
    pending: dict[str, list[Pending]] = field(default_factory=dict)
    forwards: dict[int, Request] = field(default_factory=dict)
    parked_count: int = 0
    pending_count: int = 0
    _deadlines: list[tuple[int, int, Request]] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def watch(self, request: Request) -> None:
        """Have `overdue` return the request at its deadline."""
        heappush(self._deadlines, (request.deadline_ns, next(self._ids), request))
        if len(self._deadlines) > 2 * self._waiting() + 1_000:
            self._deadlines = [d for d in self._deadlines if not d[2].done]
            heapify(self._deadlines)

    def _waiting(self) -> int:
        return self.parked_count + self.pending_count + len(self.forwards)

    def park(self, request: Request) -> None:
        """Keep it until its range is ready."""
        self.parked.setdefault(request.key, []).append(request)
        self.parked_count += 1

    def unpark(self, key: str) -> list[Request]:
        """Take out what waits for a key, first come first."""
        requests = self.parked.pop(key, [])
        self.parked_count -= len(requests)
        return [r for r in requests if not r.done]

    def expect(self, key: str, pending: Pending) -> None:
        """Keep the answer until the pair has the mutation."""
        self.pending.setdefault(key, []).append(pending)
        self.pending_count += 1

    def settle(self, key: str, order: tuple[int, int]) -> list[Pending]:
        """Take out the mutations of a key up to `order`, oldest first."""
        waiting = self.pending.get(key, [])
        ready = [p for p in waiting if p.order <= order]
        rest = [p for p in waiting if p.order > order]
        self.pending_count -= len(ready)
        if rest:
            self.pending[key] = rest
        else:
            self.pending.pop(key, None)
        return ready

    def forward(self, request: Request, target: str) -> int:
        """Number a forward."""
        forward_id = next(self._ids)
        request.target = target
        request.asked_as = forward_id
        self.forwards[forward_id] = request
        return forward_id

    def next_deadline_ns(self) -> int | None:
        """Return when `overdue` has something to return."""
        while self._deadlines and self._deadlines[0][2].done:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def overdue(self, now_ns: int) -> list[Request]:
        """Take out the unanswered requests whose deadline has come."""
        late: list[Request] = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            request = heappop(self._deadlines)[2]
            if not request.done:
                late.append(request)
        return late

    def forget(self, request: Request) -> Pending | None:
        """Remove a request from where it waits; return its mutation, if any."""
        waiting = self.parked.get(request.key, [])
        if request in waiting:
            waiting.remove(request)
            self.parked_count -= 1
            if not waiting:
                del self.parked[request.key]
        self.forwards.pop(request.asked_as, None)
        for pending in self.pending.get(request.key, []):
            if pending.request is request:
                pending.request = None
                return pending
        return None


def fault_of(operation: Operation) -> str | None:  # noqa: PLR0911 - a list of faults, one return each
    """Return what is wrong with an operation and what to do, or None."""
    try:
        key_bytes = len(operation.key.encode())
        owner_bytes = len(operation.owner.encode()) if isinstance(operation, Lock) else 0
    except UnicodeEncodeError:
        return "key and owner must be valid UTF-8 text"
    if not 0 < key_bytes <= KEY_BYTES_MAX:
        return f"a key has 1 to {KEY_BYTES_MAX} bytes of UTF-8; this one has {key_bytes}"
    if owner_bytes > OWNER_BYTES_MAX:
        return f"an owner has at most {OWNER_BYTES_MAX} bytes; this one has {owner_bytes}"
    if isinstance(operation, Lock) and not LEASE_MS_MIN <= operation.ttl_ms <= LEASE_MS_MAX:
        return f"a lease lasts {LEASE_MS_MIN} to {LEASE_MS_MAX} ms, not {operation.ttl_ms}; ask for less and renew"
    if not isinstance(operation, FindOwner) and len(operation.token) > TOKEN_BYTES_MAX:
        return "this is not a renew token: it is too long"
    if isinstance(operation, Unlock) and not operation.token:
        return "an unlock needs the renew token of the last grant or renewal"
    return None


def invalid(text: str) -> Refused:
    """Refuse for good, with what to do."""
    return Refused(Code.INVALID, text)
