"""A test desk for the master: the test plays every node and every connection.

Elsewhere: one node alone (bench), whole clusters (lockcore.testing.world).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from lockcore.core.limits import HEARTBEAT_MS, NS_PER_MS
from lockcore.core.master import MasterCore
from lockcore.core.messages import (
    CloseCluster,
    ConnectionLost,
    DeathSeen,
    Disconnect,
    Emit,
    Farewell,
    FromNode,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Instant,
    MasterEffect,
    MasterInput,
    Persist,
    Publish,
    Register,
    RegisterRefused,
    SendNode,
    Tick,
    Unreached,
    ViewUpdate,
)
from lockcore.core.view import MemberId, View

WALL_NS = 1_700_000_000_000_000_000
E = TypeVar("E")


@dataclass
class Played:
    """A node as the test plays it: its connection and what it has adopted.

    `deaf`: nothing of what the master says reaches it. `apart`: since when
    (in the desk's milliseconds) it misses answers of whom.
    """

    id: MemberId
    connection: int
    view: View | None = None
    beats: int = 0
    settles: bool = True
    silent: bool = False
    floor: int = 0
    refused: str = ""
    acked: int = 0
    deaf: bool = False
    apart: dict[MemberId, int] = field(default_factory=dict)


class Desk:
    """A master, and nodes that do what is expected of them unless told otherwise."""

    def __init__(
        self,
        journal: dict[str, Any] | None = None,
        *,
        now_ms: int = 1_000,
        wall_ms: int = 0,
        unknown_past: bool = False,
    ) -> None:
        """Start a master."""
        self.now_ms = now_ms
        self.wall_ms = wall_ms
        self.out: list[MasterEffect] = []
        self.nodes: dict[int, Played] = {}
        self._connections = count(1)
        self.master = MasterCore(None, journal, self.now, unknown_past=unknown_past)

    @property
    def now(self) -> Instant:
        """Both clocks; `wall_ms` is how far the wall clock was set."""
        return Instant(self.now_ms * NS_PER_MS, WALL_NS + (self.now_ms + self.wall_ms) * NS_PER_MS)

    def step(self, given: MasterInput) -> list[MasterEffect]:
        """Give the master one input; deliver what it says."""
        effects = self.master.step(given, self.now)
        self.out.extend(effects)
        for effect in effects:
            if isinstance(effect, SendNode) and effect.connection in self.nodes:
                self._hear(self.nodes[effect.connection], effect)
            elif isinstance(effect, Disconnect):
                self.nodes.pop(effect.connection, None)
        return effects

    @staticmethod
    def _hear(node: Played, effect: SendNode) -> None:
        if node.deaf:
            return
        match effect.message:
            case ViewUpdate(view):
                node.view = view
            case RegisterRefused(text):
                node.refused = text
            case HeartbeatAck(number):
                node.acked = max(node.acked, number)

    def join(
        self, address: str, incarnation: int = 1, *, floor: int = 0, view: View | None = None, settles: bool = True
    ) -> Played:
        """Connect a node and register it."""
        connection = next(self._connections)
        node = Played(MemberId(address, incarnation), connection, view, floor=floor, settles=settles)
        self.nodes[connection] = node
        self.step(FromNode(connection, Register(node.id, floor, view)))
        return node

    def beat(self, node: Played) -> list[MasterEffect]:
        """Have a node send a heartbeat."""
        node.beats += 1
        number = node.view.number if node.view else 0
        settled = node.settles and node.view is not None and node.view.is_up(node.id)
        apart = tuple(Unreached(member, self.now_ms - since_ms) for member, since_ms in node.apart.items())
        beat = Heartbeat(node.id, node.beats, number, settled, node.floor, acked=node.acked, unreached=apart)
        return self.step(FromNode(node.connection, beat))

    def live(self, ms: int) -> None:
        """Let time pass while every node that is not silent sends its heartbeats."""
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(until_ms, self.now_ms + HEARTBEAT_MS // 4)
            self.step(Tick())
            for node in list(self.nodes.values()):
                if not node.silent:
                    self.beat(node)

    def start(self, *addresses: str) -> list[Played]:
        """Have nodes join, and wait until they are members of a settled view."""
        nodes = [self.join(address) for address in addresses]
        self.live(1_200)
        assert self.up() == set(addresses)
        assert self.master.settled
        return nodes

    def up(self) -> set[str]:
        """Return the addresses that serve in the current view."""
        view = self.master.view
        return set(view.up) if view else set()

    @property
    def view(self) -> View:
        """The current view."""
        view = self.master.view
        assert view is not None
        return view

    def die(self, node: Played) -> None:
        """Have somebody see a node's process end; its connection closes later."""
        self.nodes.pop(node.connection, None)
        self.step(DeathSeen(node.id))

    def hang_up(self, node: Played) -> None:
        """Close a node's connection."""
        self.nodes.pop(node.connection, None)
        self.step(ConnectionLost(node.connection))

    def goodbye(self, node: Played) -> None:
        """Have a node say goodbye."""
        self.step(FromNode(node.connection, Goodbye(node.id)))

    def views(self) -> list[View]:
        """Return the views published so far, without the news of their settling."""
        return [e.view for e in self.effects(Publish) if not e.settled]

    def versions(self) -> list[int]:
        """Return the ring versions published so far."""
        return sorted({v.version for v in self.views()})

    def effects(self, kind: type[E]) -> list[E]:
        """Return the effects of a kind so far."""
        return [e for e in self.out if isinstance(e, kind)]

    def journal(self) -> dict[str, Any]:
        """Return what was written last."""
        return self.effects(Persist)[-1].journal

    def facts(self) -> list[str]:
        """Return the kinds of the facts so far."""
        return [e.event.kind.value for e in self.effects(Emit)]

    def restarted(self, *, with_journal: bool = True, wall_ms: int = 0, after_ms: int = 100) -> Desk:
        """Return the desk of the master's next life; its nodes have not called yet."""
        journal = self.journal() if with_journal else None
        return Desk(journal, now_ms=self.now_ms + after_ms, wall_ms=wall_ms)


def closed(desk: Desk, *longest_ms: int) -> None:
    """Close the cluster; its nodes say farewell with these longest leases."""
    desk.step(CloseCluster())
    for node, ms in zip(list(desk.nodes.values()), longest_ms, strict=True):
        desk.step(FromNode(node.connection, Farewell(node.id, ms)))
