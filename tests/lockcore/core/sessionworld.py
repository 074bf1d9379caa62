"""A small cluster in virtual time, and clients that work in sessions.

Elsewhere: one node by itself (bench), random faults (tests/simulation).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from lockcore.core.messages import (
    EndSession,
    FindOwner,
    Granted,
    KeepAlive,
    Lock,
    Move,
    OpenSession,
    OwnerIs,
    Refused,
    Released,
    SessionIs,
    SessionProof,
    Unlock,
)
from lockcore.testing.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.messages import Operation, Result

NODES = ("a:1", "b:2", "c:3")


class Cluster:
    """Settled nodes and a way to ask them."""

    def __init__(self, *nodes: str, seed: int = 1) -> None:
        """Start them."""
        self.world = World(seed)
        self.world.start(*(nodes or NODES))

    def key(self, primary: str, backup: str | None = None) -> str:
        """Return a key of a node in the current view."""
        ring = self.world.views[-1].ring
        found = (k for k in map(str, count()) if ring.primary(k) == primary)
        return next(k for k in found if backup in (None, ring.backup(k)))

    def primary(self, key: str) -> str:
        """Return who serves a key now."""
        return self.world.views[-1].ring.primary(key) or ""

    def generation(self, key: str) -> int:
        """Return the generation that the primary says is held, 0 for none."""
        found = self.world.ask(self.primary(key), FindOwner(key))
        return found.generation if isinstance(found, OwnerIs) else 0


class Client:
    """One session. It keeps itself alive only when told to."""

    def __init__(self, cluster: Cluster, name: str, ttl_ms: int = 10_000, at: str = "a:1") -> None:
        """Open a session at a node."""
        self.cluster = cluster
        self.name = name
        self.ttl_ms = ttl_ms
        self._ops = count(1)
        opened = cluster.world.ask(at, OpenSession(name, ttl_ms))
        assert isinstance(opened, SessionIs), opened
        self.proof: SessionProof = opened.session

    def keep(self, at: str = "a:1") -> Result:
        """Extend the session."""
        return self.cluster.world.ask(at, KeepAlive(self.proof, self.ttl_ms, self.name))

    def end(self, at: str = "a:1") -> Result:
        """End the session."""
        return self.cluster.world.ask(at, EndSession(self.proof))

    def operation(self, key: str, wait_ms: int | None = 0, op_id: int = 0, delay_ms: int = 0) -> Lock:
        """Return an acquisition, a new one unless `op_id` names an old one."""
        return Lock(key, 5_000, self.name, "", self.proof, op_id or next(self._ops), wait_ms, delay_ms)

    def lock(self, key: str, op_id: int = 0, at: str = "", delay_ms: int = 0) -> Result:
        """Ask for a lock without waiting in its queue."""
        operation = self.operation(key, op_id=op_id, delay_ms=delay_ms)
        return self.cluster.world.ask(at or self.cluster.primary(key), operation)

    def wait_for(self, key: str, wait_ms: int | None = None, op_id: int = 0, at: str = "") -> Waiting:
        """Queue for a lock."""
        return Waiting(self, self.operation(key, wait_ms, op_id), at or self.cluster.primary(key))

    def unlock(self, key: str, op_id: int = 0, at: str = "") -> Result:
        """Let go of a lock, or of a place in its queue."""
        return self.cluster.world.ask(at or self.cluster.primary(key), Unlock(key, "", self.proof, op_id))

    def move(self, key: str, old: Client, op_id: int = 0, *, require_held: bool = False) -> Result:
        """Take over what another session holds."""
        operation = Move(key, self.name, self.proof, op_id or next(self._ops), old.proof, require_held)
        return self.cluster.world.ask(self.cluster.primary(key), operation)


class Waiting:
    """An acquisition that was sent and may wait."""

    def __init__(self, client: Client, operation: Lock, at: str, timeout_ms: int = 60_000) -> None:
        """Send it."""
        self.op_id = operation.op_id
        self.answers: list[Result] = []
        self._world = client.cluster.world
        self._world.call(at, operation, self.answers.append, timeout_ms)
        self._world.run_ms(20)

    def answer(self, limit_ms: int = 10_000) -> Result:
        """Run the world until it is answered."""
        self._world.run_until(lambda: bool(self.answers), limit_ms)
        return self.answers[0]


def granted(result: Result) -> Granted:
    """Return a result that must be a grant."""
    assert isinstance(result, Granted), result
    return result


def refused(result: Result) -> Refused:
    """Return a result that must be a refusal."""
    assert isinstance(result, Refused), result
    return result


def released(result: Result) -> Released:
    """Return a result that must be a release."""
    assert isinstance(result, Released), result
    return result


def run_while(cluster: Cluster, ms: int, act: Callable[[], object], every_ms: int = 1_000) -> None:
    """Let time pass, and act every so often."""
    until_ns = cluster.world.now_ns + ms * 1_000_000
    while cluster.world.now_ns < until_ns:
        act()
        cluster.world.run_ms(every_ms)


def ask(cluster: Cluster, at: str, operation: Operation) -> Result:
    """Ask a node."""
    return cluster.world.ask(at, operation)
