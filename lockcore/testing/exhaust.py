"""All short runs of a small cluster: one key, two clients, three nodes, every order of what can happen.

Nodes are real cores; the master is a list of views (all up; the primary
crashed; its new life joined). Each step delivers the oldest message of a
link, tells a node the next view, lets a client ask, crashes the primary, or
lets a moment pass. States that were seen are not searched again. Nothing
expires and nothing is lost: what is searched is order, and order alone.

`python -m lockcore.testing.exhaust --steps 14 --states 50000`

Elsewhere: long runs with everything (simulate), copies of states (clone).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lockcore.core.config import NodeConfig
from lockcore.core.limits import LEASE_MS_MAX, NS_PER_MS, REQUEST_TIMEOUT_MS_MAX
from lockcore.core.messages import (
    ClientCall,
    FromMaster,
    FromPeer,
    Granted,
    Heartbeat,
    HeartbeatAck,
    Instant,
    Lock,
    NodeInput,
    PeerMessage,
    Reply,
    SendMaster,
    SendPeer,
    Tick,
    Unlock,
    ViewUpdate,
)
from lockcore.core.node import NodeCore
from lockcore.core.view import Member, MemberId, View
from lockcore.testing.clients import note
from lockcore.testing.clone import clone, frozen
from lockcore.testing.history import History, check
from lockcore.testing.record import Call, Did, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY: Final = "k"
SECRET: Final = b"a secret of the virtual world...."
ADDRESSES: Final = ("a:1", "b:2", "c:3")
CONFIG: Final = NodeConfig(node_lease_ms=10**9, heartbeat_ms=10**9)
"""Nobody is fenced: the only node that is marked down has crashed."""
MOMENT_MS: Final = 300
"""Long enough for every retry."""
FIRST_VIEW: Final = 1_000_000

Action = tuple[str, ...]


@dataclass(slots=True)
class Cluster:
    """Three nodes, what is on its way between them, two clients. Copied at each step."""

    nodes: dict[str, NodeCore]
    views: list[View]
    told: dict[str, int] = field(default_factory=dict)
    wires: dict[tuple[str, str], list[PeerMessage]] = field(default_factory=dict)
    asking: dict[str, Call] = field(default_factory=dict)
    holding: dict[str, Call] = field(default_factory=dict)
    history: History = field(default_factory=lambda: History(margin=0.0))
    now_ms: int = 1_000
    steps: int = 0
    crashed: bool = False

    # --- what can happen -----------------------------------------------------------------

    def actions(self) -> Iterator[Action]:
        """Yield everything that can happen next."""
        for (source, target), messages in self.wires.items():
            if messages:
                yield ("deliver", source, target)
        for address in self.nodes:
            if self.told[address] < len(self.views):
                yield ("tell", address)
        for client in ("ada", "ben"):
            if client not in self.asking:
                yield from self._wishes(client)
        if not self.crashed:
            yield ("crash",)
        elif len(self.views) < 3 and self._settled():  # noqa: PLR2004 - all up, one down, all up
            yield ("rejoin",)
        if any(t == len(self.views) for t in self.told.values()) and self.crashed:
            yield ("wait",)

    def _wishes(self, client: str) -> Iterator[Action]:
        if client in self.holding:
            yield ("renew", client)
            yield ("unlock", client)
        elif client == "ada":
            yield ("acquire", client, self._primary())
        else:
            for address in self.nodes:
                yield ("acquire", client, address)

    def _settled(self) -> bool:
        """Say whether every living node has said that it misses nothing in the newest view."""
        return all(n.view is self.views[-1] and not n.acquiring() for n in self.nodes.values())

    def do(self, action: Action) -> None:
        """Do one thing."""
        self.steps += 1
        match action:
            case ("crash",):
                self._crash()
            case ("rejoin",):
                self._rejoin()
            case ("wait",):
                self.now_ms += MOMENT_MS
                for address in list(self.nodes):
                    self._give(address, Tick())
            case ("acquire" | "renew" | "unlock" as wish, client, *where):
                self._wish(wish, client, *where)
            case ("deliver", source, target):
                message = self.wires[source, target].pop(0)
                if target in self.nodes:
                    self._give(target, FromPeer(message))
            case ("tell", address):
                self.told[address] += 1
                self._give(address, FromMaster(ViewUpdate(self.views[self.told[address] - 1])))

    def _wish(self, wish: str, client: str, address: str = "") -> None:
        if wish == "acquire":
            self._ask(client, Did.ACQUIRE, address, Lock(KEY, LEASE_MS_MAX, client))
            return
        token = self.holding[client].token
        if wish == "renew":
            self._ask(client, Did.RENEW, self._primary(), Lock(KEY, LEASE_MS_MAX, client, token))
        else:
            self._ask(client, Did.UNLOCK, self._primary(), Unlock(KEY, token))

    def _primary(self) -> str:
        return self.views[-1].ring.primary(KEY) or ADDRESSES[0]

    def _crash(self) -> None:
        self.crashed = True
        gone = self._primary()
        del self.nodes[gone]
        del self.told[gone]
        for client in [c for c, call in self.asking.items() if call.code == gone]:
            del self.asking[client]  # its connection is gone, and it may ask again
        before = self.views[-1]
        members = tuple(Member(m.address, m.incarnation, down=m.address == gone) for m in before.members)
        self.views.append(View(before.number * 2, before.version, members, before.number))

    def _rejoin(self) -> None:
        before = self.views[-1]
        members = tuple(Member(m.address, m.incarnation + m.down) for m in before.members)
        back = next(new for new, old in zip(members, before.members, strict=True) if old.down)
        self.nodes[back.address] = NodeCore(back.id, SECRET, CONFIG)
        self.told[back.address] = len(self.views)
        self.views.append(View(before.number * 2, before.number * 2, members, before.number))

    # --- nodes and clients --------------------------------------------------------------

    def _ask(self, client: str, did: Did, address: str, operation: Lock | Unlock) -> None:
        call = Call(client, did, KEY, self.steps, LEASE_MS_MAX, code=address)
        if client in self.holding:
            call.generation = self.holding[client].generation
        if did is Did.UNLOCK:
            del self.holding[client]
        self.history.calls.append(call)
        if address in self.nodes:
            self.asking[client] = call
            given = ClientCall(len(self.history.calls), operation, REQUEST_TIMEOUT_MS_MAX)
            self._give(address, given)

    def _give(self, address: str, given: NodeInput) -> None:
        now = Instant(self.now_ms * NS_PER_MS, self.now_ms * NS_PER_MS)
        node = self.nodes[address]
        for effect in node.step(given, now):
            match effect:
                case SendPeer(target, message):
                    self.wires.setdefault((address, target), []).append(message)
                case SendMaster(Heartbeat(number=number)):
                    view = node.view.number if node.view else 0
                    self._give(address, FromMaster(HeartbeatAck(number, view, 0)))
                case Reply(call_id, result):
                    call = self.history.calls[call_id - 1]
                    if self.asking.get(call.client) is call:
                        del self.asking[call.client]
                        call.code = ""
                        note(call, result, self.steps)
                        if isinstance(result, Granted):
                            self.holding[call.client] = call

    def quiet(self) -> None:
        """Deliver everything, in any order."""
        while pair := next((pair for pair, messages in self.wires.items() if messages), None):
            self.do(("deliver", *pair))

    def key(self) -> object:
        """Return what tells two states apart: all but how many steps led there."""
        clients = [(c, name, call.did, call.generation, call.seq) for name, calls in self._calls() for c, call in calls]
        past = {(c.client, c.did, c.generation, c.seq) for c in self.history.calls if c.ok}
        return frozen((self.nodes, self.told, self.wires, clients, past, self.now_ms, self.crashed))

    def _calls(self) -> tuple[tuple[str, list[tuple[str, Call]]], ...]:
        return ("asking", sorted(self.asking.items(), key=_name)), ("holding", sorted(self.holding.items(), key=_name))


def _name(item: tuple[str, Call]) -> str:
    return item[0]


@dataclass(slots=True)
class Found:
    """What a search came to. `complete`: nothing within the bound of steps was left out."""

    states: int = 0
    steps: int = 0
    complete: bool = True
    violations: list[Violation] = field(default_factory=list)
    path: tuple[Action, ...] = ()


def small_cluster() -> Cluster:
    """Return three settled nodes."""
    members = tuple(Member(address, 1) for address in ADDRESSES)
    nodes = {m.address: NodeCore(MemberId(m.address, 1), SECRET, CONFIG) for m in members}
    cluster = Cluster(nodes, [View(FIRST_VIEW, FIRST_VIEW, members)], dict.fromkeys(nodes, 0))
    for address in ADDRESSES:
        cluster.do(("tell", address))
    for _ in range(8):
        cluster.quiet()
        cluster.do(("wait",))
    cluster.quiet()
    cluster.steps = 0
    return cluster


def search(steps_max: int, states_max: int) -> Found:
    """Try everything that can happen within so many steps, nearest first."""
    found = Found()
    seen: set[object] = set()
    front: list[tuple[Cluster, tuple[Action, ...]]] = [(small_cluster(), ())]
    for depth in range(steps_max):
        following: list[tuple[Cluster, tuple[Action, ...]]] = []
        for cluster, path in front:
            for action in list(cluster.actions()):
                if found.states >= states_max:
                    found.complete = False
                    return found
                then = clone(cluster)
                then.do(action)
                found.violations = check(then.history)
                if found.violations:
                    found.path = (*path, action)
                    return found
                key = then.key()
                if key not in seen:
                    seen.add(key)
                    found.states += 1
                    following.append((then, (*path, action)))
        front = following
        found.steps = depth + 1
    return found


def main() -> int:
    """Search as far as the command line says."""
    parser = argparse.ArgumentParser(description="Try all short runs of one key, two clients and three nodes.")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--states", type=int, default=50_000)
    asked = parser.parse_args()
    found = search(asked.steps, asked.states)
    out = sys.stdout
    out.writelines(f"{v.rule} {v.text}\n" for v in found.violations)
    out.writelines(f"  {' '.join(action)}\n" for action in found.path)
    whole = "complete" if found.complete else f"stopped in step {found.steps + 1} at the bound of states"
    out.write(f"{found.states} states, {found.steps} steps deep, {whole}: {len(found.violations)} violations\n")
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
