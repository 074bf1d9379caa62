"""What must be true of sessions when a world has come to rest.

  S8  Every lock and range of a living session is still held, unless state died.
  S9  Nothing is left of a dead session: no lock, no place, no range.
  S10 All members know the same living sessions.
  S11 Primary and backup agree about queues and files.

Looks into the nodes, as agreement does, and is no part of what it judges.

Elsewhere: rules over what clients were told (sessionhistory, rangehistory).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import SessionId
from lockcore.core.rangefiles import id_of
from lockcore.core.rangerecords import OFFSET_MAX, Kind
from lockcore.testing.outcome import FRESH_NS
from lockcore.testing.rangehistory import LAST, beliefs
from lockcore.testing.record import Violation
from lockcore.testing.sessionhistory import Index, contradiction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.leases import Lease
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.state import NodeState
    from lockcore.core.view import View
    from lockcore.testing.rangehistory import Believed
    from lockcore.testing.sessionrecord import SessionHistory
    from lockcore.testing.world import World

SWEPT_NS = 500 * NS_PER_MS
"""So long after it is gone, what a session held is gone too."""


def check_rest(world: World, history: SessionHistory) -> list[Violation]:
    """Judge what nodes know at the end."""
    view = world.master.view if world.master else None
    if view is None:
        return []
    states = {n.address: n.core._state for n in world.nodes.values() if n.alive}  # noqa: SLF001 - as outcome does
    for address, state in states.items():
        state.now = world.instant(world.nodes[address].clock)
    return [
        *_kept(view, states, history, world.now_ns),
        *_ranges_kept(view, states, history, world.now_ns),
        *_left_behind(states),
        *_known(states),
        *_pairs(view, states),
    ]


def _kept(view: View, states: dict[str, NodeState], history: SessionHistory, now_ns: int) -> Iterator[Violation]:
    """S8, named locks."""
    for hold in Index(history).holds():
        if hold.end_ns <= now_ns or history.lost(hold.key, now_ns) or history.any_lost(now_ns):
            continue
        state = states[view.ring.primary(hold.key) or ""]
        lease = state.table.get(hold.key)
        ref = getattr(hold.by, "life").ref  # noqa: B009 - holds of an index are of sessions
        mine = lease is not None and lease.session is not None and lease.session.ref == ref
        if lease is None or not mine or lease.gone or lease.generation != hold.generation:
            yield contradiction("S8", f"{hold.key}: {state.me.address} has {_told(lease)}", hold.by)


def _told(lease: Lease | None) -> str:
    if lease is None:
        return "nothing"
    return f"{lease.order} of {lease.session.ref if lease.session else None}, gone {lease.gone}"


def _ranges_kept(view: View, states: dict[str, NodeState], history: SessionHistory, now_ns: int) -> Iterator[Violation]:
    """S8, byte ranges."""
    for one in beliefs(history):
        if one.end_ns <= now_ns or history.any_lost(now_ns):
            continue
        state = states[view.ring.primary(one.key) or ""]
        file = state.files.get(id_of(one.key))
        if file is None or not _covers(file, one):
            yield contradiction("S8", f"{one.key}: byte {one.byte} for {one.kind} is not at {state.me.address}", one.by)


def _covers(file: RangeFile, one: Believed) -> bool:
    life, lock_owner = one.owner
    byte = OFFSET_MAX if one.byte == LAST else one.byte
    for row in file.table.rows():
        mine = (row.owner.session, row.owner.incarnation, row.owner.lock_owner) == (
            life.ref.id,
            life.ref.incarnation,
            lock_owner,
        )
        if mine and row.start <= byte <= row.end and (row.kind is one.kind or row.kind is Kind.WRITE):
            return True
    return False


def _left_behind(states: dict[str, NodeState]) -> Iterator[Violation]:
    """S9."""
    for address, state in states.items():
        dead = {s.ref for s in state.sessions if not s.excludes(state.now.boot_ns - SWEPT_NS)}
        for lease in state.table:
            of = lease.session.ref if lease.session is not None and not lease.gone else None
            if of in dead:
                yield Violation("S9", f"{lease.key}: {address} has {lease.order} of {of}, which is gone")
            for waiter in lease.waiters:
                if waiter.session.ref in dead:
                    yield Violation("S9", f"{lease.key}: at {address}, {waiter.id} waits, which is gone")
        for file in state.files:
            record = file.table.to_record(state.now.boot_ns)
            for owner in sorted({one.owner for one in record.rows} | {one.owner for one in record.waiters}):
                ref = SessionId(owner.session, owner.incarnation)
                if ref in dead or state.sessions.get(ref) is None:
                    yield Violation("S9", f"{file.name}: at {address}, {owner} is of a session that is gone")


def _known(states: dict[str, NodeState]) -> Iterator[Violation]:
    """S10."""
    alive = {
        a: {s.ref for s in state.sessions if s.alive(state.now.boot_ns)} for a, state in states.items() if state.is_up
    }
    surely = {
        a: {s.ref for s in state.sessions if s.alive(state.now.boot_ns + FRESH_NS)}
        for a, state in states.items()
        if state.is_up
    }
    for a, mine in surely.items():
        for b, theirs in alive.items():
            for ref in sorted(mine - theirs):
                yield Violation("S10", f"{a} knows session {ref} to live, {b} does not")


def _pairs(view: View, states: dict[str, NodeState]) -> Iterator[Violation]:
    """S11."""
    keys = {lease.key for s in states.values() for lease in s.table if lease.waiters or lease.session is not None}
    for key in sorted(keys):
        found = [states[a] for a in view.ring.owners(key) if a is not None]
        seen = {_of_lease(s.table.get(key)) for s in found}
        if len(seen) > 1:
            yield Violation("S11", f"{key}: {' and '.join(s.me.address for s in found)} have {sorted(map(str, seen))}")
    for name in sorted({file.name for s in states.values() for file in s.files if not file.gone}):
        found = [states[a] for a in view.ring.owners(name) if a is not None]
        files = {_of_file(s.files.get(id_of(name)), s.now.boot_ns) for s in found}
        if len(files) > 1:
            text = f"{name}: {' and '.join(s.me.address for s in found)} have {sorted(map(str, files))}"
            yield Violation("S11", text)


def _of_lease(lease: Lease | None) -> object:
    if lease is None:
        return None
    session = lease.session.ref if lease.session else None
    return lease.order, lease.gone, session, tuple(w.id for w in lease.waiters), lease.answers


def _of_file(file: RangeFile | None, now_ns: int) -> object:
    if file is None:
        return None
    record = file.table.to_record(now_ns)
    waiters = tuple((w.ticket, w.operation, w.owner) for w in record.waiters)
    return file.order, record.rows, waiters, record.next_ticket, tuple(file.answers)
