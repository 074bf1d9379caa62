"""The ring master: `step(input, now)` returns effects, in order.

It owns the membership and publishes it in views. Deaths are published at
once, as a "down" mark in a view of the same version. Joins, goodbyes and the
removal of the dead are *planned*: they wait for the stabilisation delay,
which each change starts anew, and for every living member to be settled in
the current view. A goodbye does not wait for the delay.

Invariants
  M5  After a restart nothing planned is published until each member that
      was up is back or has been marked down (W13).
  M9  Who remembers no view acknowledges nobody who has one: that node may have
      been put out since, and another serve in its place.
Elsewhere: publishing itself (master_state), who may be a member (admission),
who is marked down unasked (silence), what is lost when both of a pair die
(ledger), streams (service).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lockcore.core import messages as msg
from lockcore.core.admission import admit_claimants, reconsider, refuse_rivals, register, repeat_view
from lockcore.core.config import MasterConfig
from lockcore.core.events import EventKind
from lockcore.core.ledger import Ledger
from lockcore.core.limits import MASTER_STALL_MS, NS_PER_MS, VIEW_REPEAT_MS
from lockcore.core.master_state import MasterState
from lockcore.core.roster import MemberStatus, Node
from lockcore.core.silence import is_deaf, judge, notice_stall, silent_at_ns
from lockcore.core.view import Member

if TYPE_CHECKING:
    from lockcore.core.view import MemberId, View


class MasterCore:
    """The ring master without sockets, clocks or files.

    Args:
        config: the delays.
        journal: what msg.Persist last held, or None where there is none.
        now: when this life begins.
        unknown_past: there was a journal, and it is lost.
        boot_id: of the boot in which `now.boot_ns` counts; None where that is always the same.
    """

    def __init__(
        self,
        config: MasterConfig | None = None,
        journal: dict[str, Any] | None = None,
        now: msg.Instant | None = None,
        *,
        unknown_past: bool = False,
        boot_id: str | None = None,
    ) -> None:
        """Remember what the journal knows."""
        now = now or msg.Instant(0, 0)
        ledger = Ledger.load(journal, now, boot_id)
        self._state = MasterState(config or MasterConfig(), ledger, now, now.boot_ns, unknown_past)
        if unknown_past:
            # Nodes of which it does not know may serve until their node leases end.
            self._state.restart_stabilisation(self._state.config.node_lease_ms + self._state.config.margin_ms)
        if ledger.view is not None and len(ledger.view.up) < len(ledger.view.members):
            # Who is down leaves the ring after the delay, which may have been running when the last life ended.
            self._state.restart_stabilisation(self._state.config.stabilisation_ms)
        for member in ledger.view.up.values() if ledger.view else ():
            self._state.roster.nodes[member] = Node(member, acked_ns=now.boot_ns)

    # --- for the shell --------------------------------------------------------------

    @property
    def view(self) -> View | None:
        """The newest view published, with the graces as they are by now."""
        return self._state.ledger.current_view(self._state.now)

    @property
    def settled(self) -> bool:
        """Say whether every living member has all it needs in the view."""
        return self._state.settled

    def stabilising_ms(self, now: msg.Instant | None = None) -> int | None:
        """Return how long the stabilisation delay still runs from `now` (else the last step); None if it does not."""
        until_ns = self._state.stabilise_ns
        if until_ns is None:
            return None
        return max(0, (until_ns - (now or self._state.now).boot_ns) // NS_PER_MS)

    def members(self, now: msg.Instant | None = None) -> tuple[MemberStatus, ...]:
        """Return all incarnations that are members or want to be, with ages as of `now` (else the last step)."""
        view, now_ns = self._state.view, (now or self._state.now).boot_ns
        found = [n.status(view, now_ns) for n in self._state.roster]
        return tuple(sorted(found, key=lambda s: (s.address, s.incarnation)))

    def next_timer_ns(self) -> int | None:
        """Return the CLOCK_BOOTTIME at which a msg.Tick is wanted."""
        state = self._state
        moments = [silent_at_ns(state, n) for n in state.roster if state.is_up(n.id)]
        if state.roster.nodes:
            # Often enough that a pause of this process cannot be mistaken
            # for one of its own waits (see notice_stall).
            moments.append(state.ran_ns + MASTER_STALL_MS * NS_PER_MS // 2)
        if state.stabilise_ns is not None:
            # Where it waits for nodes to settle, their reports bring the step.
            moments.append(max(state.stabilise_ns, state.ran_ns + 50 * NS_PER_MS))
        return min(moments, default=None)

    # --- the step ----------------------------------------------------------------------

    def step(self, given: msg.MasterInput, now: msg.Instant) -> list[msg.MasterEffect]:
        """Take one input; return what to do, in order."""
        state = self._state
        state.now = now
        state.out = []
        notice_stall(state)
        match given:
            case msg.FromNode(connection, message):
                self._take(connection, message)
            case msg.ConnectionLost(connection):
                self._lose(connection)
            case msg.DeathSeen(member):
                self._see_death(member)
            case msg.CloseCluster():
                self._close()
            case msg.Tick():
                pass
        judge(state)
        admit_claimants(state)
        self._publish_planned()
        self._check_closed()
        state.ran_ns = now.boot_ns
        return state.out

    def _take(self, connection: int, message: object) -> None:
        match message:
            case msg.Register():
                register(self._state, connection, message)
            case msg.Heartbeat():
                self._heartbeat(connection, message)
            case msg.Goodbye(member):
                self._goodbye(member)
            case msg.Farewell(member, longest_ms):
                node = self._state.roster.get(member)
                if node is not None:
                    node.farewell_ms = longest_ms
            case _:
                pass

    def _heartbeat(self, connection: int, message: msg.Heartbeat) -> None:
        state = self._state
        node = state.roster.get(message.member)
        if node is None:
            return
        if node.connection != connection:
            node.prove(message)
            return  # a connection that was replaced, or never registered
        node.take(message, state.now.boot_ns)
        node.settled = message.settled and state.view is not None and message.view == state.view.number
        refuse_rivals(state, node)
        reconsider(state, node)
        state.note_settled()
        repeat_view(state, node)
        if is_deaf(state, node):
            return  # not acknowledged: it must come to an end in which it surely serves nothing
        if state.view is None and message.view:
            node.acked_ns = node.proved_ns = state.now.boot_ns  # it is heard, and may not serve (M9)
            return
        node.acknowledge(message.number, state.now.boot_ns)
        number = state.view.number if state.view else 0
        ack = msg.HeartbeatAck(message.number, number, state.ledger.settled_view)
        state.out.append(msg.SendNode(connection, ack))

    # --- leaving and dying ------------------------------------------------------------------

    def _goodbye(self, member: MemberId) -> None:
        node = self._state.roster.get(member)
        if node is None or node.leaving:
            return
        node.leaving = True
        node.wants_in = False
        self._state.tell(EventKind.LEFT, member, "said goodbye")

    def _lose(self, connection: int) -> None:
        node = self._state.roster.disconnect(connection)
        if node is not None and not self._state.is_up(node.id):
            self._state.roster.forget(node)

    def _see_death(self, member: MemberId) -> None:
        node = self._state.roster.get(member)
        if node is not None:
            node.dead = True  # what is still in its socket proves nothing
            node.wants_in = False
        self._state.bury([member], "its process was seen to end")

    # --- publishing --------------------------------------------------------------------------

    def _publish_planned(self) -> None:
        """msg.Publish joins, goodbyes and removals when their time has come."""
        state = self._state
        if state.closing or not self._may_plan():
            return
        leaving = next((n for n in state.roster if n.leaving and state.is_up(n.id)), None)
        if leaving is not None and self._let_go(leaving):  # two at once could be both of a pair
            return
        if state.stabilise_ns is None or state.now.boot_ns < state.stabilise_ns:
            return
        state.stabilise_ns = None
        members = self._planned_members()
        if state.view is None and not members and not any(n.leaving for n in state.roster):
            return  # the first to want in starts the delay; who only wants to leave is let go
        if state.view is None or members != state.view.members or state.unknown_past:
            state.publish(members, None)

    def _let_go(self, node: Node) -> bool:
        """Mark a node down that said goodbye; say whether nothing else is to be planned now.

        The last one has nobody to hand over to: it waits for who wants in, or
        else is closed, and says how long its leases go on.
        """
        state = self._state
        alone = state.view is not None and list(state.view.up.values()) == [node.id]
        if alone and node.farewell_ms is None:
            if node.closing_ns is None and any(n.wants_in for n in state.roster):
                return False
            if node.closing_ns is None or state.now.boot_ns - node.closing_ns >= VIEW_REPEAT_MS * NS_PER_MS:
                node.closing_ns = state.now.boot_ns
                state.send(node.id, msg.Close())
            return True
        state.mark_down([node.id], node.farewell_ms if alone else None)
        state.restart_stabilisation(state.config.stabilisation_ms)
        return True

    def _may_plan(self) -> bool:
        state = self._state
        view = state.view
        if view is None:
            return True
        nodes = [state.roster.get(m) for m in view.up.values()]
        back = all(n is not None and n.spoke for n in nodes)
        return back and (self.settled or not view.up or state.unknown_past)

    def _planned_members(self) -> tuple[Member, ...]:
        up = {n.id for n in self._state.roster if n.counts(self._state.view)}
        return tuple(Member(m.address, m.incarnation) for m in sorted(up))

    # --- closing -----------------------------------------------------------------------------

    def _close(self) -> None:
        self._state.closing = True
        for node in self._state.roster:
            self._state.send(node.id, msg.Close())

    def _check_closed(self) -> None:
        state = self._state
        if not state.closing:
            return
        nodes = [n for n in state.roster if state.is_up(n.id)]
        if any(n.farewell_ms is None for n in nodes):
            return
        if nodes:
            # Everybody said how long its leases go on: no need to wait longer.
            longest_ms = max((n.farewell_ms or 0) for n in nodes)
            state.mark_down([n.id for n in nodes], longest_ms)
        state.out.append(msg.Closed())
