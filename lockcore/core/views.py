"""Entering a view, and becoming complete in it.

Invariants
  N3  Views rise; a stale one is refused and changes nothing.
  P1  A copy becomes the lock (is promoted) only where this node is primary,
      complete and not fenced; an older copy beside a handover never is.
  P3  A fresh grant that nobody was told of does not outlive the view in which
      it was decided, unless this node is still primary and complete there:
      elsewhere somebody else may have granted the lock meanwhile, with a lower
      generation even, and it is asked for again under the rules of the view.
  P2  The old primary goes on serving a lock's holder until the new primary
      has accepted the lock.
  P5  What was decided by who is primary again before it handed over outranks
      what the primary in between decided, and nobody was told of.
  P4  Who was out of the ring for long hands over nothing that sessions held
      before: it may have been released since, and forgotten.
Elsewhere: completeness itself (handover), records (inbox, outbox).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import cleaning, keeping, queueing, ranging
from lockcore.core.events import EventKind
from lockcore.core.limits import AWAY_MS_MAX, NS_PER_MS
from lockcore.core.messages import Code
from lockcore.core.outbox import Part, PeerLink
from lockcore.core.rangefiles import RangeFile, place_of
from lockcore.core.serving import HANDOFF_TEXT, handle

if TYPE_CHECKING:
    from lockcore.core.leases import Lease
    from lockcore.core.requests import Pending
    from lockcore.core.state import NodeState
    from lockcore.core.view import View


def adopt(state: NodeState, view: View) -> None:
    """Enter a view, or refuse it as stale."""
    current = state.view
    if state.closed:
        return
    if current is not None and view.number <= current.number:
        if view.number < current.number:
            state.emit(EventKind.REFUSED, detail=f"stale view {view.number}")
        return
    if view.number <= 0:
        return  # version 0 bootstraps a SeaweedFS ring; here nobody serves on it
    was_up = state.is_up
    state.table.raise_floor(view.number)
    state.handover.adopt(view, state.now.boot_ns)
    if not view.graces:
        state.wipes.clear()
    _remember_or_not(state, view)
    # Who leaves hands over while the view still names it; afterwards nobody
    # would take anything from it.
    named = any(member.id == state.me for member in view.members)
    takes_part = state.is_up or (state.leaving and was_up and named)
    peers = state.handover.living() if takes_part else []
    undelivered = {key for link in state.links.values() for key in link.undelivered()}
    state.links = {m.address: PeerLink(state.me, m, view.number) for m in peers}
    state.reach.meet(m for m in state.handover.living() if m.address != state.me.address)
    state.last_lsn = {}
    state.lease.next_heartbeat_ns = 0  # the master learns at once where we are
    state.emit(EventKind.VIEW, detail="adopted" if state.is_up else "adopted; not a member")
    keeping.spread_all(state)
    for key in list(state.desk.pending):
        _reconsider_pending(state, key)
    for lease in state.items():
        _rehome(state, lease, lease.key in undelivered)
    promote_ready(state)
    _send_waiting_on(state)
    _reconsider_forwards(state)


def _reconsider_pending(state: NodeState, key: str) -> None:
    """Take back what may no longer be acknowledged (P3).

    Renewals and unlocks are of a lock that was acknowledged: they go with it
    to its new primary, who has the last word, also where a fresh grant came
    after them. After a view was missed nobody knows what happened to it, so
    nothing old is acknowledged at all.
    """
    position = place_of(key)
    primary, _ = state.owners_at(position)
    carried = state.handover.carried
    if carried and state.is_up and primary == state.me.address and state.handover.ready(position):
        return
    first = next((p for p in state.desk.pending[key] if p.fresh), None)
    if first is None and carried:
        return
    item = state.item(key)
    since = first.order if first is not None and carried else (0, 0)
    if first is not None and item is not None and item.order >= first.order and not _take_back(state, item, first):
        since = (0, 0)  # nothing is left of it
    moved_to = primary if primary and primary != state.me.address else ""
    for pending in state.desk.give_up(key, since):
        if pending.request is None:
            continue
        if first is not None and pending.order >= first.order:
            state.refuse(pending.request, Code.HANDOFF, HANDOFF_TEXT, moved_to=moved_to)
        else:
            text = "the ring changed meanwhile: the outcome is unknown"
            state.refuse(pending.request, Code.TIMEOUT, text, moved_to=moved_to)


def _take_back(state: NodeState, item: Lease | RangeFile, first: Pending) -> bool:
    """Let the key be as it was before the first grant that nobody was told of; say whether it was anything.

    That somebody released it before must not be forgotten: this node may be
    the only one left that knows, and an older copy may come back.
    """
    now_ns = state.now.boot_ns
    if isinstance(item, RangeFile):
        state.stop_serving(item)
        return state.files.take_back(item, first.order, now_ns)
    state.drop(item.key)
    if first.before is not None:  # with the queue, in which the place is kept
        state.table.restore(first.before, now_ns)
    return first.before is not None


def _remember_or_not(state: NodeState, view: View) -> None:
    """Forget what sessions held after a long absence in which others may have gone on (P4).

    Not after a short one: what they released meanwhile they still know, and
    it outranks what is known here. Nor for a master that remembers nothing: it
    has put nobody out, and owes a grace everywhere.
    """
    now_ns = state.now.boot_ns
    away_ns = now_ns - state.doubtful_ns if state.doubtful_ns else 0
    if not state.handover.carried:
        state.sessions.doubt()
        if away_ns > AWAY_MS_MAX * NS_PER_MS and view.previous:
            _forget_sessions(state)
    state.doubtful_ns = 0 if state.is_up else state.doubtful_ns or now_ns


def _forget_sessions(state: NodeState) -> None:
    """Forget what sessions held: this node was out, and it may have been released since.

    A lock of its own lease runs out by itself; one of a session would not.
    What the others know, they tell.
    """
    for item in state.items():
        if isinstance(item, RangeFile) or item.session is not None or item.waiters:
            state.drop(item.key)
    state.sessions.forget_all()


def _rehome(state: NodeState, lease: Lease | RangeFile, undelivered: bool) -> None:  # noqa: FBT001 - named at its only caller
    """Queue a lease for whoever must have it in the new view.

    `undelivered`: the last view ended before somebody had its newest state,
    so nothing follows from that view's having been settled.
    """
    primary, backup = state.owners_at(lease.position)
    waited_for = undelivered or lease.key in state.desk.pending
    if not state.is_up and not state.leaving:
        state.stop_serving(lease)
    elif primary == state.me.address and state.is_up:
        if not state.handover.ready(lease.position):
            state.stop_serving(lease)  # somebody may know better: promoted when sealed
        elif lease.serving and not state.handover.was_primary(lease.position):
            state.outrank(lease)
            state.spread(lease)
        elif lease.serving:
            lease.tenure = state.view_number
            if waited_for or backup is None or _must_replicate(state, lease):
                state.spread(lease)
    elif primary in state.links and (waited_for or lease.serving or state.handover.must_hand_over(lease)):
        # Also a lock whose new primary surely has it: it is told that we stop.
        state.links[primary].put(lease.key, Part.TRANSFER, urgent=waited_for)


def _must_replicate(state: NodeState, lease: Lease | RangeFile) -> bool:
    return state.config.durability == "async" or state.handover.must_replicate(lease)


def promote_ready(state: NodeState) -> None:
    """Become the primary of copies in the range this node is complete for.

    Not while it is fenced: a newer view may be on its way, in which somebody
    else has released them. The node comes back here when it may serve.
    """
    if not state.serving():
        return
    for lease in state.items():
        if lease.serving or not state.handover.ready(lease.position):
            continue
        if state.owners_at(lease.position)[0] != state.me.address:
            continue
        state.begin_serving(lease)
        if lease.live(state.now.boot_ns):
            state.emit(EventKind.PROMOTED, lease, _former_primary(state, lease))
        state.spread(lease)
    for file in state.files:
        ranging.begin(state, file)
    for lease in list(state.table.with_sessions()):
        queueing.revive(state, lease.key)
    cleaning.sweep(state)
    _serve_parked(state)
    _tell_settled(state)


def _former_primary(state: NodeState, lease: Lease | RangeFile) -> str:
    previous = state.handover.previous
    primary = previous.ring.owners_at(lease.position)[0] if previous else None
    return primary if primary and primary != state.me.address else ""


def _serve_parked(state: NodeState) -> None:
    for key in list(state.desk.parked):
        for request in state.desk.unpark(key):
            handle(state, request)


def _tell_settled(state: NodeState) -> None:
    view = state.view
    if view is None or not state.is_up or not state.handover.settled():
        return
    if state.settled_told < view.number:
        state.settled_told = view.number
        state.lease.next_heartbeat_ns = 0
        state.emit(EventKind.SETTLED)


def _reconsider_forwards(state: NodeState) -> None:
    """Ask again where the node asked before serves no longer.

    The first attempt may have been carried out: then its owner finds the
    lock held by itself, or its token good, and nothing is granted twice.
    """
    if state.view is None:
        return
    for forward_id, request in list(state.desk.forwards.items()):
        if state.view.ring.primary(request.key) != request.target:
            del state.desk.forwards[forward_id]
            handle(state, request)


def _send_waiting_on(state: NodeState) -> None:
    """Tell who waits here for a lock that another node serves now to ask there."""
    for (key, session, op_id), request in list(state.desk.queued.items()):
        primary, _ = state.owners_at(place_of(key))
        if primary != state.me.address:
            state.desk.detach(key, session, op_id)
            text = "the lock has moved with its queue; ask its new primary with the same op_id"
            state.refuse(request, Code.MOVED, text, moved_to=primary or "")
    for key in list(state.desk.watching):
        for request in state.desk.looking(key):
            handle(state, request)


def drop_surplus_copies(state: NodeState, settled_view: int) -> None:
    """Forget copies that nobody needs once every member has settled."""
    if settled_view <= state.handover.settled_view:
        return
    state.handover.settled_view = settled_view
    if settled_view < state.view_number:
        return  # of an older view: nothing is surplus yet
    for item in state.items():
        drop_if_surplus(state, item)


def drop_if_surplus(state: NodeState, item: Lease | RangeFile) -> None:
    """Forget a copy that is neither primary's nor backup's, once every member has settled in this view."""
    if state.view is None or state.handover.settled_view < state.view_number:
        return
    mine = state.me.address in state.owners_at(item.position)
    if not mine and not item.serving and item.key not in state.desk.pending:
        state.drop(item.key)


def refuse_waiting(state: NodeState, text: str) -> None:
    """Answer what is parked when the node may no longer serve."""
    for key in list(state.desk.parked):
        for request in state.desk.unpark(key):
            state.refuse(request, Code.NOT_SERVING, text)
    for place, request in list(state.desk.queued.items()):
        state.desk.detach(*place)
        state.refuse(request, Code.NOT_SERVING, text)
    for key in list(state.desk.watching):
        for request in state.desk.looking(key):
            state.refuse(request, Code.NOT_SERVING, text)
    keeping.refuse_keeping(state, text)
