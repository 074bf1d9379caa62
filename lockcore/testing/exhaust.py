"""All short runs of a small cluster: one key, two clients, three nodes, every order of what can happen.

Nodes are real cores; the master is a list of views (all up; the primary
crashed; its new life joined). Each step delivers the oldest message of a
link, tells a node the next view, lets a client ask, crashes the primary, or
lets a moment pass. States that were seen are not searched again; times are no
part of a state, since nothing expires. Nothing is lost either: what is
searched is order, and order alone.

Most orders of deliveries to different nodes come to the same, and there are
too many of them for long runs. So a run may be bound to `postponed` departures
from the order in which messages were sent, at any places; what clients,
crashes and views do stays free. (Emmi, Qadeer, Rakamaric: Delay-Bounded
Scheduling, 2011: faults of concurrency show with very few of them.)

`python -m lockcore.testing.exhaust --steps 14 --postponed 1`

Elsewhere: long runs with everything (simulate), copies of states (clone).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field, replace
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
    """Three nodes, what is on its way between them, two clients. Copied at each step.

    `wires`: messages with the numbers in which they were sent; `left`: how
    many more deliveries may be out of that order, None for any number.
    """

    nodes: dict[str, NodeCore]
    views: list[View]
    told: dict[str, int] = field(default_factory=dict)
    wires: dict[tuple[str, str], tuple[tuple[int, PeerMessage], ...]] = field(default_factory=dict)
    asking: dict[str, Call] = field(default_factory=dict)
    holding: dict[str, Call] = field(default_factory=dict)
    history: History = field(default_factory=lambda: History(margin=0.0))
    now_ms: int = 1_000
    steps: int = 0
    sent: int = 0
    crashed: bool = False
    left: int | None = None
    published: list[int] = field(default_factory=lambda: [0])
    _own: set[str] = field(default_factory=set)
    _prints: dict[str, int] = field(default_factory=dict)

    def fork(self) -> Cluster:
        """Return a copy. Nodes are copied when something is given to them; this one is not to go on."""
        fresh = {id(call): replace(call) for call in self.asking.values()}
        calls = [fresh.get(id(call), call) for call in self.history.calls]
        return replace(
            self,
            nodes=dict(self.nodes), views=list(self.views), told=dict(self.told), wires=dict(self.wires),
            asking={name: fresh[id(call)] for name, call in self.asking.items()}, holding=dict(self.holding),
            history=History(margin=0.0, calls=calls), published=list(self.published),
            _own=set(), _prints=dict(self._prints),
        )  # fmt: skip

    # --- what can happen -----------------------------------------------------------------

    def deliveries(self) -> list[Action]:
        """Return what is on its way, oldest first."""
        waiting: list[tuple[int, Action]] = [
            (messages[0][0], ("deliver", *pair)) for pair, messages in self.wires.items() if messages
        ]
        late = [address for address in self.nodes if self.told[address] < len(self.views)]
        waiting += [(self.published[self.told[address]], ("tell", address)) for address in late]
        return [action for _, action in sorted(waiting)]

    def actions(self) -> Iterator[tuple[Action, int]]:
        """Yield everything that can happen next, and whether it is out of order."""
        waiting = self.deliveries()
        for number, action in enumerate(waiting):
            if number == 0 or self.left is None or self.left > 0:
                yield action, min(number, 1)
        for client in ("ada", "ben"):
            if client not in self.asking:
                yield from ((wish, 0) for wish in self._wishes(client))
        if not self.crashed:
            yield ("crash",), 0
        elif len(self.views) < 3 and self._settled():  # noqa: PLR2004 - all up, one down, all up
            yield ("rejoin",), 0
        if self.crashed and (not waiting if self.left is not None else len(self.views) in self.told.values()):
            yield ("wait",), 0

    def _wishes(self, client: str) -> Iterator[Action]:
        if client in self.holding:
            yield ("renew", client)
            yield ("unlock", client)
        else:
            yield ("acquire", client, self._primary())
            if client == "ben":
                yield from (("acquire", client, a) for a in sorted(self.nodes)[:2] if a != self._primary())

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
                (_, message), *rest = self.wires[source, target]
                self.wires[source, target] = tuple(rest)
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
        self._publish()
        gone = self._primary()
        del self.nodes[gone]
        del self.told[gone]
        for client in [c for c, call in self.asking.items() if call.code == gone]:
            del self.asking[client]  # its connection is gone, and it may ask again
        before = self.views[-1]
        members = tuple(Member(m.address, m.incarnation, down=m.address == gone) for m in before.members)
        self.views.append(View(before.number * 2, before.version, members, before.number))

    def _publish(self) -> None:
        self.sent += 1
        self.published.append(self.sent)

    def _rejoin(self) -> None:
        self._publish()
        before = self.views[-1]
        members = tuple(Member(m.address, m.incarnation + m.down) for m in before.members)
        back = next(new for new, old in zip(members, before.members, strict=True) if old.down)
        self.nodes[back.address] = NodeCore(back.id, SECRET, CONFIG)
        self._prints.pop(back.address, None)
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
        if address not in self._own:
            self.nodes[address] = clone(self.nodes[address])
            self._own.add(address)
        self._prints.pop(address, None)
        node = self.nodes[address]
        for effect in node.step(given, now):
            match effect:
                case SendPeer(target, message):
                    self.sent += 1
                    sent = self.wires.get((address, target), ())
                    self.wires[address, target] = (*sent, (self.sent, message))
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
        """Deliver everything, in the order in which it was sent."""
        while ready := [action for action in self.deliveries() if action[0] == "deliver"]:
            self.do(ready[0])

    def key(self) -> int:
        """Return what tells two states apart: all but times, and how many steps led there."""
        for address, node in self.nodes.items():
            if address not in self._prints:
                self._prints[address] = frozen(node, self.now_ms * NS_PER_MS)
        clients = [(c, name, call.did, call.generation, call.seq) for name, calls in self._calls() for c, call in calls]
        past = {(c.client, c.did, c.generation, c.seq) for c in self.history.calls if c.ok}
        wires = {pair: tuple(m for _, m in messages) for pair, messages in self.wires.items() if messages}
        order = None
        if self.left is not None:
            order = [p for _, p in sorted((n, p) for p, messages in self.wires.items() for n, _ in messages)]
        known = {address: self._prints[address] for address in self.nodes}
        return frozen((known, self.told, wires, order, self.left, clients, past, self.crashed, len(self.views)))

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


def search(steps_max: int, states_max: int, postponed: int | None = None) -> Found:
    """Try everything that can happen within so many steps, nearest first.

    `postponed`: how many deliveries of a run may be out of the order of sending; None for any number.
    """
    found = Found()
    seen: set[int] = set()
    first = small_cluster()
    first.left = postponed
    front: list[tuple[Cluster, tuple[Action, ...]]] = [(first, ())]
    for depth in range(steps_max):
        following: list[tuple[Cluster, tuple[Action, ...]]] = []
        for cluster, path in front:
            for action, out_of_order in list(cluster.actions()):
                if found.states >= states_max:
                    found.complete = False
                    return found
                then = cluster.fork()
                then.left = None if then.left is None else then.left - out_of_order
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
    parser.add_argument("--states", type=int, default=200_000)
    parser.add_argument("--postponed", type=int, help="how many deliveries may be out of order (default: any number)")
    asked = parser.parse_args()
    found = search(asked.steps, asked.states, asked.postponed)
    out = sys.stdout
    out.writelines(f"{v.rule} {v.text}\n" for v in found.violations)
    out.writelines(f"  {' '.join(action)}\n" for action in found.path)
    whole = "complete" if found.complete else f"stopped in step {found.steps + 1} at the bound of states"
    if asked.postponed is not None:
        whole += f" with at most {asked.postponed} deliveries out of order"
    out.write(f"{found.states} states, {found.steps} steps deep, {whole}: {len(found.violations)} violations\n")
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
