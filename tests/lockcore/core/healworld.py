"""Sessions whose locks and ranges are lost with both their nodes, and come back.

Elsewhere: the small cluster (sessionworld), the tests (test_healing, test_healing_ranges).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.digest import MODULUS, Digest, lock_mark, piece_mark
from lockcore.core.messages import (
    ClearRange,
    Holdings,
    KeepAlive,
    ListHeld,
    Lock,
    RangeLocked,
    Result,
    SessionIs,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import Kind
from tests.lockcore.core.sessionworld import Client, Cluster

if TYPE_CHECKING:
    from lockcore.core.messages import HeldRange

NODES = ("a:1", "b:2", "c:3", "d:4")
READ, WRITE = Kind.READ, Kind.WRITE
TTL_MS = 60_000
"""Longer than any grace in these tests: nobody has to be kept alive."""


def four() -> Cluster:
    """Return a settled cluster in which two may die and two remain."""
    return Cluster(*NODES)


class Holder(Client):
    """A client that can say again what it held."""

    def __init__(self, cluster: Cluster, name: str, ttl_ms: int = TTL_MS, at: str = "a:1") -> None:
        """Open a session."""
        super().__init__(cluster, name, ttl_ms, at)

    def ask(self, key: str, operation: object) -> Result:
        """Ask the key's primary."""
        return self.cluster.world.ask(self.cluster.primary(key), operation)  # type: ignore[arg-type]

    def lock_again(self, key: str, token: str, op: int = 0) -> Result:
        """Say that a lock is held."""
        return self.ask(key, Lock(key, 5_000, self.name, token, self.proof, op or next(self._ops)))

    def unlock_by_token(self, key: str, token: str, op: int) -> Result:
        """Unlock with the token."""
        return self.ask(key, Unlock(key, token, self.proof, op))

    def set(  # noqa: PLR0913 - what fcntl(2) takes
        self, key: str, kind: Kind, start: int, length: int, *, fence: int = 0, op: int = 0
    ) -> Result:
        """F_SETLK; with a fence: say that it is held."""
        number = op or next(self._ops)
        return self.ask(key, SetRange(key, self.proof, number, "t", kind, start, length, held_fence=fence))

    def clear(self, key: str, start: int, length: int, *, op: int = 0) -> Result:
        """F_UNLCK."""
        return self.ask(key, ClearRange(key, self.proof, op or next(self._ops), "t", start, length))

    def listed(self) -> tuple[list[tuple[str, int]], list[tuple[str, HeldRange]]]:
        """Return what the living nodes say that it holds."""
        locks: list[tuple[str, int]] = []
        pieces: list[tuple[str, HeldRange]] = []
        for node in self.cluster.world.nodes.values():
            if node.alive:
                answer = self.cluster.world.ask(node.address, ListHeld(self.proof))
                assert isinstance(answer, Holdings), answer
                locks += answer.locks
                pieces += answer.ranges
        return sorted(locks), sorted(pieces, key=lambda piece: (piece[0], piece[1].start))

    def digests(self) -> list[Digest]:
        """Return what each living node says of it with a keep-alive."""
        found = []
        for node in self.cluster.world.nodes.values():
            if node.alive:
                answer = self.keep(node.address)
                assert isinstance(answer, SessionIs), answer
                assert answer.held is not None
                found.append(answer.held)
        return found

    def report(self, at: str = "a:1") -> Result:
        """Say that nothing is left to re-assert in this view."""
        view = self.cluster.world.views[-1].number
        return self.cluster.world.ask(at, KeepAlive(self.proof, self.ttl_ms, self.name, view))


def together(digests: list[Digest]) -> tuple[int, int, int]:
    """Return locks, pieces and the sum of all nodes."""
    total = sum(d.sum for d in digests) % MODULUS
    return sum(d.locks for d in digests), sum(d.pieces for d in digests), total


def believed(locks: list[tuple[str, int]], pieces: list[tuple[str, HeldRange]]) -> tuple[int, int, int]:
    """Return the same of what a client believes."""
    marks = [lock_mark(key, generation) for key, generation in locks]
    marks += [piece_mark(key, p.lock_owner, p.kind, p.start, p.length, p.fence) for key, p in pieces]
    return len(locks), len(pieces), sum(marks) % MODULUS


def piece_of(result: Result) -> HeldRange:
    """Return the piece of a result that must be a range lock."""
    assert isinstance(result, RangeLocked), result
    return result.pieces[0]


def lose(cluster: Cluster, key: str, *, seen: bool = True) -> None:
    """Kill both nodes of a key, and wait until others serve it."""
    ring = cluster.world.views[-1].ring
    for address in ring.owners(key):
        assert address is not None
        cluster.world.kill(address, seen=seen)
    cluster.world.run_ms(4_000)
    assert set(cluster.world.views[-1].ring.owners(key)) <= {n.address for n in cluster.world.nodes.values() if n.alive}
