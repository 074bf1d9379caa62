"""A test bench for one node: the test plays its master, its peers and its clients.

Elsewhere: whole clusters (lockcore.testing.world).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import (
    PROBE_LSN,
    BatchStatus,
    ClientCall,
    Emit,
    Forward,
    ForwardReply,
    FromMaster,
    FromPeer,
    Granted,
    Heartbeat,
    HeartbeatAck,
    Instant,
    LeaseRecord,
    Lock,
    MasterMessage,
    NodeEffect,
    NodeInput,
    Operation,
    Outcome,
    PeerAck,
    PeerBatch,
    PeerMessage,
    Refused,
    Reply,
    Result,
    Seal,
    SendMaster,
    SendPeer,
    Tick,
    Unlock,
    ViewUpdate,
)
from lockcore.core.node import NodeCore
from lockcore.core.view import Grace, Member, MemberId, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.config import NodeConfig
    from lockcore.core.events import Event
    from lockcore.core.leases import Lease

SECRET = b"the secret of a test cluster"
WALL_NS = 1_700_000_000_000_000_000
VIEW_1 = WALL_NS
BOTH_SEALS = Seal(handover=True, backup=True, floor=0)
M = TypeVar("M")


class Bench:
    """One node, at first without any view or lease.

    Args:
        me: its address.
        peers: the other members of the views it will be told.
    """

    def __init__(self, me: str = "a:1", peers: Iterable[str] = ("b:2",), config: NodeConfig | None = None) -> None:
        """Start it at time 0."""
        self.me = MemberId(me, 1)
        self.peers = {address: MemberId(address, 1) for address in peers}
        self.core = NodeCore(self.me, SECRET, config)
        self.now_ms = 1_000
        self.out: list[NodeEffect] = []
        self.answers: dict[int, Result] = {}
        self.answered: dict[int, int] = {}
        self.number = 0
        self._calls = count(1)
        self._lsns = count(1)

    # --- time and inputs ------------------------------------------------------------

    @property
    def now(self) -> Instant:
        """Both clocks."""
        return Instant(self.now_ms * NS_PER_MS, WALL_NS + self.now_ms * NS_PER_MS)

    def step(self, given: NodeInput, *, more: bool = False) -> list[NodeEffect]:
        """Give the node one input; return and remember what it does."""
        effects = self.core.step(given, self.now, more=more)
        self.out.extend(effects)
        for effect in effects:
            if isinstance(effect, Reply):
                self.answered[effect.call_id] = self.answered.get(effect.call_id, 0) + 1
                self.answers[effect.call_id] = effect.result
        return effects

    def wait(self, ms: int) -> list[NodeEffect]:
        """Let time pass; the master acknowledges no heartbeat in it."""
        self.now_ms += ms
        return self.step(Tick())

    def live(self, ms: int) -> None:
        """Let time pass while the master acknowledges every heartbeat."""
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(until_ms, self.now_ms + 200)
            self.step(Tick())
            self.acknowledge_heartbeats()

    def tell(self, message: MasterMessage) -> list[NodeEffect]:
        """Have the master say something."""
        return self.step(FromMaster(message))

    def hear(self, message: PeerMessage) -> list[NodeEffect]:
        """Have a peer say something."""
        return self.step(FromPeer(message))

    # --- the master's part -------------------------------------------------------------

    def view(
        self,
        *,
        down: Iterable[str] = (),
        without: Iterable[str] = (),
        also: Iterable[MemberId] = (),
        skips: bool = False,
        grace: Grace | None = None,
    ) -> View:
        """Publish the next view to the node; return it."""
        previous = 0 if skips else self.number
        self.number = max(self.number + 1_000, VIEW_1)
        ids = [m for m in (self.me, *self.peers.values(), *also) if m.address not in set(without)]
        members = tuple(Member(m.address, m.incarnation, down=m.address in set(down)) for m in sorted(ids))
        view = View(self.number, self.number, members, previous, (grace,) if grace else ())
        self.tell(ViewUpdate(view))
        self.acknowledge_heartbeats()
        return view

    def acknowledge_heartbeats(self, settled: int = 0) -> None:
        """Acknowledge the heartbeats sent so far, newest first."""
        for beat in reversed(self.sent_to_master(Heartbeat)):
            self.tell(HeartbeatAck(beat.number, self.number, settled))

    def sent_to_master(self, kind: type[M]) -> list[M]:
        """Return the messages of a kind that the node sent to the master."""
        return [e.message for e in self.out if isinstance(e, SendMaster) and isinstance(e.message, kind)]

    # --- the peers' part ----------------------------------------------------------------

    def batches(self, address: str) -> list[PeerBatch]:
        """Return the batches sent to a peer, oldest first; no probes."""
        sent = [e for e in self.out if isinstance(e, SendPeer) and e.address == address]
        return [e.message for e in sent if isinstance(e.message, PeerBatch) and e.message.lsn != PROBE_LSN]

    def send(
        self,
        address: str,
        *,
        replicas: tuple[LeaseRecord, ...] = (),
        transfers: tuple[LeaseRecord, ...] = (),
        seal: Seal | None = None,
        view: int | None = None,
    ) -> PeerAck | None:
        """Have a peer send a batch; return the node's answer, if any."""
        batch = PeerBatch(
            self.peers[address], self.me, view or self.number, next(self._lsns), replicas, transfers, seal
        )
        return self.deliver(batch)

    def deliver(self, batch: PeerBatch) -> PeerAck | None:
        """Deliver a batch as it is; return the node's answer, if any."""
        sent = [e.message for e in self.hear(batch) if isinstance(e, SendPeer)]
        acks = [m for m in sent if isinstance(m, PeerAck) and m.lsn == batch.lsn]
        return acks[0] if acks else None

    def seal(self, *addresses: str) -> None:
        """Have peers promise that nothing is left to send (default: all)."""
        for address in addresses or self.peers:
            self.send(address, seal=BOTH_SEALS)

    def take_in(self, address: str, outcome: Outcome = Outcome.ACCEPTED) -> None:
        """Have a peer answer the newest batch sent to it."""
        batch = self.batches(address)[-1]
        replicas, transfers = (outcome,) * len(batch.replicas), (outcome,) * len(batch.transfers)
        sessions = (outcome,) * len(batch.sessions)
        files = (outcome,) * len(batch.files)
        answer = PeerAck(self.peers[address], self.me, batch.view, batch.lsn, BatchStatus.OK, replicas, transfers)
        self.hear(replace(answer, sessions=sessions, files=files))

    def answer_forward(self, address: str, result: Result) -> None:
        """Have a peer answer the newest request that was passed on to it."""
        sent = [e for e in self.out if isinstance(e, SendPeer) and e.address == address]
        asked = [e.message for e in sent if isinstance(e.message, Forward)]
        self.hear(ForwardReply(self.peers[address], asked[-1].forward_id, result))

    def take_in_all(self) -> None:
        """Have every peer accept what it is sent, until nothing more is sent."""
        seen = -1
        while seen != len(self.out):
            seen = len(self.out)
            for address in self.peers:
                if self.batches(address):
                    self.take_in(address)

    def settle(self) -> Bench:
        """Enter a first view, completely; return the bench."""
        self.view()
        self.seal()
        self.take_in_all()
        self.acknowledge_heartbeats(settled=self.number)
        return self

    # --- the clients' part -----------------------------------------------------------------

    def call(
        self, operation: Operation, *, timeout_ms: int = 5_000, may_park: bool = True, forwarded: bool = False
    ) -> int:
        """Ask something; return the id under which the answer appears."""
        call_id = next(self._calls)
        self.step(ClientCall(call_id, operation, timeout_ms, may_park, forwarded))
        return call_id

    def ask(self, operation: Operation, *, may_park: bool = True, forwarded: bool = False) -> Result | None:
        """Ask something, have the peers accept what it takes; return the answer, None if it waits."""
        call_id = self.call(operation, may_park=may_park, forwarded=forwarded)
        if call_id not in self.answers:
            self.take_in_all()
        return self.answers.get(call_id)

    def acquire(self, key: str, owner: str = "ada", ttl_ms: int = 5_000) -> Result | None:
        """Ask for a free lock."""
        return self.ask(Lock(key, ttl_ms, owner))

    def renew(self, key: str, token: str, owner: str = "ada", ttl_ms: int = 5_000) -> Result | None:
        """Renew with a token."""
        return self.ask(Lock(key, ttl_ms, owner, token))

    def unlock(self, key: str, token: str) -> Result | None:
        """Release with a token."""
        return self.ask(Unlock(key, token))

    # --- looking inside ------------------------------------------------------------------------

    def lease(self, key: str) -> Lease:
        """Return what the node knows of a key."""
        return next(le for le in self.core.leases() if le.key == key)

    def knows(self, key: str) -> bool:
        """Say whether the node knows anything of a key."""
        return any(le.key == key for le in self.core.leases())

    def table(self) -> list[Lease]:
        """Return a copy of all the node knows, to compare later."""
        return [replace(le) for le in self.core.leases()]

    def facts(self) -> list[Event]:
        """Return the facts emitted so far."""
        return [e.event for e in self.out if isinstance(e, Emit)]

    def key(self, primary: str, backup: str | None = None, nth: int = 0) -> str:
        """Return a key with this primary (and backup) in the current view."""
        view = self.core.view
        if view is None:
            msg = "publish a view first"
            raise AssertionError(msg)
        found = (k for k in map(str, count()) if view.ring.primary(k) == primary)
        if backup is not None:
            found = (k for k in found if view.ring.backup(k) == backup)
        for _ in range(nth):
            next(found)
        return next(found)


def record(key: str, generation: int, seq: int = 1, *, gone: bool = False, remaining_ms: int = 5_000) -> LeaseRecord:
    """Return a lock of eve's as a peer would send it."""
    token = f"token of {generation}.{seq}"
    return LeaseRecord(key, token, "eve", generation, seq, remaining_ms * NS_PER_MS, 5_000, gone=gone, served=True)


def granted(result: Result | None) -> Granted:
    """Return a result that must be a grant."""
    assert isinstance(result, Granted), result
    return result


def refused(result: Result | None) -> Refused:
    """Return a result that must be a refusal."""
    assert isinstance(result, Refused), result
    return result
