"""Random requests to open file descriptions of one file and to a range table: results and tables must be the same.

Open file descriptions own their locks each by itself, so one process plays
all owners, and /proc/self/fdinfo tells exactly what each holds.

Elsewhere: waiting and deadlocks, which need processes (processes).
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from lockcore.core.rangerecords import OFFSET_MAX, Conflict, Denied, Kind, Locked, Owner, Unlocked, Want
from lockcore.core.ranges import RangeTable
from tests.kernel import flock

if TYPE_CHECKING:
    from pathlib import Path

DESCRIPTIONS = 4
PER_FILE = 200
"""Operations until all starts anew: a table that has become one large row has little left to go wrong."""
CORNERS = (0, 0, 0, 2**31, 2**32, OFFSET_MAX)
NEAR = 16


class DifferenceError(AssertionError):
    """The kernel did something else."""


@dataclass(frozen=True, slots=True)
class Request:
    """`what` is setlk, getlk or unlck."""

    what: str
    who: int
    kind: Kind
    start: int
    length: int


def drawn(random: Random, corner: int) -> Request:
    """Draw a request, mostly near one offset, sometimes from one corner to another, sometimes absurd."""
    what = random.choices(("setlk", "unlck", "getlk"), (6, 3, 1))[0]
    kind = random.choice((Kind.READ, Kind.READ, Kind.WRITE))
    start = near(random, corner)
    length = random.choice((0, 1, 2, 3, 5, 8, -1, -2, -4, NEAR, near(random, 0), random.choice(CORNERS) - start))
    if random.random() < 0.02:
        start = random.choice((-1, -start, near(random, random.choice(CORNERS))))
        length = random.choice(
            (OFFSET_MAX, OFFSET_MAX - start, OFFSET_MAX - start + 1, -start, -start - 1, ~OFFSET_MAX)
        )
    return Request(what, random.randrange(DESCRIPTIONS), kind, start, max(~OFFSET_MAX, min(length, OFFSET_MAX)))


def near(random: Random, corner: int) -> int:
    """Draw an offset close to another, and within the file."""
    return max(0, min(corner + random.randrange(-NEAR, NEAR), OFFSET_MAX))


class Comparison:
    """Some descriptions of one file, and a table."""

    def __init__(self, path: Path) -> None:
        """Open the file, and hold nothing."""
        self.fds = [os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(DESCRIPTIONS)]
        self.owners = [Owner("kernel", 1, f"{number}") for number in range(DESCRIPTIONS)]
        self.table = RangeTable()

    def close(self) -> None:
        """Close the descriptions; their locks go with them."""
        for fd in self.fds:
            os.close(fd)

    def do(self, request: Request) -> str:
        """Ask both; return what they said.

        Raises:
            DifferenceError: they do not say the same, or do not hold the same afterwards.
        """
        if request.what == "getlk":
            ours, theirs = self._getlk(request)
        else:
            ours, theirs = self._change(request)
        if ours != theirs:
            raise DifferenceError(f"{request}: we say {ours}, the kernel {theirs}")
        self.compare(request.who, request)
        return f"{request.what} {ours}"

    def compare(self, who: int, request: Request | None = None) -> None:
        """Compare what one owner holds."""
        ours = [(row.start, row.end, row.kind) for row in self.table.rows_of(self.owners[who])]
        theirs = flock.of_description(self.fds[who])
        if ours != theirs:
            raise DifferenceError(f"after {request}: we have {ours}, the kernel {theirs}")

    def _change(self, request: Request) -> tuple[str, str]:
        owner, kind = self.owners[request.who], request.kind if request.what == "setlk" else None
        answer = flock.control(self.fds[request.who], fcntl.F_OFD_SETLK, kind, request.start, request.length)
        if kind is None:
            step = self.table.unlck(owner, request.start, request.length)
        else:
            step = self.table.setlk(Want(owner, kind, request.start, request.length))
        done = isinstance(step.result, Locked | Unlocked)
        ours = str(step.result.error) if isinstance(step.result, Denied) else "done" if done else repr(step.result)
        return ours, answer if isinstance(answer, str) else "done"

    def _getlk(self, request: Request) -> tuple[str, str]:
        """Both find a row or neither; theirs is any of those in the way, ours the one that starts first."""
        answer = flock.control(self.fds[request.who], fcntl.F_OFD_GETLK, request.kind, request.start, request.length)
        found = self.table.getlk(Want(self.owners[request.who], request.kind, request.start, request.length))
        if isinstance(found, Denied) or isinstance(answer, str):
            return str(found.error) if isinstance(found, Denied) else repr(found), str(answer)
        theirs = flock.unpacked(answer)
        if not isinstance(found, Conflict) or theirs is None:
            return "a row" if isinstance(found, Conflict) else "free", "free" if theirs is None else "a row"
        rows = [row for who, owner in enumerate(self.owners) if who != request.who for row in self.table.rows_of(owner)]
        known = any((row.kind, row.start, row.end) == theirs for row in rows)
        return "a row", "a row" if known and theirs[1] >= found.row.start else f"{theirs} before {found.row}"


def compare(path: Path, seed: int, operations: int) -> Counter[str]:
    """Do so many operations; return what was said how often.

    Raises:
        DifferenceError: the kernel did something else.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    seen: Counter[str] = Counter()
    for begin in range(0, operations, PER_FILE):
        comparison, corner = Comparison(path), random.choice(CORNERS)
        try:
            for _ in range(min(PER_FILE, operations - begin)):
                seen[comparison.do(drawn(random, corner))] += 1
            for who in range(DESCRIPTIONS):
                comparison.compare(who)
        finally:
            comparison.close()
    return seen
