"""What a virtual world is made of: its parties, the links between them, and who looks on.

Elsewhere: what nodes do on it (hosting), the master and the faults (world),
time and clocks (network), what is written down (witness, tape).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from lockcore.core.config import MasterConfig, NodeConfig
from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import Instant, PeerBatch
from lockcore.testing.network import Clock, Link, Timeline
from lockcore.testing.shared import SharedRing
from lockcore.testing.triggers import Trigger, kind_of
from lockcore.testing.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.events import Event
    from lockcore.core.messages import MasterInput, NodeInput, Result
    from lockcore.core.node import NodeCore
    from lockcore.core.view import View

EPOCH_WALL_NS = 1_700_000_000 * 1_000_000_000
SECRET = b"a secret of the virtual world...."
MASTER = "master"
CLIENT = "client"
TAPE_MAX = 200_000
"""Notes kept of one run: more than any seed makes, and a bound all the same."""
ECHOED = 0.3
"""How many of the batches come again where there is an echo."""


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
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the tape: what left, arrived or happened at a party."""

    at_ns: int
    party: str
    verb: str
    other: str
    what: object


class Stage(Timeline):
    """Parties and links. Every random choice comes from `random`.

    Links of clients, of the master and between nodes (`default_link`) have
    their own delays. `echo_ms`: how late batches between nodes come a second
    time, if they do.

    Args:
        tape: keep notes of all messages; for runs that are shown to people.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        config: NodeConfig | None = None,
        master_config: MasterConfig | None = None,
        tape: bool = False,
    ) -> None:
        """Begin at time 0 with nobody."""
        self.random = Random(seed)  # noqa: S311 - reproducible, not secret
        super().__init__()
        self.master_clock = Clock()
        self.node_config = config or NodeConfig()
        self.master_config = master_config or MasterConfig()
        self.nodes: dict[str, SimNode] = {}
        self.facts: list[Happened] = []
        self.views: list[View] = []
        self.witness = Witness(self)
        self.client_link, self.master_link = Link(), Link()
        self.triggers: list[Trigger] = []
        self.echo_ms: tuple[float, float] | None = None
        self.tape: deque[Note] | None = deque(maxlen=TAPE_MAX) if tape else None
        self._ids = count(1)
        self._incarnations = count(1)
        self._calls: dict[tuple[str, int, int], Callable[[Result], None]] = {}
        self._connections: dict[int, SimNode] = {}
        self._last_delivery: dict[tuple[str, str], int] = {}
        self._rings: dict[tuple[tuple[str, ...], tuple[str, ...]], SharedRing] = {}

    def instant(self, clock: Clock | None = None) -> Instant:
        """Return the time as a party sees it (default: as it is)."""
        clock = clock or Clock()
        return Instant(clock.boot(self.now_ns), EPOCH_WALL_NS + self.now_ns + clock.wall_ns)

    def tell_master(self, given: MasterInput) -> None:
        """Give the master an input now."""
        raise NotImplementedError

    def share_ring(self, view: View) -> None:
        """Let all views of a membership use one ring: placing it is what a view costs."""
        members = tuple(sorted(m.address for m in view.members))
        down = tuple(sorted(m.address for m in view.members if m.down))
        ring = self._rings.get((members, down))
        if ring is None:
            ring = self._rings[members, down] = SharedRing(members, down=down)
        view.__dict__["ring"] = ring

    def note(self, party: str, verb: str, other: str, what: object) -> None:
        """Write a line on the tape, if there is one."""
        if self.tape is not None:
            self.tape.append(Note(self.now_ns, party, verb, other, what))

    # --- messages ---------------------------------------------------------------------

    def _send(self, source: str, target: str, what: Any, deliver: Callable[[], None]) -> None:
        """Put a message on a link: it arrives later, twice, or never."""
        link = self._link(source, target)
        stream = MASTER in (source, target)
        if self.triggers:
            self._spring(source, target, what)
        if link.cut or (link.drop and self.random.random() < link.drop):
            self.note(source, "lost", target, what)
            if stream:
                self._break(source, target)
            return
        if self.tape is not None:
            self.note(source, "send", target, what)
            deliver = self._noted(source, target, what, deliver)
        copies = 2 if link.duplicate and self.random.random() < link.duplicate else 1
        for _ in range(copies):
            low_ms, high_ms = link.delay_ms
            at_ns = self.now_ns + int((low_ms + (high_ms - low_ms) * self.random.random()) * NS_PER_MS)
            if stream:
                # One stream: what is sent first arrives first.
                at_ns = max(at_ns, self._last_delivery.get((source, target), 0))
                self._last_delivery[source, target] = at_ns
            self._at(at_ns, deliver)

        if self.echo_ms is not None and isinstance(what, PeerBatch) and self.random.random() < ECHOED:
            self.after(self.random.uniform(*self.echo_ms), deliver)

    def _link(self, source: str, target: str) -> Link:
        known = self.links.get((source, target))
        if known is not None:
            return known
        if MASTER in (source, target):
            return self.master_link
        return self.client_link if CLIENT in (source, target) else self.default_link

    def _spring(self, source: str, target: str, what: object) -> None:
        """Have happen what was to happen at this message."""
        kind = kind_of(what)
        for trigger in [t for t in self.triggers if t.kind == kind]:
            trigger.left -= 1
            if trigger.left <= 0:
                self.triggers.remove(trigger)
                self.after(trigger.late_ms, partial(trigger.action, source, target))

    def _noted(self, source: str, target: str, what: Any, deliver: Callable[[], None]) -> Callable[[], None]:
        def arrive() -> None:
            self.note(target, "take", source, what)
            deliver()

        return arrive

    def _break(self, source: str, target: str) -> None:
        """A stream that lost a message is no stream: it ends, later."""
        raise NotImplementedError
