"""What one watched cluster is like, as its masters tell it: messages in, facts out.

Pure: time comes with each message; nothing is asked and nothing is written here.

A master that leads tells first which filers are connected to it, then the ring, and every half minute the same ring
again under a new version. A filer that dies is told as gone at once and leaves the ring about a second later; the last
one never leaves it, for an empty ring is not published.

Invariants
  S1  Versions that are told rise; an older ring than the last one is a fact, and is not taken, as filers do not.
  S2  The same thing told twice is one fact: a master that stays away says so once for each reason.
  S3  Only members of the ring that were told join or leave it.
  S4  A version with the members of the one before it is no fact; that it was told is in `ring`.
Elsewhere: listening (lockcore.client.ringfeed), writing facts down (book), doing both (observer).
"""

from dataclasses import dataclass, field
from typing import Final

from lockcore.client.route import target_of
from lockcore.wire.seaweed_client import MasterTold, NodeUpdate, RingUpdate

FILER: Final = "filer"
KNOWN_MAX: Final = 1_000
"""Of connected filers and silent masters: more are not remembered."""
FOLLOWING: Final = "following"
AWAY: Final = "away"
UNKNOWN: Final = "unknown"
NO_FILER: Final = "this master knows no filer of the group: its lock ring is empty"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened. `ring` where a version is new; zeros and empty texts do not apply."""

    at_ns: int
    kind: str
    text: str
    address: str = ""
    version: int = 0
    ring: RingUpdate | None = None


@dataclass(slots=True)
class Sight:
    """One filer group of one cluster.

    Attributes:
        group: whose ring it is.
        ring: the newest that is known, also from an earlier life.
        state: following, away, or unknown before anybody has said anything.
        connected: filers that the leader has a connection to; None: it has not said yet.
        trouble: why nothing is heard, or what is odd, for people; by master.
    """

    group: str = ""
    ring: RingUpdate | None = None
    state: str = UNKNOWN
    leader: str = ""
    connected: set[str] | None = None
    trouble: dict[str, str] = field(default_factory=dict)
    _before: frozenset[str] = frozenset()

    @property
    def problem(self) -> str:
        """Return what is wrong now, in words; empty while all is well."""
        if self.state == FOLLOWING and not self.trouble:
            return "" if self.ring is not None else f"{NO_FILER}; start a filer, or name its group"
        return "; ".join(f"{master}: {why}" for master, why in list(self.trouble.items())[:4])

    def told(self, master: str, told: MasterTold, at_ns: int) -> list[Fact]:
        """Take a message of a master (its gRPC target); return what is new in it."""
        facts: list[Fact] = []
        leads = told.ring is not None or told.node is not None or target_of(told.leader) == master
        if leads:
            facts += self._follow(master, told.leader, at_ns)
        if told.node is not None:
            facts += self._node(told.node, at_ns)
        if told.ring is not None and told.ring.group == self.group:
            facts += self._ring(told.ring, at_ns)
        return facts

    def away(self, master: str, why: str, at_ns: int) -> list[Fact]:
        """Note that nothing is to be heard from a master."""
        before = self.trouble.get(master)
        was, self.state = self.state, AWAY
        if len(self.trouble) < KNOWN_MAX:
            self.trouble[master] = why
        if before == why and was == AWAY:
            return []
        return [Fact(at_ns, "away", f"{master} does not answer: {why}", master)]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _follow(self, master: str, leader: str, at_ns: int) -> list[Fact]:
        """Take the one that speaks for the leader."""
        facts: list[Fact] = []
        if self.state != FOLLOWING:
            if self.state == AWAY:
                facts.append(Fact(at_ns, "back", f"{master} answers again", master))
            self.state = FOLLOWING
            self._forget_connections()
            self.trouble.clear()
        name = leader or (self.leader if target_of(self.leader) == master else master)
        if name != self.leader:
            facts.append(Fact(at_ns, "leader", f"{name} leads", name))
            self.leader = name
            self._forget_connections()
        return facts

    def _forget_connections(self) -> None:
        """Wait for the leader to name them; those that it had before are no news then."""
        self._before = frozenset(self.connected or self._before)
        self.connected = None

    def _node(self, node: NodeUpdate, at_ns: int) -> list[Fact]:
        """Note a filer's connection to the leader; other programs' are not our concern."""
        if node.node_type != FILER or node.group != self.group:
            return []
        known = self.connected = set() if self.connected is None else self.connected
        if node.is_add and node.address not in known and len(known) < KNOWN_MAX:
            known.add(node.address)
            if node.address in self._before:
                self._before -= {node.address}
                return []
            return [Fact(at_ns, "connected", "is connected to the master", node.address)]
        if not node.is_add and node.address in known:
            known.discard(node.address)
            return [Fact(at_ns, "gone", "has lost its connection to the master", node.address)]
        return []

    def _ring(self, ring: RingUpdate, at_ns: int) -> list[Fact]:
        last = self.ring
        if last is not None and ring.version < last.version:
            text = f"the master tells the older version {ring.version}: filers go on with {last.version}, and so do we"
            return [Fact(at_ns, "older", text, version=ring.version)]
        before, now = set(last.servers if last else ()), set(ring.servers)
        come, gone = sorted(now - before), sorted(before - now)
        self.ring = ring
        if last is not None and before == now:
            return []  # S4
        parts = [f"{len(some)} {word}" for some, word in ((come, "joined"), (gone, "left")) if some]
        counted = "1 filer" if len(now) == 1 else f"{len(now)} filers"
        facts = [Fact(at_ns, "ring", ", ".join([counted, *parts]), version=ring.version, ring=ring)]
        facts += [Fact(at_ns, "joined", "is on the ring", one, ring.version) for one in come]
        return facts + [Fact(at_ns, "left", "is not on the ring any more", one, ring.version) for one in gone]
