"""Node processes of the virtual world: inputs in, effects out, timers.

Elsewhere: parties and links (stage), the master and the faults (world).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import Emit, FromNode, FromPeer, NodeInput, Reply, SendMaster, SendPeer, Stop, Tick
from lockcore.core.node import NodeCore
from lockcore.core.view import MemberId
from lockcore.testing.network import Clock
from lockcore.testing.stage import CLIENT, EPOCH_WALL_NS, MASTER, SECRET, Happened, SimNode, Stage

if TYPE_CHECKING:
    from lockcore.core.messages import NodeMessage

SPIN_NS = 2_000_000


class Hosting(Stage):
    """Nodes that live, pause and die."""

    def start_node(self, address: str, clock: Clock | None = None) -> SimNode:
        """Start a node process at an address: a new incarnation."""
        incarnation = (EPOCH_WALL_NS + self.now_ns) // NS_PER_MS * 1000 + next(self._incarnations)
        core = NodeCore(MemberId(address, incarnation), SECRET, self.node_config)
        node = SimNode(address, core, clock or Clock())
        self.nodes[address] = node
        self.note(address, "start", "", incarnation)
        self.witness.meet(node)
        self._connect(node)
        self._arm(node)
        return node

    def tell_node(self, node: SimNode, given: NodeInput) -> None:
        """Give a node an input now; a paused one gets it when it wakes."""
        if not node.alive:
            return
        if node.paused:
            node.queue.append(given)
            return
        self.witness.hear(node, given)
        effects = node.core.step(given, self.instant(node.clock))
        self.witness.see(node, given, effects)
        for effect in effects:
            self._carry_out(node, effect)
        self._arm(node)

    def _arm(self, node: SimNode) -> None:
        """Have a tick come no later than the core wants it; a later wish waits for the earlier tick."""
        if not node.alive:
            return
        at_ns = node.core.next_timer_ns()
        if at_ns is not None and at_ns <= (now_ns := node.clock.boot(self.now_ns)):
            at_ns = now_ns + SPIN_NS  # it was just given this very time: a process that spins is slow
        if at_ns is not None and (node.timer_ns is None or at_ns < node.timer_ns):
            node.timer_ns = at_ns
            self._at(node.clock.true(at_ns), partial(self._tick, node, at_ns))

    def _tick(self, node: SimNode, at_ns: int) -> None:
        if not node.alive or node.timer_ns != at_ns:
            return
        node.timer_ns = None
        wanted_ns = node.core.next_timer_ns()
        if wanted_ns is not None and wanted_ns <= node.clock.boot(self.now_ns):
            self.tell_node(node, Tick())
        else:
            self._arm(node)

    def _carry_out(self, node: SimNode, effect: object) -> None:
        match effect:
            case SendPeer(address, message):
                self._send(node.address, address, message, lambda: self._from_peer(address, message))
            case SendMaster(message):
                connection = node.connection
                if connection is not None:
                    self._to_master(node, connection, message)
            case Emit(event):
                self.facts.append(Happened(self.now_ns, node.address, event, node.core.member.incarnation))
                self.note(node.address, "fact", "", event)
            case Reply(call_id, result):
                key = (node.address, node.core.member.incarnation, call_id)
                done = self._calls.pop(key, None)
                if done is not None:
                    self._send(node.address, CLIENT, result, lambda: done(result))
            case Stop(_, text):
                node.exit_text = text
                self.end(node.address, seen=True)

    def _to_master(self, node: SimNode, connection: int, message: NodeMessage) -> None:
        deliver = partial(self.tell_master, FromNode(connection, message))
        self._send(node.address, MASTER, message, deliver)

    def _from_peer(self, address: str, message: Any) -> None:
        node = self.nodes.get(address)
        if node is not None:
            self.tell_node(node, FromPeer(message))

    def _connect(self, node: SimNode) -> None:
        raise NotImplementedError

    def end(self, address: str, *, seen: bool) -> None:
        """SIGKILL. `seen`: somebody tells the master at once."""
        raise NotImplementedError
