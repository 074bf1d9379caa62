"""Byte-range locks as one would write them without a thought for speed: a map from bytes to locks.

The files have few bytes; the last one stands for all the rest. Nothing here
is shared with lockcore.core: what both agree on, both got from fcntl(2).

Elsewhere: what is compared with it (test_ranges_model), the kernel itself (tests/kernel).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

BYTES = 12
READ, WRITE = "read", "write"


@dataclass(frozen=True)
class Wait:
    ticket: int
    owner: str
    kind: str
    bytes: range
    fair: bool


@dataclass
class File:
    """One key: who holds which bytes how, and who waits."""

    held: dict[str, dict[int, str]] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)

    def rows(self) -> list[tuple[int, str, int, str]]:
        """As (first byte, owner, last byte, kind), in this order."""
        found = []
        for owner, bytes_ in self.held.items():
            for _, run in groupby(enumerate(sorted(bytes_)), key=lambda each: (each[1] - each[0], bytes_[each[1]])):
                at = [byte for _, byte in run]
                found.append((at[0], owner, at[-1], bytes_[at[0]]))
        return sorted(found)

    def in_the_way(self, want: Wait) -> set[str]:
        holders = {
            owner
            for owner, bytes_ in self.held.items()
            if owner != want.owner and any(b in bytes_ and WRITE in (bytes_[b], want.kind) for b in want.bytes)
        }
        mine = self.held.get(want.owner, {})
        gained = [b for b in want.bytes if mine.get(b) not in (want.kind, WRITE)]
        before = {
            other.owner
            for other in self.waits
            if other.ticket < want.ticket and other.owner != want.owner and (other.fair or want.fair)
            if WRITE in (other.kind, want.kind) and any(b in other.bytes for b in gained)
        }
        return holders | before

    def lock(self, want: Wait) -> None:
        self.held.setdefault(want.owner, {}).update(dict.fromkeys(want.bytes, want.kind))

    def unlock(self, owner: str, bytes_: range) -> None:
        self.held[owner] = {b: kind for b, kind in self.held.get(owner, {}).items() if b not in bytes_}


class Model:
    """Some files whose waits may form circles together."""

    def __init__(self, files: int) -> None:
        self.files = [File() for _ in range(files)]
        self.tickets = [0] * files

    def lock(self, at: int, want: Wait, *, wait: bool) -> str:
        """Return "locked", "waiting", or why not."""
        file = self.files[at]
        if not file.in_the_way(want):
            file.lock(want)
            return "locked"
        if not wait:
            return "EAGAIN"
        if self._circle(at, want):
            return "EDEADLK"
        file.waits.append(want)
        return "waiting"

    def wake(self, at: int) -> list[int]:
        """Grant who can be granted, the first first, from the first again after each. Return the tickets."""
        file = self.files[at]
        granted: list[int] = []
        while True:
            free = next((wait for wait in file.waits if not file.in_the_way(wait)), None)
            if free is None:
                return granted
            file.waits.remove(free)
            file.lock(free)
            granted.append(free.ticket)

    def _circle(self, at: int, want: Wait) -> bool:
        seen: set[str] = set()
        todo = set(self.files[at].in_the_way(want))
        while todo:
            owner = todo.pop()
            if owner == want.owner:
                return True
            if owner not in seen:
                seen.add(owner)
                todo |= {o for file in self.files for w in file.waits if w.owner == owner for o in file.in_the_way(w)}
        return False
