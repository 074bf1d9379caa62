"""Who may become a member of the ring.

A node that is new to the cluster wants in with its registration. One that
has heard of a view before, as each that was marked down has, wants in only
when it has shown that it can take part: it has the current view, so it hears
the master, and every member of that view has answered it. A node that is cut
off from somebody thus stays out for as long as the cut lasts, instead of
coming and going.

Invariants
  M7  Who was marked down comes back only with the current view, and when it
      reaches every member of it.
Elsewhere: when joins are published (master), addresses and incarnations (roster).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import messages as msg
from lockcore.core.events import EventKind
from lockcore.core.limits import MEMBERS_MAX, NS_PER_MS, PEER_SILENCE_MS, VIEW_REPEAT_MS

if TYPE_CHECKING:
    from lockcore.core.master_state import MasterState
    from lockcore.core.roster import Node


def register(state: MasterState, connection: int, message: msg.Register) -> None:
    """Take the first words of a node on a connection."""
    member = message.member
    if len(state.roster.nodes) >= MEMBERS_MAX and state.roster.get(member) is None:
        refuse(state, connection, f"this ring has {MEMBERS_MAX} members, which is the most")
        return
    _learn(state, message)
    older = state.roster.connection_of(member)
    if older is not None and older != connection:
        state.out.append(msg.Disconnect(older))  # or nobody would notice that nothing is heard there any more
    node = state.roster.connect(member, connection, state.now.boot_ns)
    node.floor = max(node.floor, message.floor)
    state.tell_view(node)
    if state.is_up(member) or node.wants_in or state.closing:
        return
    rival = state.roster.rival(member, state.view)
    if rival is not None:
        node.claimed_ns = state.now.boot_ns  # one of the two is not alive
    elif message.view is None or state.view is None:
        want_in(state, node)


def _learn(state: MasterState, message: msg.Register) -> None:
    """Take what a node knows that this master does not (M1, W13)."""
    view = message.view
    state.ledger.raise_numbers(message.floor)
    if view is None:
        return
    state.ledger.raise_numbers(max(view.number, view.version))
    known = state.view
    if known is None or view.number > known.number or state.ledger.is_foreign(view, state.now):
        state.unknown_past = True
        state.restart_stabilisation(state.config.node_lease_ms + state.config.margin_ms)


def want_in(state: MasterState, node: Node) -> None:
    """Have a node published as a member after the stabilisation delay."""
    if state.is_up(node.id) or node.leaving or node.dead:
        return
    if not node.wants_in:
        node.wants_in = True
        state.tell(EventKind.JOINED, node.id, "wants to be a member")
    state.restart_stabilisation(state.config.stabilisation_ms)


def reconsider(state: MasterState, node: Node) -> None:
    """Let a node that was just heard want in, or no longer (M7)."""
    if state.is_up(node.id) or node.claimed_ns is not None:
        return
    if node.wants_in:
        long_ago_ns = state.now.boot_ns - PEER_SILENCE_MS * NS_PER_MS
        node.wants_in = not any(state.is_up(m) and since <= long_ago_ns for m, since in node.unreached.items())
    elif may_come(state, node):
        want_in(state, node)


def may_come(state: MasterState, node: Node) -> bool:
    """Say whether a node that is no member has shown that it can take part (M7)."""
    view = state.view
    return view is None or (node.view >= view.number and not any(view.is_up(m) for m in node.unreached))


def repeat_view(state: MasterState, node: Node) -> None:
    """Tell the view again to who should have had it long ago."""
    late_ns = state.now.boot_ns - node.told_ns
    if state.view is not None and node.view < state.view.number and late_ns >= VIEW_REPEAT_MS * NS_PER_MS:
        state.tell_view(node)


def refuse(state: MasterState, connection: int, text: str) -> None:
    """Tell a node that it cannot be a member, and why."""
    state.out.append(msg.SendNode(connection, msg.RegisterRefused(text)))
    state.out.append(msg.Disconnect(connection))


def refuse_rivals(state: MasterState, node: Node) -> None:
    """A heartbeat proves the incumbent alive: who claims its address is mistaken."""
    for other in state.roster.disproved_by(node, state.view, state.now.boot_ns):
        text = (
            f"{node.id.address} is in use by a living node (incarnation "
            f"{node.id.incarnation}); start this node at another address"
        )
        if other.connection is not None:
            refuse(state, other.connection, text)
        state.tell(EventKind.REFUSED, other.id, text)
        state.roster.forget(other)


def admit_claimants(state: MasterState) -> None:
    """Let those want in whose predecessor at the address is gone."""
    for node in state.roster.admissible(state.view):
        if state.roster.rival(node.id, state.view) is None:  # also not the claimant before
            node.claimed_ns = None
            want_in(state, node)
