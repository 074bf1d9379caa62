"""The consistent hash ring, bit for bit that of SeaweedFS.

A server has `vnodes` virtual nodes at CRC-32 (IEEE) of "<server>#<i>". A key
sits at CRC-32 of its UTF-8 bytes. Its primary is the server of the first
virtual node at or after it, clockwise; its backup the next *other* server
further on. Because the backup is the successor, it is also the natural
takeover node: with the primary gone, the walk ends at the backup.

Invariants
  H1  Removing or marking down a server moves only the keys it owned, and
      each of them to the key's former backup.
  H2  Immutable: two rings with equal servers and down sets are equal.
  H3  Where virtual nodes collide, the server that sorts last (byte order)
      owns the position, also while it is down.
Elsewhere: who is down, and since when (view).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

from lockcore.core.limits import VNODES
from lockcore.core.region import NOWHERE, SPACE, Region

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def position_of(key: str) -> int:
    """Return where a key sits: CRC-32 of its UTF-8 bytes, 0 to 2^32 - 1."""
    return crc32(key.encode("utf-8"))


@dataclass(frozen=True, slots=True)
class Arc:
    """Positions start <= p < stop that share a primary and a backup."""

    start: int
    stop: int
    primary: str
    backup: str | None

    @property
    def share(self) -> float:
        """The share of the key space, 0 to 1."""
        return (self.stop - self.start) / SPACE


@dataclass(frozen=True, slots=True)
class Move:
    """Positions start <= p < stop whose primary differs between two rings."""

    start: int
    stop: int
    source: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class RingDiff:
    """What changes hands between two rings."""

    moves: tuple[Move, ...]

    @property
    def share(self) -> float:
        """The share of the key space whose primary differs, 0 to 1."""
        return sum(m.stop - m.start for m in self.moves) / SPACE

    def shares(self) -> dict[tuple[str | None, str | None], float]:
        """Return the share moved for each (source, target) pair."""
        out: dict[tuple[str | None, str | None], float] = {}
        for move in self.moves:
            pair = (move.source, move.target)
            out[pair] = out.get(pair, 0.0) + (move.stop - move.start) / SPACE
        return out


class HashRing:
    """Who owns a key.

    Args:
        servers: server addresses, duplicates ignored.
        vnodes: virtual nodes per server, at least 1.
        down: servers to be skipped in the walk.
    Raises:
        ValueError: `vnodes` is below 1.
    Source: SeaweedFS #8860; DESIGN section 3.
    """

    def __init__(self, servers: Iterable[str], vnodes: int = VNODES, *, down: Iterable[str] = ()) -> None:
        """Place the virtual nodes."""
        if vnodes < 1:
            msg = f"vnodes must be at least 1, not {vnodes}"
            raise ValueError(msg)
        self.servers: tuple[str, ...] = tuple(sorted(set(servers), key=str.encode))
        self.down: frozenset[str] = frozenset(down) & set(self.servers)
        self.vnodes = vnodes
        self._positions, self._primaries, self._backups = self._place()

    def _place(self) -> tuple[list[int], list[str], list[str | None]]:
        placed: dict[int, str] = {}
        for server in self.servers:  # sorted: the last one keeps a collision
            for i in range(self.vnodes):
                placed[crc32(f"{server}#{i}".encode())] = server
        positions = sorted(p for p, server in placed.items() if server not in self.down)
        primaries = [placed[p] for p in positions]
        backups: list[str | None] = [None] * len(positions)
        # Backwards, twice round: each virtual node learns the next other server.
        for i in range(2 * len(positions) - 2, -1, -1):
            here, following = i % len(positions), (i + 1) % len(positions)
            if primaries[following] != primaries[here]:
                backups[here] = primaries[following]
            else:
                backups[here] = backups[following]
        return positions, primaries, backups

    def __eq__(self, other: object) -> bool:
        """Two rings are equal when they share out the keys alike (H2)."""
        if not isinstance(other, HashRing):
            return NotImplemented
        return (self.servers, self.down, self.vnodes) == (other.servers, other.down, other.vnodes)

    def __hash__(self) -> int:
        """Hash of what makes the ring."""
        return hash((self.servers, self.down, self.vnodes))

    def __repr__(self) -> str:
        """Short, for test output."""
        return f"HashRing({list(self.servers)}, down={sorted(self.down)})"

    def owners_at(self, position: int) -> tuple[str | None, str | None]:
        """Return (primary, backup) of a position, None where there is none."""
        if not self._positions:
            return None, None
        at = bisect_left(self._positions, position) % len(self._positions)
        return self._primaries[at], self._backups[at]

    def owners(self, key: str) -> tuple[str | None, str | None]:
        """Return (primary, backup) of a key, None where there is none."""
        return self.owners_at(position_of(key))

    def primary(self, key: str) -> str | None:
        """Return the server that owns the key; None on an empty ring."""
        return self.owners(key)[0]

    def backup(self, key: str) -> str | None:
        """Return the next other server clockwise; None below two servers."""
        return self.owners(key)[1]

    def virtual_nodes(self) -> Iterator[tuple[int, str]]:
        """Yield (position, server), clockwise from 0, without down servers."""
        yield from zip(self._positions, self._primaries, strict=True)

    @cached_property
    def arcs(self) -> tuple[Arc, ...]:
        """All arcs from 0 to 2^32; neighbours with the same owners are one."""
        if not self._positions:
            return ()
        bounds = [0, *(p + 1 for p in self._positions)]
        owners = list(zip(self._primaries, self._backups, strict=True))
        pieces = [(a, b, *o) for (a, b), o in zip(pairwise(bounds), owners, strict=True)]
        pieces.append((bounds[-1], SPACE, *owners[0]))
        merged: list[Arc] = []
        for start, stop, primary, backup in pieces:
            last = merged[-1] if merged else None
            if last and (last.primary, last.backup) == (primary, backup):
                merged[-1] = Arc(last.start, stop, primary, backup)
            elif start < stop:
                merged.append(Arc(start, stop, primary, backup))
        return tuple(merged)

    @cached_property
    def _roles(self) -> dict[tuple[str, str | None], Region]:
        pairs: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
        for arc in self.arcs:
            pairs.setdefault((arc.primary, arc.backup), []).append((arc.start, arc.stop))
        return {pair: Region.of(intervals) for pair, intervals in pairs.items()}

    def pairs(self) -> dict[tuple[str, str | None], Region]:
        """Return the region of every (primary, backup) pair that occurs."""
        return dict(self._roles)

    def region(self, *, primary: str | None = None, backup: str | None = None) -> Region:
        """Return the positions with this primary and/or this backup."""
        out = NOWHERE
        for (first, second), region in self._roles.items():
            if (primary is None or primary == first) and (backup is None or backup == second):
                out |= region
        return out

    def diff(self, other: HashRing) -> RingDiff:
        """Return what changes hands when `other` takes this ring's place."""
        cuts = sorted({0, SPACE, *(a.start for a in self.arcs), *(a.start for a in other.arcs)})
        moves: list[Move] = []
        for start, stop in pairwise(cuts):
            source, target = self.owners_at(start)[0], other.owners_at(start)[0]
            if source == target:
                continue
            last = moves[-1] if moves else None
            if last and (last.stop, last.source, last.target) == (start, source, target):
                moves[-1] = Move(last.start, stop, source, target)
            else:
                moves.append(Move(start, stop, source, target))
        return RingDiff(tuple(moves))
