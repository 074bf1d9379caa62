"""Who is marked down without having asked for it, and without having been seen to die.

Three kinds of silence, each judged on time that this master itself has listened:

- *not heard*: no heartbeat for node lease and margin. The node has fenced
  itself by then, so it serves nothing, whoever it can reach;
- *deaf*: its heartbeats come, or came, but say that no acknowledgement arrives;
- *apart*: two members hear the master but not each other, so what they hold
  together waits. One of the two has to go.

The last two speak of nodes that live and may serve. Marking those down is
safe only while of every pair that may hold state one node stays: it has all
that was acknowledged, and accepts nothing in an older view. So neither ever
makes a double failure of a single one, nor takes the last node. A deaf node
that must not be marked down so is no longer acknowledged instead, and counts
as not heard in the end.

Of two that are apart goes the one that is apart from more members; else the
younger, so that it is always the same one.

Invariants
  M2  A member is marked down as not heard only after its node lease and a
      margin have passed since the master last acknowledged it.
  M6  A member that is heard is marked down only if of each pair that may hold
      state one node stays up.
  M8  Being apart, and being deaf, count only from when the master hears both of
      the two, or the one, without a gap: words that are older, or waited while
      it slept, count nothing.
Elsewhere: how they come back (admission), who tells (reach, liveness).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lockcore.core.limits import HEARING_MS, MASTER_STALL_MS, NS_PER_MS, PEER_SILENCE_MS

if TYPE_CHECKING:
    from lockcore.core.master_state import MasterState
    from lockcore.core.roster import Node
    from lockcore.core.view import MemberId

HEARING_NS = HEARING_MS * NS_PER_MS
DEAF_ACKS = 2
"""So many acknowledgements in vain: to one that slept fewer were sent, since it was not heard."""

Pair = tuple["MemberId", "MemberId"]


def silent_at_ns(state: MasterState, node: Node) -> int:
    """Return when a member counts as not heard (M2)."""
    return node.acked_ns + state.silence_ns


def judge(state: MasterState) -> None:
    """Mark down who is not heard, and one of two that are apart."""
    now_ns = state.now.boot_ns
    silent = [n.id for n in state.roster if state.is_up(n.id) and now_ns >= silent_at_ns(state, n)]
    if silent:
        state.bury(silent, "no heartbeat within node lease and margin")
    for node in state.roster:
        if is_deaf(state, node) and _may_go(state, node.id):
            state.bury([node.id], "no acknowledgement of its heartbeats reaches it")
    _part(state)


def notice_stall(state: MasterState) -> None:
    """A master that slept has not listened: nobody is silent yet (M2, M8)."""
    if state.now.boot_ns - state.ran_ns >= MASTER_STALL_MS * NS_PER_MS:
        state.roster.forgive_sleep(state.ran_ns, state.now.boot_ns, state.config.node_lease_ms)


def is_deaf(state: MasterState, node: Node) -> bool:
    """Say whether a member has spoken, but no longer hears.

    Its lease ran from before the last acknowledgement that is known to have
    arrived, so it has fenced itself by now, unless another one arrives yet.
    One that slept, or spoke to a master that slept, has had no time to show
    that (M8).
    """
    now_ns = state.now.boot_ns
    listened_ns = max(node.proved_ns, node.steady_ns)
    if now_ns - listened_ns < state.silence_ns or not state.is_up(node.id):
        return False
    in_vain = sum(now_ns - at_ns >= PEER_SILENCE_MS * NS_PER_MS for _, at_ns in node.unproven)
    return in_vain >= DEAF_ACKS


def _may_go(state: MasterState, member: MemberId) -> bool:
    """Say whether nothing is lost with a member (M6)."""
    return not (state.unknown_past or state.closing) and not state.ledger.would_orphan(member)


def _part(state: MasterState) -> None:
    """Mark down one of two members that have been apart for too long."""
    now_ns = state.now.boot_ns
    apart = _apart(state)
    ripe = {m for pair, since_ns in apart.items() for m in pair if now_ns - since_ns >= state.silence_ns}
    if not ripe:
        return
    others = Counter(m for pair in apart for m in pair)
    order = sorted(ripe, key=lambda m: (-others[m], -m.incarnation, m.address))
    loser = next((m for m in order if _may_go(state, m)), None)
    if loser is not None:
        names = sorted({m.address for pair in apart if loser in pair for m in pair if m != loser})
        state.bury([loser], f"it and {', '.join(names)} do not reach each other")


def _apart(state: MasterState) -> dict[Pair, int]:
    """Return the pairs that do not reach each other, and since when that counts (M8)."""
    now_ns = state.now.boot_ns
    heard = {n.id: n for n in state.roster if state.is_up(n.id) and now_ns - n.heard_ns <= HEARING_NS}
    apart: dict[Pair, int] = {}
    for node in heard.values():
        for member, since_ns in node.unreached.items():
            other = heard.get(member)
            if other is None or now_ns - since_ns < PEER_SILENCE_MS * NS_PER_MS:
                continue
            pair = min(node.id, member), max(node.id, member)
            counted_ns = max(since_ns, node.steady_ns, other.steady_ns)
            apart[pair] = min(apart.get(pair, counted_ns), counted_ns)
    return apart
