"""A deterministic world: real node and master cores, virtual time and links.

Every random choice comes from one `random.Random(seed)`, every event from
one queue ordered by (time, number): the same seed gives the same history.

Elsewhere: clients (lockcore.testing.clients), rules (lockcore.core).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from lockcore.core.config import MasterConfig, NodeConfig
from lockcore.core.limits import NS_PER_MS
from lockcore.core.master import MasterCore
from lockcore.core.messages import (
    ClientCall,
    CloseCluster,
    Closed,
    ConnectionLost,
    DeathSeen,
    Disconnect,
    Emit,
    FromMaster,
    FromNode,
    FromPeer,
    Instant,
    Leave,
    MasterInput,
    NodeInput,
    Operation,
    Persist,
    Publish,
    Reply,
    Result,
    SendMaster,
    SendNode,
    SendPeer,
    Stop,
    Tick,
)
from lockcore.core.node import NodeCore
from lockcore.core.view import MemberId, View
from lockcore.testing.network import Clock, Link, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.events import Event

EPOCH_WALL_NS = 1_700_000_000 * 1_000_000_000
SECRET = b"a secret of the virtual world...."
MASTER = "master"


@dataclass(slots=True, eq=False)
class SimNode:
    """A node process."""

    address: str
    core: NodeCore
    clock: Clock = field(default_factory=Clock)
    connection: int | None = None
    alive: bool = True
    paused: bool = False
    queue: list[NodeInput] = field(default_factory=list)
    timer_ns: int | None = None
    exit_text: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """A fact with its time and source."""

    at_ns: int
    source: str
    event: Event


class World(Timeline):
    """A master, nodes and links. Run it with `run_ms` or `run_until`."""

    def __init__(
        self,
        seed: int = 0,
        *,
        config: NodeConfig | None = None,
        master_config: MasterConfig | None = None,
    ) -> None:
        """Create an empty world at time 0 with a running master."""
        self.random = Random(seed)  # noqa: S311 - reproducible, not secret
        super().__init__()
        self.master_clock = Clock()
        self.node_config = config or NodeConfig()
        self.master_config = master_config or MasterConfig()
        self.nodes: dict[str, SimNode] = {}
        self.facts: list[Happened] = []
        self.views: list[View] = []
        self.journal: dict[str, Any] | None = None
        self.cluster_closed = False
        self._incarnations = count(1)
        self._calls: dict[tuple[str, int, int], Callable[[Result], None]] = {}
        self._connections: dict[int, SimNode] = {}
        self._last_delivery: dict[tuple[str, str], int] = {}
        self._master_timer_ns: int | None = None
        self.master: MasterCore | None = None
        self.master_paused = False
        self._master_queue: list[MasterInput] = []
        self.start_master()

    def instant(self, clock: Clock | None = None) -> Instant:
        """Return the time as a party sees it (default: as it is)."""
        clock = clock or Clock()
        return Instant(clock.boot(self.now_ns), EPOCH_WALL_NS + self.now_ns + clock.wall_ns)

    # --- the master --------------------------------------------------------------------

    def start_master(self, *, with_journal: bool = True) -> None:
        """Start (or restart) the master; nodes connect again by themselves."""
        journal = self.journal if with_journal else None
        self.master = MasterCore(self.master_config, journal, self.instant(self.master_clock))
        self._master_timer_ns = None
        for node in self.nodes.values():
            if node.alive:
                self.after(20, lambda node=node: self._connect(node))  # type: ignore[misc]

    def kill_master(self) -> None:
        """End the master; connections close."""
        self.master = None
        for node in self.nodes.values():
            node.connection = None

    def tell_master(self, given: MasterInput) -> None:
        """Give the master an input now."""
        if self.master is None:
            return
        if self.master_paused:
            self._master_queue.append(given)
            return
        for effect in self.master.step(given, self.instant(self.master_clock)):
            self._carry_out_master(effect)
        self._arm_master()

    def pause_master(self, *, paused: bool) -> None:
        """Stop or continue the master's process."""
        self.master_paused = paused
        if not paused:
            queue, self._master_queue = self._master_queue, []
            for given in queue:
                self.tell_master(given)
            self.tell_master(Tick())

    def _carry_out_master(self, effect: object) -> None:
        match effect:
            case SendNode(connection, message):
                node = self._connections.get(connection)
                if node is not None and node.connection == connection:
                    deliver = partial(self._from_master, node, connection, message)
                    self._send(MASTER, node.address, deliver)
            case Disconnect(connection):
                node = self._connections.get(connection)
                if node is not None:
                    self.after(5, lambda: self._hang_up(node, connection))
            case Persist(journal):
                self.journal = journal
            case Publish(view, settled):
                if not settled:
                    self.views.append(view)
            case Emit(event):
                self.facts.append(Happened(self.now_ns, MASTER, event))
            case Closed():
                self.cluster_closed = True

    def _from_master(self, node: SimNode, connection: int, message: Any) -> None:
        if node.connection == connection:
            self.tell_node(node, FromMaster(message))

    def _hang_up(self, node: SimNode, connection: int) -> None:
        if node.connection == connection:
            node.connection = None
            self.after(100, lambda: self._connect(node))
        self.tell_master(ConnectionLost(connection))

    def _break(self, source: str, target: str) -> None:
        """A stream that lost a message is no stream: it ends, later."""
        node = self.nodes.get(source if target == MASTER else target)
        if node is not None and node.connection is not None:
            connection = node.connection
            self.after(self.random.uniform(300, 1_500), lambda: self._hang_up(node, connection))

    def _arm_master(self) -> None:
        if self.master is None:
            return
        at_ns = self.master.next_timer_ns()
        if at_ns is not None and at_ns != self._master_timer_ns:
            self._master_timer_ns = at_ns
            master = self.master
            self._at(self.master_clock.true(at_ns), lambda: self._master_tick(master, at_ns))

    def _master_tick(self, master: MasterCore, at_ns: int) -> None:
        if self.master is master and self._master_timer_ns == at_ns:
            self._master_timer_ns = None
            self.tell_master(Tick())

    # --- nodes ---------------------------------------------------------------------------

    def start_node(self, address: str, clock: Clock | None = None) -> SimNode:
        """Start a node process at an address: a new incarnation."""
        incarnation = (EPOCH_WALL_NS + self.now_ns) // NS_PER_MS * 1000 + next(self._incarnations)
        core = NodeCore(MemberId(address, incarnation), SECRET, self.node_config)
        node = SimNode(address, core, clock or Clock())
        self.nodes[address] = node
        self._connect(node)
        self._arm(node)
        return node

    def start(self, *addresses: str) -> None:
        """Start nodes and wait until they are settled members."""
        for address in addresses:
            self.start_node(address)
        self.run_until(lambda: self.is_settled(*addresses))

    def is_settled(self, *addresses: str) -> bool:
        """Say whether exactly these nodes (default: the living) are up and settled."""
        wanted = set(addresses) or {n.address for n in self.nodes.values() if n.alive}
        view = self.master.view if self.master else None
        return view is not None and self.master is not None and set(view.up) >= wanted and self.master.settled

    def settle(self, limit_ms: float = 60_000) -> None:
        """Wait until all living nodes are up in a settled view without dead members."""
        living = {n.address for n in self.nodes.values() if n.alive}

        def done() -> bool:
            view = self.master.view if self.master else None
            return (
                view is not None
                and {m.address for m in view.members} == living
                and self.is_settled()
                and all(
                    n.core.view is not None and n.core.view.number == view.number
                    for n in self.nodes.values()
                    if n.alive
                )
            )

        self.run_until(done, limit_ms)

    def tell_node(self, node: SimNode, given: NodeInput) -> None:
        """Give a node an input now; a paused one gets it when it wakes."""
        if not node.alive:
            return
        if node.paused:
            node.queue.append(given)
            return
        for effect in node.core.step(given, self.instant(node.clock)):
            self._carry_out(node, effect)
        self._arm(node)

    def _arm(self, node: SimNode) -> None:
        at_ns = node.core.next_timer_ns()
        if at_ns is not None and at_ns != node.timer_ns and node.alive:
            node.timer_ns = at_ns
            self._at(node.clock.true(at_ns), lambda: self._tick(node, at_ns))

    def _tick(self, node: SimNode, at_ns: int) -> None:
        if node.alive and node.timer_ns == at_ns:
            node.timer_ns = None
            self.tell_node(node, Tick())

    def _carry_out(self, node: SimNode, effect: object) -> None:
        match effect:
            case SendPeer(address, message):
                self._send(node.address, address, lambda: self._from_peer(address, message))
            case SendMaster(message):
                connection = node.connection
                if connection is not None:
                    self._send(node.address, MASTER, lambda: self.tell_master(FromNode(connection, message)))
            case Emit(event):
                self.facts.append(Happened(self.now_ns, node.address, event))
            case Reply(call_id, result):
                key = (node.address, node.core.member.incarnation, call_id)
                done = self._calls.pop(key, None)
                if done is not None:
                    self._send(node.address, "client", lambda: done(result))
            case Stop(_, text):
                node.exit_text = text
                self.end(node.address, seen=True)

    def _from_peer(self, address: str, message: Any) -> None:
        node = self.nodes.get(address)
        if node is not None:
            self.tell_node(node, FromPeer(message))

    def _connect(self, node: SimNode) -> None:
        if self.master is None or not node.alive or node.connection is not None:
            return
        if self._link(node.address, MASTER).cut or self._link(MASTER, node.address).cut:
            self.after(100, lambda: self._connect(node))
            return
        connection = next(self._ids)
        node.connection = connection
        self._connections[connection] = node
        registration = node.core.registration()
        self._send(node.address, MASTER, lambda: self.tell_master(FromNode(connection, registration)))

    # --- faults ------------------------------------------------------------------------------

    def end(self, address: str, *, seen: bool) -> None:
        """SIGKILL. `seen`: somebody tells the master at once."""
        node = self.nodes[address]
        node.alive = False
        connection, node.connection = node.connection, None
        if connection is not None:
            self.after(1, lambda: self.tell_master(ConnectionLost(connection)))
        if seen:
            self.after(1, lambda: self.tell_master(DeathSeen(node.core.member)))

    def kill(self, address: str, *, seen: bool = True) -> None:
        """End a node's process; its memory is gone."""
        self.end(address, seen=seen)

    def leave(self, address: str) -> None:
        """Ask a node to say goodbye."""
        self.tell_node(self.nodes[address], Leave())

    def close_cluster(self) -> None:
        """Stop everything, cleanly."""
        self.tell_master(CloseCluster())

    def pause(self, address: str) -> None:
        """SIGSTOP: messages queue up, timers do not fire."""
        self.nodes[address].paused = True

    def resume(self, address: str) -> None:
        """SIGCONT: everything that queued up arrives in a burst."""
        self.resume_node(self.nodes[address])

    def resume_node(self, node: SimNode) -> None:
        """SIGCONT for one incarnation, which may have died meanwhile."""
        if not node.paused:
            return
        node.paused = False
        queue, node.queue = node.queue, []
        for given in queue:
            self.tell_node(node, given)
        self.tell_node(node, Tick())

    def ensure_master(self) -> None:
        """Start the master unless it runs."""
        if self.master is None:
            self.start_master()

    def calm(self) -> None:
        """End all faults: links whole, everybody awake, the master there."""
        self.heal()
        self.default_link = Link()
        self.pause_master(paused=False)
        self.ensure_master()
        for node in list(self.nodes.values()):
            self.resume_node(node)

    # --- messages ------------------------------------------------------------------------------

    def call(self, address: str, operation: Operation, done: Callable[[Result], None], timeout_ms: int = 5_000) -> None:
        """Send a client's request to a node; `done` may never be called."""
        node = self.nodes[address]
        call_id = next(self._ids)
        self._calls[address, node.core.member.incarnation, call_id] = done
        given = ClientCall(call_id, operation, timeout_ms)
        self._send("client", address, lambda: self.tell_node(node, given))

    def ask(self, address: str, operation: Operation, timeout_ms: int = 5_000) -> Result:
        """Send a request and run the world until it is answered."""
        answers: list[Result] = []
        self.call(address, operation, answers.append, timeout_ms)
        self.run_until(lambda: bool(answers), timeout_ms + 2_000)
        return answers[0]

    def _send(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        link = self._link(source, target)
        if link.cut or (link.drop and self.random.random() < link.drop):
            if MASTER in (source, target):
                self._break(source, target)
            return
        copies = 2 if link.duplicate and self.random.random() < link.duplicate else 1
        for _ in range(copies):
            delay_ms = self.random.uniform(*link.delay_ms)
            if MASTER in (source, target):
                # One stream: what is sent first arrives first.
                at_ns = self.now_ns + int(delay_ms * NS_PER_MS)
                at_ns = max(at_ns, self._last_delivery.get((source, target), 0))
                self._last_delivery[source, target] = at_ns
                delay_ms = (at_ns - self.now_ns) / NS_PER_MS
            self.after(delay_ms, deliver)
