"""One lock node: `step(input, now)` returns effects, in order.

The order is the contract: a fact (Emit) about a mutation precedes the reply
that acknowledges it, and whoever carries the effects out keeps that order.

A mutation goes through like this: the primary applies it to its table,
queues it for the backup, and keeps the answer; the backup's acknowledgement,
given in the same view, releases fact and answer. If the view changes in
between, the mutation is queued again for whoever forms the pair now, or
handed to the new primary, and the answer waits on.

Invariants
  N1  Nothing is served without a valid node lease, nor in a view in which
      this incarnation is not up, nor for positions it is not complete for.
  N2  A mutation is acknowledged only when the backup of the same view, or
      the new primary it was handed to, has accepted it ("the pair rule").
  N3  Views rise. What belongs to another view is refused.
Elsewhere: client operations (serving), peers (inbox), views (views), table
rules (leases), completeness (handover), waiting (requests), sessions and
their queues (keeping, queueing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import cleaning, queueing
from lockcore.core.config import NodeConfig
from lockcore.core.events import EventKind
from lockcore.core.inbox import receive
from lockcore.core.inspecting import KeySeen, LeaseSeen, SessionsSeen, see_key, see_leases, see_sessions
from lockcore.core.limits import NS_PER_MS, REQUEST_TIMEOUT_MS_MAX
from lockcore.core.messages import (
    PROBE_LSN,
    ClientCall,
    Close,
    Farewell,
    FromMaster,
    FromPeer,
    Gauges,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Instant,
    Leave,
    MasterMessage,
    NodeEffect,
    NodeInput,
    PeerBatch,
    Register,
    RegisterRefused,
    SendMaster,
    SendPeer,
    Stop,
    Tick,
    ViewUpdate,
)
from lockcore.core.overdue import overdue
from lockcore.core.requests import Request
from lockcore.core.serving import begin, handle
from lockcore.core.state import NodeState
from lockcore.core.views import adopt, drop_surplus_copies, promote_ready, refuse_waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.core.leases import Lease
    from lockcore.core.view import MemberId, View

EXIT_LEFT = 0
EXIT_REFUSED = 3
NO_LEASE_TEXT = "this node has lost contact with the master; try another node"


class NodeCore:
    """A lock node without sockets, clocks or threads.

    Args:
        member: ring address and incarnation; a new life needs a new one.
        secret: key of the renew tokens, the same on all nodes.
        config: durability and the delays.
    """

    def __init__(self, member: MemberId, secret: bytes, config: NodeConfig | None = None) -> None:
        """Start with nothing: no view, no lease, no locks."""
        self._state = NodeState.new(member, secret, config or NodeConfig())

    # --- for the shell ------------------------------------------------------------

    @property
    def member(self) -> MemberId:
        """Who this node is."""
        return self._state.me

    @property
    def view(self) -> View | None:
        """The newest view adopted."""
        return self._state.view

    @property
    def lease_until_ns(self) -> int:
        """When the node lease ends, CLOCK_BOOTTIME."""
        return self._state.lease.until_ns

    def serving(self, now: Instant) -> bool:
        """Say whether the node may serve now."""
        self._state.now = now
        return self._state.serving()

    @property
    def all_settled(self) -> bool:
        """Say whether the master has told that every member is settled in this view."""
        view = self._state.view
        return view is not None and self._state.handover.settled_view >= view.number

    def acquiring(self) -> bool:
        """Say whether a part of the primary range is not ready yet."""
        return self._state.handover.acquiring()

    def registration(self) -> Register:
        """Return the first words on each connection to the master."""
        return Register(self._state.me, self._state.table.floor, self._state.view)

    def held(self, now: Instant) -> Iterator[Lease]:
        """Yield the live leases this node serves as primary."""
        return (le for le in self._state.table if le.serving and le.live(now.boot_ns))

    def leases(self) -> Iterator[Lease]:
        """Yield everything the node knows, copies and tombstones included."""
        return iter(self._state.table)

    def gauges(self, now: Instant) -> Gauges:
        """Measure the node; what it holds is as of the last step."""
        state = self._state
        state.now = now
        return Gauges(
            held_primary=state.table.held(serving=True),
            held_backup=state.table.held(serving=False),
            operations=state.operations,
            renewals=state.renewals,
            parked=state.desk.parked_count,
            waiting=state.desk.pending_count,
            acquiring=state.handover.acquiring(),
            serving=state.serving(),
        )

    def see_key(self, key: str, now: Instant) -> KeySeen:
        """Return what this node decides about a key, for people."""
        self._state.now = now
        return see_key(self._state, key)

    def see_leases(self, keys: Iterable[str], now: Instant) -> tuple[LeaseSeen, ...]:
        """Return which of some keys are held here, and how long yet, for people."""
        self._state.now = now
        return see_leases(self._state, keys)

    def see_sessions(self, now: Instant) -> SessionsSeen:
        """Return the newest sessions and what they have here, for people."""
        self._state.now = now
        return see_sessions(self._state)

    def next_timer_ns(self) -> int | None:
        """Return the CLOCK_BOOTTIME at which a Tick is wanted."""
        state = self._state
        moments = [state.lease.next_heartbeat_ns]
        if state.cleaning:
            moments.append(state.now.boot_ns)
        if state.was_serving:
            moments.append(state.lease.until_ns)
        found = (
            state.table.next_deadline_ns(),
            state.desk.next_deadline_ns(),
            state.sessions.next_deadline_ns(),
            state.alarms.next_ns(),
        )
        moments.extend(at for at in found if at is not None)
        moments.extend(at for link in state.links.values() if (at := link.due_ns()) is not None)
        return min(moments)

    # --- the step ---------------------------------------------------------------------

    def step(self, given: NodeInput, now: Instant, *, more: bool = False) -> list[NodeEffect]:
        """Take one input; return what to do, in order.

        Args:
            given: what happened.
            now: both clocks; `boot_ns` never below the previous call's.
            more: another input follows at once. What goes to peers then leaves with the last one, in one batch.
        """
        state = self._state
        state.now = now
        state.out = []
        self._pass_time()
        self._take(given)
        cleaning.pass_time(state)  # also what ended in this very step
        self._tell_watchers()
        if not more:
            self._flush()
        return state.out

    def _take(self, given: NodeInput) -> None:
        state = self._state
        match given:
            case ClientCall():
                begin(state, self._request(given))
            case FromPeer(message):
                receive(state, message)
            case FromMaster(message):
                self._take_master(message)
            case Leave():
                self._leave()
            case Tick():
                pass

    def _request(self, call: ClientCall) -> Request:
        timeout_ms = min(max(call.timeout_ms, 1), REQUEST_TIMEOUT_MS_MAX)
        return Request(
            operation=call.operation,
            deadline_ns=self._state.now.boot_ns + timeout_ms * NS_PER_MS,
            may_park=call.may_park,
            call_id=call.call_id,
            one_hop=call.forwarded,
        )

    def _take_master(self, message: MasterMessage) -> None:
        state = self._state
        match message:
            case ViewUpdate(view):
                adopt(state, view)
            case HeartbeatAck():
                if state.lease.acknowledge(message, state.view_number):
                    self._note_fencing()
                drop_surplus_copies(state, message.settled)
            case RegisterRefused(text):
                state.out.append(Stop(EXIT_REFUSED, text))
            case Close():
                self._close()

    def _leave(self) -> None:
        state = self._state
        if state.leaving:
            return
        state.leaving = True
        state.emit(EventKind.LEFT, detail="goodbye said")
        state.out.append(SendMaster(Goodbye(state.me)))

    def _close(self) -> None:
        """Stop serving with the whole cluster; say how long leases go on."""
        state = self._state
        now_ns = state.now.boot_ns
        state.closed = True
        ends = [lease.ends_ns for lease in state.table if lease.live(now_ns)]
        ends.append(state.handover.grace_ends_ns(now_ns))
        longest_ms = -((now_ns - max(ends)) // NS_PER_MS)
        refuse_waiting(state, "the cluster is being stopped")
        state.emit(EventKind.LEFT, detail="the cluster is being stopped")
        state.out.append(SendMaster(Farewell(state.me, longest_ms)))
        state.out.append(Stop(EXIT_LEFT, "the cluster was stopped"))

    # --- time -------------------------------------------------------------------------

    def _pass_time(self) -> None:
        state = self._state
        now_ns = state.now.boot_ns
        self._note_fencing()
        state.table.settled = state.settled_view > 0
        for lease in state.table.expire(now_ns):
            if lease.serving:
                state.emit(EventKind.EXPIRED, lease)
                state.changed.add(lease.key)
            if lease.waiters:
                queueing.advance(state, lease.key)
        cleaning.pass_time(state)
        for request in state.desk.overdue(now_ns):
            overdue(state, request)

    def _tell_watchers(self) -> None:
        state = self._state
        changed, state.changed = state.changed, set()
        for key in changed:
            for request in state.desk.looking(key):
                handle(state, request)

    def _note_fencing(self) -> None:
        """Emit a fact when the right to serve comes or goes."""
        state = self._state
        serving = state.serving()
        if serving == state.was_serving:
            return
        state.was_serving = serving
        if serving:
            state.emit(EventKind.UNFENCED)
            promote_ready(state)
        elif not state.closed:
            why = "marked down" if not state.is_up else "no acknowledged heartbeat"
            state.doubtful_ns = state.doubtful_ns or min(state.now.boot_ns, state.lease.until_ns)
            state.emit(EventKind.FENCED, detail=why)
            refuse_waiting(state, NO_LEASE_TEXT)

    # --- what goes out at the end of each step -------------------------------------------

    def _flush(self) -> None:
        state = self._state
        now_ns = state.now.boot_ns
        # A fenced node has not promoted its copies yet, nor queued them.
        may_seal_backup = state.serving() and not state.handover.acquiring()
        for address, link in state.links.items():
            batch = link.next_batch(state, now_ns, may_seal_backup=may_seal_backup)
            if batch is not None:
                state.out.append(SendPeer(address, batch))
                state.reach.ask(link.peer, now_ns)
        if state.leaving and self._left():
            state.out.append(Stop(EXIT_LEFT, "left the ring"))
        if now_ns >= state.lease.next_heartbeat_ns and not state.closed:
            self._probe()
            self._heartbeat()

    def _probe(self) -> None:
        """Ask who was silent for two heartbeats whether anybody is there."""
        state = self._state
        for peer in state.reach.to_probe(state.now.boot_ns, 2 * state.config.heartbeat_ms):
            probe = PeerBatch(state.me, peer, state.view_number, PROBE_LSN)
            state.out.append(SendPeer(peer.address, probe))
            state.reach.ask(peer, state.now.boot_ns)

    def _left(self) -> bool:
        """Say whether nothing is left to hand over, nor to be confirmed by a new primary (S5)."""
        state = self._state
        if state.is_up or (state.view is None and state.lease.until_ns):
            return False
        if any(request.again for request in state.desk.forwards.values()):
            return False
        return all(link.handover_sealed for link in state.links.values())

    def _heartbeat(self) -> None:
        state = self._state
        if state.settled_view:  # else a copy that is to be dropped may still be somewhere
            state.files.forget_idle(state.now.boot_ns)
        number = state.lease.send(state.now.boot_ns)
        message = Heartbeat(
            member=state.me,
            number=number,
            view=state.view_number,
            settled=state.is_up and state.handover.settled(),
            floor=state.table.floor,
            gauges=self.gauges(state.now),
            acked=state.lease.acked,
            unreached=state.reach.unreached(state.now.boot_ns),
        )
        state.out.append(SendMaster(message))
        if state.leaving:
            state.out.append(SendMaster(Goodbye(state.me)))
