"""A deterministic world: real node and master cores, virtual time and links.

Every random choice comes from one `random.Random(seed)`, every event from
one queue ordered by (time, number): the same seed gives the same history.

Elsewhere: nodes (hosting), links (stage), clients (lockcore.testing.clients),
rules (lockcore.core).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
    Leave,
    MasterInput,
    MasterMessage,
    Operation,
    Persist,
    Publish,
    Result,
    SendNode,
    Tick,
    ViewUpdate,
)
from lockcore.testing.hosting import Hosting
from lockcore.testing.network import Clock, Link
from lockcore.testing.stage import CLIENT, EPOCH_WALL_NS, MASTER, SECRET, Happened, SimNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.config import MasterConfig, NodeConfig

__all__ = ["CLIENT", "EPOCH_WALL_NS", "MASTER", "SECRET", "Clock", "Happened", "Link", "SimNode", "World"]

VIEWS_MAX = 1_000


class World(Hosting):
    """A master, nodes and links. Run it with `run_ms` or `run_until`.

    `deaf_until_ns`: until when a node misses the views it is sent, on a
    stream that goes on; `closes_ms`: how long the master takes to see that
    a stream has ended.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        config: NodeConfig | None = None,
        master_config: MasterConfig | None = None,
        tape: bool = False,
    ) -> None:
        """Create an empty world at time 0 with a running master."""
        super().__init__(seed, config=config, master_config=master_config, tape=tape)
        self.journal: dict[str, Any] | None = None
        self.cluster_closed = False
        self._master_timer_ns: int | None = None
        self.master: MasterCore | None = None
        self.master_paused = False
        self._master_queue: list[MasterInput] = []
        self.deaf_until_ns: dict[str, int] = {}
        self.closes_ms: tuple[float, float] = (1, 1)
        self.start_master()

    # --- the master --------------------------------------------------------------------

    def start_master(self, *, with_journal: bool = True) -> None:
        """Start (or restart) the master; nodes connect again by themselves.

        `with_journal` False: its file is lost, and it knows that there was one.
        """
        journal = self.journal if with_journal else None
        now = self.instant(self.master_clock)
        self.witness.membership.begin(now.boot_ns, remembers=with_journal)
        self.master = MasterCore(self.master_config, journal, now, unknown_past=not with_journal)
        self._master_timer_ns = None
        self.note(MASTER, "start", "", "with its journal" if with_journal else "without its journal")
        for node in self.nodes.values():
            if node.alive:
                self.after(20, lambda node=node: self._connect(node))  # type: ignore[misc]

    def kill_master(self) -> None:
        """End the master; connections close."""
        self.master = None
        self.note(MASTER, "die", "", "")
        for node in self.nodes.values():
            node.connection = None

    def tell_master(self, given: MasterInput) -> None:
        """Give the master an input now."""
        if self.master is None:
            return
        if self.master_paused:
            self._master_queue.append(given)
            return
        now = self.instant(self.master_clock)
        self.witness.membership.hear(given, now.boot_ns)
        for effect in self.master.step(given, now):
            self.witness.membership.say(effect)
            self._carry_out_master(effect)
        self.witness.membership.see(given, self.master.view)
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
                self._to_node(connection, message)
            case Disconnect(connection):
                node = self._connections.get(connection)
                if node is not None:
                    self.after(5, lambda: self.hang_up(node, connection))
            case Persist(journal):
                self.journal = journal
            case Publish(view, settled):
                if settled:
                    self.witness.look_round(view)
                else:
                    if len(self.views) >= VIEWS_MAX:
                        raise AssertionError(f"{VIEWS_MAX} views, and no end: the master goes in a circle")
                    self.share_ring(view)
                    self.views.append(view)
                    self.witness.publish(view)
            case Emit(event):
                self.facts.append(Happened(self.now_ns, MASTER, event))
                self.note(MASTER, "fact", "", event)
            case Closed():
                self.cluster_closed = True

    def _to_node(self, connection: int, message: MasterMessage) -> None:
        node = self._connections.get(connection)
        if node is not None and node.connection == connection:
            if isinstance(message, ViewUpdate):
                self.share_ring(message.view)
                if self.now_ns < self.deaf_until_ns.get(node.address, 0):
                    self.note(MASTER, "lost", node.address, message)
                    return
            self._send(MASTER, node.address, message, partial(self._from_master, node, connection, message))

    def _from_master(self, node: SimNode, connection: int, message: Any) -> None:
        if node.connection == connection:
            self.tell_node(node, FromMaster(message))

    def hang_up(self, node: SimNode, connection: int) -> None:
        """End a node's stream; it makes another one soon."""
        if node.connection == connection:
            node.connection = None
            self.after(100, lambda: self._connect(node))
        self._close_late(connection)

    def _close_late(self, connection: int) -> None:
        self.after(self.random.uniform(*self.closes_ms), lambda: self.tell_master(ConnectionLost(connection)))

    def _break(self, source: str, target: str) -> None:
        """A stream that lost a message is no stream: it ends, later."""
        node = self.nodes.get(source if target == MASTER else target)
        if node is not None and node.connection is not None:
            connection = node.connection
            self.after(self.random.uniform(300, 1_500), lambda: self.hang_up(node, connection))

    def _arm_master(self) -> None:
        if self.master is None:
            return
        at_ns = self.master.next_timer_ns()
        if at_ns is not None and (self._master_timer_ns is None or at_ns < self._master_timer_ns):
            self._master_timer_ns = at_ns
            master = self.master
            self._at(self.master_clock.true(at_ns), lambda: self._master_tick(master, at_ns))

    def _master_tick(self, master: MasterCore, at_ns: int) -> None:
        if self.master is not master or self._master_timer_ns != at_ns:
            return
        self._master_timer_ns = None
        wanted_ns = master.next_timer_ns()
        if wanted_ns is not None and wanted_ns <= self.master_clock.boot(self.now_ns):
            self.tell_master(Tick())
        else:
            self._arm_master()

    # --- who is there ------------------------------------------------------------------------

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

        def done() -> bool:
            view = self.master.view if self.master else None
            return (
                view is not None
                and {m.address for m in view.members} == {n.address for n in self.nodes.values() if n.alive}
                and self.is_settled()
                and all(
                    n.core.view is not None and n.core.view.number == view.number
                    for n in self.nodes.values()
                    if n.alive
                )
            )

        self.run_until(done, limit_ms)

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
        deliver = partial(self.tell_master, FromNode(connection, registration))
        self._send(node.address, MASTER, registration, deliver)

    # --- faults ------------------------------------------------------------------------------

    def end(self, address: str, *, seen: bool) -> None:
        """SIGKILL. `seen`: somebody tells the master at once."""
        node = self.nodes[address]
        node.alive = False
        self.note(address, "die", "", node.exit_text or ("seen" if seen else "unseen"))
        connection, node.connection = node.connection, None
        if connection is not None:
            self._close_late(connection)
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
        self.note(address, "stop", "", "")

    def resume(self, address: str) -> None:
        """SIGCONT: everything that queued up arrives in a burst."""
        self.resume_node(self.nodes[address])

    def resume_node(self, node: SimNode) -> None:
        """SIGCONT for one incarnation, which may have died meanwhile."""
        if not node.paused:
            return
        node.paused = False
        self.note(node.address, "wake", "", f"{len(node.queue)} inputs waited")
        queue, node.queue = node.queue, []
        for given in queue:
            self.tell_node(node, given)
        self.tell_node(node, Tick())

    def ensure_master(self, *, with_journal: bool = True) -> None:
        """Start the master unless it runs."""
        if self.master is None:
            self.start_master(with_journal=with_journal)

    def calm(self) -> None:
        """End all faults: links whole, everybody awake, the master there."""
        self.heal()
        self.default_link, self.client_link, self.master_link = Link(), Link(), Link()
        self.deaf_until_ns.clear()
        self.triggers.clear()
        self.links.clear()
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
        self._send(CLIENT, address, operation, lambda: self.tell_node(node, given))

    def ask(self, address: str, operation: Operation, timeout_ms: int = 5_000) -> Result:
        """Send a request and run the world until it is answered."""
        answers: list[Result] = []
        self.call(address, operation, answers.append, timeout_ms)
        self.run_until(lambda: bool(answers), timeout_ms + 2_000)
        return answers[0]
