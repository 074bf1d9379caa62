"""What nodes and the master said of themselves, kept in a file and checked as it comes.

The master of a run appends every batch that it is sent to a file; the harness
reads on in it, and in the spools of nodes that were killed. Each fact is taken
once, by its number within its incarnation, and numbers without holes.

Elsewhere: the check (lockcore.testing.online), spools (lockcore.service.spool).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lockcore.core.events import EventKind
from lockcore.service.spool import open_leftover
from lockcore.testing.online import Contradiction, OnlineChecker
from lockcore.testing.record import Did, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lockcore.core.events import EventBatch
    from lockcore.testing.record import Call

FACTS_FILE: Final = "facts.ndjson"
FOUND_MAX: Final = 100
"""So many contradictions are kept; the number of all of them is."""


class Tail:
    """A file of lines that grows: each call yields what has come since the last, whole lines only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def rows(self) -> Iterator[Any]:
        """Yield what each new line holds; a file that does not exist yet is empty."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)


@dataclass(frozen=True, slots=True)
class Reported:
    """A fact, and who reported it."""

    source: str
    incarnation: int
    number: int
    kind: str
    key: str = ""
    generation: int = 0
    seq: int = 0
    view: int = 0


def facts_of(batch: EventBatch) -> list[Reported]:
    """Return the facts of a batch."""
    return [
        Reported(batch.source, batch.incarnation, n.number, n.event.kind.value, n.event.key, n.event.generation,
                 n.event.seq, n.event.view)
        for n in batch.events
    ]  # fmt: skip


def lines_of(batch: EventBatch) -> str:
    """Return a batch as lines for the file."""
    rows = ([f.source, f.incarnation, f.number, f.kind, f.key, f.generation, f.seq, f.view] for f in facts_of(batch))
    return "".join(json.dumps(row) + "\n" for row in rows)


class Journal:
    """All facts of a run, each once.

    Attributes:
        granted: the (key, generation) of every grant.
        missing: numbers that were passed over, by incarnation.
    """

    def __init__(self, folder: Path) -> None:
        self.granted: set[tuple[str, int]] = set()
        self.missing: dict[tuple[str, int], int] = {}
        self.found: list[Contradiction] = []
        self._checker = OnlineChecker()
        self._tail = Tail(folder / FACTS_FILE)
        self._last: dict[tuple[str, int], int] = {}

    @property
    def checked(self) -> int:
        """How many facts were checked."""
        return self._checker.checked

    @property
    def violations(self) -> int:
        """How many contradictions there were."""
        return self._checker.found

    def read_on(self) -> None:
        """Take what the master has written down since."""
        for row in self._tail.rows():
            self.take(Reported(*row))

    def read_leftover(self, path: Path) -> None:
        """Take what a node that was killed has left behind."""
        leftover = open_leftover(path)
        if leftover is not None:
            for batch in leftover.batches():
                for fact in facts_of(batch):
                    self.take(fact)

    def take(self, fact: Reported) -> None:
        """Check a fact, unless it was taken before."""
        life = fact.source, fact.incarnation
        last = self._last.get(life, 0)
        if fact.number <= last:
            return
        if fact.number > last + 1:
            self.missing[life] = self.missing.get(life, 0) + fact.number - last - 1
            self._check(Reported(*life, last + 1, EventKind.GAP.value))
        self._last[life] = fact.number
        self._check(fact)

    def objections(self, calls: Iterable[Call]) -> list[Violation]:
        """Return what is wrong with the facts, and grants that a client was told of and no fact tells of."""
        out = [Violation(c.rule, f"facts: {c.text} ({c.first}; {c.second})") for c in self.found]
        for call in calls:
            if call.did is Did.ACQUIRE and call.ok and (call.key, call.generation) not in self.granted:
                text = f"facts: no node tells of the grant of {call.key}, generation {call.generation}"
                out.append(Violation("facts", text, (call,)))
        return out

    def _check(self, fact: Reported) -> None:
        if fact.kind == EventKind.GRANTED.value:
            self.granted.add((fact.key, fact.generation))
        self.found += self._checker.take(fact)[: max(0, FOUND_MAX - len(self.found))]
