"""I13 and I14: how nodes treat who asks them, and who takes a lock over. Watched from outside.

I13, a request keeps its bounds
  - Nothing fresh is granted past its caller's deadline, and a grant whose
    caller was refused is not held on (W18).
  - A grant is a fact only where its caller is told of it: a lock is not
    granted to somebody who goes on asking for it (P3).
  - A node passes on only what a client of its own asked: one hop (W15).

I14, a lock has one keeper, who knows everything
  - A holder who shows its newest token to the node that keeps its lock is
    neither sent on nor refused there, also in a handover (DESIGN 6).
  - Who grants, promotes or re-admits a lock knows every acknowledged state of
    it that a living member of the same view has, its release as well.
  - Who gives a lock up has handed over the state that it had, not an older
    one (DESIGN 6, by compare-and-swap).
  - A fresh grant is told of in the view in which it was decided, or by who is
    primary still (P3).

Owners are told apart by name: simulated clients give each acquisition one.

Elsewhere: who calls this (witness), what was acknowledged (deeds, I12).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.events import EventKind
from lockcore.core.limits import NS_PER_MS, TOMBSTONE_MARGIN_MS
from lockcore.core.messages import (
    ClientCall,
    Code,
    Emit,
    Forward,
    ForwardReply,
    FromPeer,
    Granted,
    Lock,
    NodeEffect,
    NodeInput,
    Operation,
    Refused,
    Reply,
    SendPeer,
    Unlock,
)
from lockcore.testing.record import Act, Deed, Violation

if TYPE_CHECKING:
    from lockcore.core.events import Event
    from lockcore.core.leases import Lease
    from lockcore.testing.stage import SimNode, Stage

SEND_AWAY = frozenset(
    {Code.NOT_PRIMARY, Code.NOT_FOUND, Code.TOKEN_MISMATCH, Code.TOKEN_ON_NEW, Code.TOKEN_ON_EXPIRED, Code.HANDOFF}
)
SLACK_NS = 20 * NS_PER_MS
"""A lease or a node lease that ends so soon may end before anything can be said."""
REMEMBERED_NS = TOMBSTONE_MARGIN_MS * NS_PER_MS // 2
"""So long after a lease at least all copies of it are kept as tombstones; they count from when they came."""
HOLDS = 0.99
"""A clock that runs 1 % fast lets a lease end at so much of its time."""

Question = tuple[object, int]


@dataclass(slots=True)
class Bench:
    """What one incarnation was asked. `due_ns`: by its own clock, for each owner."""

    due_ns: dict[str, int] = field(default_factory=dict)
    asked: dict[Question, Operation] = field(default_factory=dict)
    own: set[Operation] = field(default_factory=set)
    granted: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)


class Custody:
    """Who was asked for what, and who keeps which lock."""

    def __init__(self, stage: Stage) -> None:
        """Look at nothing yet."""
        self.stage = stage
        self.found: list[Violation] = []
        self._keepers: dict[str, tuple[int, int]] = {}
        self.newest: dict[str, Deed] = {}
        self._benches: dict[int, Bench] = {}
        self._shown: tuple[Question, Operation] | None = None

    def hear(self, node: SimNode, given: NodeInput, left_ns: int) -> None:
        """Look at a request before the node takes it. `left_ns`: of its node lease."""
        self._shown = None
        match given:
            case ClientCall(call_id, operation, timeout_ms):
                question: Question = ("", call_id)
            case FromPeer(Forward(sender, forward_id, operation, timeout_ms)):
                question = (sender.address, forward_id)
            case _:
                return
        bench = self._bench(node)
        if question in bench.asked or operation in bench.asked.values():
            # A link did, here or on the way to who forwards it: one is refused, and the other goes on.
            bench.doubled.add(getattr(operation, "owner", ""))
        bench.asked[question] = operation
        if isinstance(given, ClientCall):
            bench.own.add(operation)
        if isinstance(operation, Lock) and not operation.token and operation.session is None:
            due_ns = node.clock.boot(self.stage.now_ns) + timeout_ms * NS_PER_MS
            bench.due_ns[operation.owner] = max(due_ns, bench.due_ns.get(operation.owner, 0))
        elif isinstance(operation, Lock | Unlock) and left_ns > SLACK_NS and self._keeps(node, operation):
            self._shown = question, operation

    def see(self, node: SimNode, effects: list[NodeEffect]) -> None:
        """Look at what came of it."""
        bench = self._bench(node)
        self._untold(node, effects)
        for event in [e.event for e in effects if isinstance(e, Emit) and e.event.kind is EventKind.DEMOTED]:
            self._given_up(node, event)
        for effect in effects:
            match effect:
                case Reply(call_id, result):
                    self._answered(node, bench, ("", call_id), result)
                case SendPeer(address, ForwardReply(_, forward_id, result)):
                    self._answered(node, bench, (address, forward_id), result)
                case SendPeer(address, Forward(_, _, operation, again=again)):
                    if operation not in bench.own and not again:
                        self._accuse("I13", node, operation.key, f"it sent on to {address} what it was sent")
                    if self._shown is not None and self._shown[1] is operation:
                        self._accuse("I14", node, operation.key, "it keeps the lock, and sent its holder on")

    def grants(self, node: SimNode, lease: Lease) -> None:
        """Look at a fresh grant."""
        bench = self._bench(node)
        bench.granted.add(lease.owner)
        late_ns = node.clock.boot(self.stage.now_ns) - bench.due_ns.get(lease.owner, 1 << 63)
        if late_ns >= 0:
            text = f"it granted {late_ns / NS_PER_MS:.1f} ms past the deadline of {lease.owner}"
            self._accuse("I13", node, lease.key, text)

    def takes_over(self, node: SimNode, key: str, order: tuple[int, int]) -> None:
        """Look at a node that grants, promotes a copy, or re-admits a holder by a token; `order` is what it knows."""
        newest = self.newest.get(key)
        view = node.core.view
        if newest is None or newest.order <= order or view is None:
            return
        for other in self.stage.nodes.values():
            theirs = other.core.view
            if other is node or not other.alive or theirs is None or theirs.number != view.number:
                continue
            lease = other.core._state.table.get(key)  # noqa: SLF001 - a witness, no part of the rules
            if lease is None or not theirs.is_up(other.core.member):
                continue
            known = lease.generation == newest.generation and lease.seq >= newest.seq  # a later grant may be untold
            if known and other.clock.boot(self.stage.now_ns) < lease.expires_ns + REMEMBERED_NS:
                text = f"it took over {order}, and {other.address} of the same view knows {newest.order}"
                self._accuse("I14", node, key, text)
                return

    def keeps(self, node: SimNode, key: str, generation: int) -> None:
        """Note who keeps a lock: who renews an older grant than was made since does not."""
        if generation >= self._keepers.get(key, (0, 0))[0]:
            self._keepers[key] = generation, node.core.member.incarnation

    def missed_a_view(self, node: SimNode) -> None:
        """Note that a node keeps nothing any more: somebody else may, in a view that it has not heard of (A2)."""
        mine = [key for key, (_, keeper) in self._keepers.items() if keeper == node.core.member.incarnation]
        for key in mine:
            del self._keepers[key]

    def lets_go(self, key: str) -> None:
        """Note that nobody keeps a lock."""
        self._keepers.pop(key, None)

    def tells(self, node: SimNode, decided: Deed) -> None:
        """Look at a node that tells a client of a decision."""
        view = node.core.view
        if decided.what is not Act.GRANTED or view is None or view.number == decided.view:
            return
        if view.ring.primary(decided.key) != node.address:
            self._accuse("I14", node, decided.key, f"a fresh grant of view {decided.view} was told in {view.number}")

    def may_be_held(self, lease: Lease) -> bool:
        """Say whether its holder may still believe in it; copies count from later, and outlive that."""
        deed = self.newest.get(lease.key)
        return deed is None or self.stage.now_ns < deed.at_ns + int(lease.ttl_ms * NS_PER_MS * HOLDS)

    # --- inside -----------------------------------------------------------------------

    def _bench(self, node: SimNode) -> Bench:
        return self._benches.setdefault(node.core.member.incarnation, Bench())

    def _keeps(self, node: SimNode, operation: Operation) -> bool:
        member, view = node.core.member, node.core.view
        if self._keepers.get(operation.key, (0, 0))[1] != member.incarnation or view is None or not view.is_up(member):
            return False
        lease = node.core._state.table.get(operation.key)  # noqa: SLF001 - a witness, no part of the rules
        now_ns = node.clock.boot(self.stage.now_ns)
        good = lease is not None and lease.token == getattr(operation, "token", "")
        return good and lease is not None and lease.live(now_ns + SLACK_NS)

    def _answered(self, node: SimNode, bench: Bench, question: Question, result: object) -> None:
        operation = bench.asked.pop(question, None)
        if not isinstance(result, Refused) or operation is None:
            if isinstance(operation, Lock):
                bench.granted.discard(operation.owner)
            return
        if self._shown is not None and self._shown[0] == question and result.code in SEND_AWAY:
            self._accuse("I14", node, operation.key, f"it keeps the lock, and refused its holder: {result.code}")
        over = result.code in (Code.TIMEOUT, Code.HANDOFF)  # HELD, say, answers a request that was doubled
        fresh = isinstance(operation, Lock) and operation.session is None and not operation.token  # others ask again
        if over and fresh and isinstance(operation, Lock) and operation.owner in bench.granted - bench.doubled:
            lease = node.core._state.table.get(operation.key)  # noqa: SLF001 - a witness, no part of the rules
            held = lease is not None and lease.owner == operation.owner and lease.serving
            if held and lease is not None and lease.live(node.clock.boot(self.stage.now_ns)):
                text = f"it holds the lock on for {operation.owner}, whom it refused ({result.code})"
                self._accuse("I13", node, operation.key, text)

    def _untold(self, node: SimNode, effects: list[NodeEffect]) -> None:
        told: set[int] = set()
        for effect in reversed(effects):  # a fact comes before the answer
            match effect:
                case Reply(_, Granted() as result) | SendPeer(_, ForwardReply(_, _, Granted() as result)):
                    told.add(result.generation)
                case Emit(event) if event.kind is EventKind.GRANTED and not event.session:
                    if event.generation not in told:
                        self._accuse("I13", node, event.key, f"{event.owner} was granted it, and not told")

    def _given_up(self, node: SimNode, event: Event) -> None:
        if self._keepers.get(event.key, (0, 0))[1] == node.core.member.incarnation:
            self.lets_go(event.key)  # its heir keeps it when it knows all
        heir = self.stage.nodes.get(event.peer)
        view = heir.core.view if heir is not None and heir.alive else None
        if heir is None or view is None or view.number != event.view or not view.is_up(heir.core.member):
            return  # it cannot be asked
        taken = heir.core._state.table.get(event.key)  # noqa: SLF001 - a witness, no part of the rules
        if taken is None or taken.order < (event.generation, event.seq):
            theirs = taken.order if taken is not None else "nothing"
            text = f"it gave up {(event.generation, event.seq)}, and {event.peer} has {theirs}"
            self._accuse("I14", node, event.key, text)

    def _accuse(self, rule: str, node: SimNode, key: str, text: str) -> None:
        member, lease = node.core.member, node.core._state.table.get(key)  # noqa: SLF001 - a witness, no part of the rules
        about = (key, *lease.order) if lease is not None else (key, 0, 0)
        seen = Deed(self.stage.now_ns, member.address, member.incarnation, Act.SEEN, *about)
        self.found.append(Violation(rule, f"{key}: at {member.address}, {text}", (seen,)))
