"""What one node can tell people of a key and of sessions: as it decides, without any secret.

Nothing changes by being looked at. Whatever is told is bounded, and says of
how much it is a part. No token, no session's secret and no answer of an
operation is among it.

Elsewhere: who asks (service.locks_service), its bytes (wire.inspect_codec),
facts of what happened before (events).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import HeldRange, SessionId
from lockcore.core.rangefiles import id_of, is_file
from lockcore.core.rangerecords import Span
from lockcore.core.ring import position_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.core.leases import Lease
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.rangerecords import Row, Waiter
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState

ROWS_TOLD_MAX: Final = 500
WAITERS_TOLD_MAX: Final = 200
SESSIONS_TOLD_MAX: Final = 200
LEASES_TOLD_MAX: Final = 500
COUNTED_MAX: Final = 20_000
"""Locks, ranges and places that are counted for one answer: some ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a named lock. `remaining_ms`: until it ends, if nothing is renewed; `session` empty: by a token."""

    owner: str
    session: str
    label: str
    generation: int
    seq: int
    ttl_ms: int
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a named lock's queue. `remaining_ms` None: as long as its session lives."""

    owner: str
    session: str
    label: str
    remaining_ms: int | None


@dataclass(frozen=True, slots=True)
class RangePlace:
    """One request that waits for a range; its `piece` has no fence yet."""

    piece: HeldRange
    fair: bool
    remaining_ms: int | None


@dataclass(frozen=True, slots=True)
class KeySeen:
    """A key as its primary has it; `decides` is False where another node does, and this one knows nothing for sure.

    The totals are of all; the tuples hold the first ones. `order` is the
    (generation, seq) of the lock's state here, which a copy has as well;
    (0, 0): none.
    """

    decides: bool
    order: tuple[int, int] = (0, 0)
    holder: Holder | None = None
    queue: tuple[Place, ...] = ()
    queue_total: int = 0
    ranges: tuple[HeldRange, ...] = ()
    ranges_total: int = 0
    waiting: tuple[RangePlace, ...] = ()
    waiting_total: int = 0


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """How long a named lock is held yet, at its primary, if nothing is renewed."""

    key: str
    generation: int
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """A session, and what it has where this node decides. `state`: alive, lapsed or ended."""

    id: str
    incarnation: int
    label: str
    state: str
    remaining_ms: int
    locks: int = 0
    ranges: int = 0
    waits: int = 0


@dataclass(frozen=True, slots=True)
class SessionsSeen:
    """The sessions opened last, of `total`. `counted`: all of what they have was gone through."""

    sessions: tuple[SessionSeen, ...] = ()
    total: int = 0
    counted: bool = True


def see_key(state: NodeState, key: str) -> KeySeen:
    """Return what this node decides about a key."""
    position, now_ns = position_of(key), state.now.boot_ns
    lease, file = state.table.get(key), state.files.get(id_of(key))
    order = lease.order if lease is not None else (0, 0)
    if not state.decides(position):
        return KeySeen(decides=False, order=order)
    waiters = lease.waiters if lease is not None else []
    waiting = file.table.waiters() if file is not None else ()
    return KeySeen(
        decides=True,
        order=order,
        holder=_holder(lease, now_ns),
        queue=tuple(
            Place(w.owner, w.session.ref.id, w.session.label, _left_ms(w.until_ns, now_ns))
            for w in waiters[:WAITERS_TOLD_MAX]
        ),
        queue_total=len(waiters),
        ranges=tuple(_piece(state, row, row.fence) for row in _rows(file, ROWS_TOLD_MAX)),
        ranges_total=len(file.table) if file is not None else 0,
        waiting=tuple(
            RangePlace(_piece(state, w, 0), w.fair, _left_ms(w.deadline_ns, now_ns)) for w in waiting[:WAITERS_TOLD_MAX]
        ),
        waiting_total=len(waiting),
    )


