"""Requests on their way through a node: origin, deadline, where they wait.

A request waits in one of these places: parked until its range is ready,
pending until the backup has the mutation, forwarded to the primary, attached
to a place in a lock's queue, watching a lock, or until every member has a
session. Whichever it is, it is answered exactly once; the deadline answers it
where nothing else did.

Invariants
  Q1  One answer per request (`Request.done`).
  Q2  Every waiting place is bounded; what does not fit is OVERLOADED.
Elsewhere: what the answer is (node).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import (
    KEY_BYTES_MAX,
    LEASE_MS_MAX,
    LEASE_MS_MIN,
    LOCK_DELAY_MS_MAX,
    LOCK_OWNER_BYTES_MAX,
    OWNER_BYTES_MAX,
    REASON_BYTES_MAX,
    SESSION_ID_BYTES_MAX,
    SESSION_LABEL_BYTES_MAX,
    SESSION_MS_MIN,
    TOKEN_BYTES_MAX,
    WAIT_MS_MAX,
)
from lockcore.core.messages import (
    ClearRange,
    Code,
    EndSession,
    ForceRelease,
    KeepAlive,
    LeaseRecord,
    ListHeld,
    Lock,
    Move,
    MoveRanges,
    OpenSession,
    Operation,
    Refused,
    Result,
    SessionId,
    SessionProof,
    SetRange,
    Unlock,
)
from lockcore.core.rangefiles import id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.events import Event
    from lockcore.core.operations import SessionOperation
    from lockcore.core.view import MemberId


@dataclass(slots=True, eq=False)
class Request:
    """One operation of one client.

    `call_id` for a client of this node (0: nobody waits for the answer);
    `peer` and `forward_id` where another node forwarded it here. `again`: it was carried out by an earlier
    primary, maybe this node; `fact`: what is to be told of that with the answer.
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
    place: tuple[str, SessionId, int] | None = None  # where it is attached in a queue
    again: bool = False
    fact: Event | None = None

    @property
    def key(self) -> str:
        """The lock it is about; empty for a session."""
        return self.operation.key

    @property
    def forwarded(self) -> bool:
        """Say whether it had its one hop already."""
        return self.one_hop or self.peer is not None


@dataclass(slots=True)
class Pending:
    """A mutation that is applied here and not yet acknowledged by the pair.

    `before`: of a fresh grant, what the key was, to be put back if the grant
    is taken back.
    """

    order: tuple[int, int]
    request: Request | None
    result: Result
    event: Event | None
    fresh: bool = False
    before: LeaseRecord | None = None


@dataclass(slots=True)
class Desk:
    """All requests that wait."""

    parked: dict[str, list[Request]] = field(default_factory=dict)
    pending: dict[str, list[Pending]] = field(default_factory=dict)
    forwards: dict[int, Request] = field(default_factory=dict)
    queued: dict[tuple[str, SessionId, int], Request] = field(default_factory=dict)
    watching: dict[str, dict[Request, None]] = field(default_factory=dict)
    parked_count: int = 0
    pending_count: int = 0
    watching_count: int = 0
    _deadlines: list[tuple[int, int, Request]] = field(default_factory=list)
    _tidy_at: int = 1_000
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def watch(self, request: Request) -> None:
        """Have `overdue` return the request at its deadline."""
        heappush(self._deadlines, (request.deadline_ns, next(self._ids), request))
        if len(self._deadlines) > self._tidy_at:
            self._deadlines = [d for d in self._deadlines if not d[2].done]
            heapify(self._deadlines)
            self._tidy_at = 2 * len(self._deadlines) + 1_000  # half of them must be done before it is worth it again

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

    def give_up(self, key: str, since: tuple[int, int]) -> list[Pending]:
        """Take out the mutations of a key from `since` on, oldest first."""
        kept = [p for p in self.pending[key] if p.order < since]
        given_up = self.settle(key, self.pending[key][-1].order)[len(kept) :]
        for pending in kept:
            self.expect(key, pending)
        return given_up

    def attach(self, key: str, request: Request, session: SessionId, op_id: int) -> Request | None:
        """Keep it until its place in the queue has its turn; return who was attached there."""
        request.place = (key, session, op_id)
        before = self.queued.get(request.place)
        self.queued[request.place] = request
        return before

    def detach(self, key: str, session: SessionId, op_id: int) -> Request | None:
        """Take out who is attached to a place, if anybody is."""
        found = self.queued.pop((key, session, op_id), None)
        return None if found is None or found.done else found

    def look(self, request: Request) -> None:
        """Keep it until its lock changes hands."""
        self.watching.setdefault(request.key, {})[request] = None
        self.watching_count += 1

    def looking(self, key: str) -> list[Request]:
        """Take out who watches a key."""
        requests = self.watching.pop(key, {})
        self.watching_count -= len(requests)
        return [r for r in requests if not r.done]

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
        watching = self.watching.get(request.key, {})
        if request in watching:
            del watching[request]
            self.watching_count -= 1
            if not watching:
                del self.watching[request.key]
        self.forwards.pop(request.asked_as, None)
        if request.place is not None and self.queued.get(request.place) is request:
            del self.queued[request.place]
        for key in (request.key, id_of(request.key)):
            for pending in self.pending.get(key, []):
                if pending.request is request:
                    pending.request = None
                    return pending
        return None