def see_leases(state: NodeState, keys: Iterable[str]) -> tuple[LeaseSeen, ...]:
    """Return which of these keys are held as far as this node decides, and how long yet; it is silent of the others."""
    now_ns = state.now.boot_ns
    found = []
    for key in islice(keys, LEASES_TOLD_MAX):
        lease = state.table.get(key)
        if lease is not None and lease.live(now_ns) and state.decides(lease.position):
            found.append(LeaseSeen(key, lease.generation, max(0, lease.ends_ns - now_ns) // NS_PER_MS))
    return tuple(found)


def see_sessions(state: NodeState) -> SessionsSeen:
    """Return the newest sessions, with what they have at this node."""
    now_ns = state.now.boot_ns
    newest = sorted(state.sessions, key=lambda session: session.ref.incarnation, reverse=True)[:SESSIONS_TOLD_MAX]
    counts: Counter[tuple[str, SessionId]] = Counter()
    counted = _count(state, newest, counts)
    seen = tuple(_session(session, now_ns, counts) for session in newest)
    return SessionsSeen(seen, len(state.sessions), counted)


def _holder(lease: Lease | None, now_ns: int) -> Holder | None:
    if lease is None or not lease.live(now_ns):
        return None
    session, label = (lease.session.ref.id, lease.session.label) if lease.session else ("", "")
    left_ms = max(0, lease.ends_ns - now_ns) // NS_PER_MS
    return Holder(lease.owner, session, label, lease.generation, lease.seq, lease.ttl_ms, left_ms)


def _piece(state: NodeState, of: Row | Waiter, fence: int) -> HeldRange:
    owner = of.owner
    session = state.sessions.get(SessionId(owner.session, owner.incarnation))
    label = session.label if session is not None else ""
    return HeldRange(owner.session, label, owner.lock_owner, of.kind, of.start, Span(of.start, of.end).length, fence)


def _session(session: Session, now_ns: int, counts: Counter[tuple[str, SessionId]]) -> SessionSeen:
    ref, alive = session.ref, session.alive(now_ns)
    return SessionSeen(
        id=ref.id,
        incarnation=ref.incarnation,
        label=session.label,
        state="alive" if alive else "ended" if session.ended else "lapsed",
        remaining_ms=max(0, session.expires_ns - now_ns) // NS_PER_MS if alive else 0,
        locks=counts["locks", ref],
        ranges=counts["ranges", ref],
        waits=counts["waits", ref],
    )


def _count(state: NodeState, sessions: list[Session], counts: Counter[tuple[str, SessionId]]) -> bool:
    """Count what sessions have where this node decides; say whether there was time for all of it."""
    left = COUNTED_MAX
    for key in _keys(sessions):
        for what in _of_file(state, key, left) if is_file(key) else _of_lock(state, key):
            counts[what] += 1
            left -= 1
        left -= 1
        if left <= 0:
            return False
    return True


def _keys(sessions: list[Session]) -> Iterator[str]:
    known: set[str] = set()
    for session in sessions:
        for key in session.keys:
            if key not in known:
                known.add(key)
                yield key


def _of_lock(state: NodeState, key: str) -> Iterator[tuple[str, SessionId]]:
    lease = state.table.get(key)
    if lease is None or not lease.serving or not state.decides(lease.position):
        return
    if lease.session is not None and lease.live(state.now.boot_ns):
        yield "locks", lease.session.ref
    for waiter in lease.waiters:
        yield "waits", waiter.session.ref


def _of_file(state: NodeState, key: str, limit: int) -> Iterator[tuple[str, SessionId]]:
    file = state.files.get(key)
    if file is None or not file.serving or not state.decides(file.position):
        return
    for row in _rows(file, limit):
        yield "ranges", SessionId(row.owner.session, row.owner.incarnation)
    for waiter in file.table.waiters():
        yield "waits", SessionId(waiter.owner.session, waiter.owner.incarnation)


def _rows(file: RangeFile | None, limit: int) -> tuple[Row, ...]:
    return () if file is None else file.table.first_rows(limit)


def _left_ms(until_ns: int | None, now_ns: int) -> int | None:
    return None if until_ns is None else max(0, until_ns - now_ns) // NS_PER_MS