OP_ID_TEXT: Final = "an operation in a session needs an op_id above 0, which names it when it is asked again"


def fault_of(operation: Operation) -> str | None:
    """Return what is wrong with an operation and what to do, or None."""
    try:
        return next((fault for fault in _faults(operation) if fault), None)
    except UnicodeEncodeError:
        return "key, owner and session must be valid UTF-8 text"


def _faults(operation: Operation) -> Iterator[str | None]:
    for name in ("session", "old", "again"):
        yield _proof_fault(getattr(operation, name, None))
    if isinstance(operation, OpenSession | KeepAlive | EndSession | ListHeld):
        yield from _session_faults(operation)
        return
    key_bytes = len(operation.key.encode())
    if not 0 < key_bytes <= KEY_BYTES_MAX:
        yield f"a key has 1 to {KEY_BYTES_MAX} bytes of UTF-8; this one has {key_bytes}"
    yield _size("an owner", getattr(operation, "owner", ""), OWNER_BYTES_MAX)
    yield _size("a lock-owner", getattr(operation, "lock_owner", "") or "", LOCK_OWNER_BYTES_MAX)
    if len(getattr(operation, "token", "")) > TOKEN_BYTES_MAX:
        yield "this is not a renew token: it is too long"
    if isinstance(operation, Move | SetRange | ClearRange | MoveRanges) and operation.op_id <= 0:
        yield OP_ID_TEXT
    yield from _own_faults(operation)


def _own_faults(operation: Operation) -> Iterator[str | None]:
    match operation:
        case ForceRelease():
            yield from _force_faults(operation)
        case Lock():
            yield from _lock_faults(operation)
        case Unlock(token="", session=None):
            yield "an unlock needs the renew token of the last grant or renewal, or the session that holds the lock"
        case Move() | MoveRanges() if operation.old.ref == operation.session.ref:
            yield "a session cannot take over from itself"
        case SetRange(wait_ms=int(wait_ms)):
            yield _bounds("a wait lasts", wait_ms, 0, WAIT_MS_MAX)


def _session_faults(operation: SessionOperation | ListHeld) -> Iterator[str | None]:
    if isinstance(operation, OpenSession | KeepAlive):
        yield _bounds("a session's lease lasts", operation.ttl_ms, SESSION_MS_MIN, LEASE_MS_MAX)
        yield _size("a session's label", operation.label, SESSION_LABEL_BYTES_MAX)


def _force_faults(force: ForceRelease) -> Iterator[str | None]:
    if not force.reason.strip():
        yield "say why the lock is taken away: the reason is kept in its history"
    yield _size("a reason", force.reason, REASON_BYTES_MAX)
    if force.generation <= 0:
        yield "name the generation that is to end: it is shown with the lock"


def _lock_faults(lock: Lock) -> Iterator[str | None]:
    if not LEASE_MS_MIN <= lock.ttl_ms <= LEASE_MS_MAX:
        yield f"a lease lasts {LEASE_MS_MIN} to {LEASE_MS_MAX} ms, not {lock.ttl_ms}; ask for less and renew"
    if lock.wait_ms is not None:
        yield _bounds("a wait lasts", lock.wait_ms, 0, WAIT_MS_MAX)
    yield _bounds("a lock-delay lasts", lock.delay_ms, 0, LOCK_DELAY_MS_MAX)
    if lock.session is None and (lock.wait_ms != 0 or lock.delay_ms):
        yield "to wait in a queue, or for a lock-delay, open a session first"
    if lock.session is not None and lock.op_id <= 0:
        yield OP_ID_TEXT


def _proof_fault(proof: SessionProof | None) -> str | None:
    if proof is None:
        return None
    if len(proof.id.encode()) > SESSION_ID_BYTES_MAX or len(proof.secret) > SESSION_ID_BYTES_MAX:
        return "this is no session: its id or secret is too long"
    return None


def _bounds(what: str, value_ms: int, least_ms: int, most_ms: int) -> str | None:
    return None if least_ms <= value_ms <= most_ms else f"{what} {least_ms} to {most_ms} ms, not {value_ms}"


def _size(what: str, text: str, most: int) -> str | None:
    size = len(text.encode())
    return None if size <= most else f"{what} has at most {most} bytes; this one has {size}"


def invalid(text: str) -> Refused:
    """Refuse for good, with what to do."""
    return Refused(Code.INVALID, text)
