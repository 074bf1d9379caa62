"""Random requests of processes that wait for each other, to the kernel and to range tables.

Results, what is held, and who waits must be the same. The kernel differs by
nature in two ways, and exactly those are let through, and counted:

- It misses deadlocks: it follows one chain, from the first row in the way to
  its owner's wait to the row that this one is queued at, and so on. We say
  EDEADLK and it lets the process wait: accepted if that chain, as /proc/locks
  shows it, does not lead back, and all chains that it shows do.
- Whom it wakes together it lets run in any order, and a waiter that has to
  wait again loses its place. Accepted if another order of the queue explains
  all that it did, in which nobody passes one that it was queued behind.

Elsewhere: the processes (processes), locks without waiting (descriptions).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, permutations
from random import Random
from typing import TYPE_CHECKING

from lockcore.core.rangerecords import Conflict, Denied, Kind, Owner, Waiting, Want
from lockcore.core.ranges import RangeTable, WaitGraph
from tests.kernel.descriptions import DifferenceError
from tests.kernel.processes import COMMANDS, Ask, Processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lockcore.core.rangerecords import RangeRecord, Step, Waiter
    from tests.kernel.flock import Line

PROCESSES = 5
FILES = 2
BYTES = 10
PER_START = 60
"""Operations until everybody lets go of everything."""

LEAVING, ALL = 0.05, 0.5
"""How often somebody gives up a wait, and how often an unlock is of everything."""

Lock = tuple[int, int, int, Kind]  # (first byte, who, last byte, kind)


def drawn(random: Random, waiting: set[int]) -> Ask:
    """Draw a request that can be made while these processes wait."""
    kind = random.choice((Kind.READ, Kind.WRITE))
    start = random.randrange(BYTES)
    length = random.choice((1, 1, 2, 3, 5, BYTES, 0))
    free = sorted(set(range(PROCESSES)) - waiting)
    if waiting and (not free or random.random() < LEAVING):
        return Ask("leave", random.choice(sorted(waiting)), 0, kind, 0, 0)
    what = random.choices(("setlkw", "setlk", "unlck", "getlk"), (5, 2, 5, 1))[0]
    if what == "unlck" and random.random() < ALL:
        start, length = 0, 0
    return Ask(what, random.choice(free), random.randrange(FILES), kind, start, length)


class Comparison:
    """Processes and tables."""

    def __init__(self, folder: Path, commands: dict[str, int] = COMMANDS) -> None:
        """Start the processes, who hold nothing."""
        self.processes = Processes(PROCESSES, [folder / f"file{number}" for number in range(FILES)], commands)
        self.owners = [Owner("kernel", 1, f"{number}") for number in range(PROCESSES)]
        self.graph = WaitGraph()
        self.tables = [RangeTable(self.graph) for _ in range(FILES)]
        self.seen: Counter[str] = Counter()
        self._operations = 0

    def close(self) -> None:
        """End the processes."""
        self.processes.close()

    def do(self, ask: Ask) -> None:
        """Ask both.

        Raises:
            DifferenceError: they do not say the same, or do not hold the same afterwards.
        """
        self._operations += 1
        if ask.what == "getlk":
            self._getlk(ask)
            return
        if ask.what == "leave":
            ask = replace(ask, file=self._file_of(ask.who))
        record, before = self.tables[ask.file].to_record(0), self.processes.lines()
        answers = self.processes.do(ask)
        ours = self._asked(ask)
        self.seen[f"{ask.what} {ours.get(ask.who, 'waits')}"] += 1
        self.seen["granted after a wait"] += len(ours.keys() - {ask.who})
        if ours.get(ask.who) == "EDEADLK" and ask.who not in answers:
            self._accept_missed_deadlock(ask)
        elif ours != answers or not self._alike(ask.file):
            self._accept_other_order(ask, record, before, answers, ours)
        if not all(self._alike(file) for file in range(FILES)):
            raise DifferenceError(f"after {ask} (answered {answers}): {self._both()}")

    def let_go(self) -> None:
        """End all waits, and unlock everything."""
        while self.processes.waiting:
            self.do(Ask("leave", min(self.processes.waiting), 0, Kind.READ, 0, 0))
        for who in range(PROCESSES):
            for file in range(FILES):
                self.do(Ask("unlck", who, file, Kind.READ, 0, 0))

    # --- what we do ----------------------------------------------------------------------

    def _file_of(self, who: int) -> int:
        return next(file for file in range(FILES) if any(w.owner == self.owners[who] for w in self._waiters(file)))

    def _waiters(self, file: int) -> tuple[Waiter, ...]:
        return self.tables[file].waiters()

    def _asked(self, ask: Ask) -> dict[int, str]:
        """Ask the table; return who is answered what."""
        table, owner = self.tables[ask.file], self.owners[ask.who]
        want = Want(owner, ask.kind, ask.start, ask.length)
        if ask.what == "leave":
            (waiter,) = (waiter for waiter in table.waiters() if waiter.owner == owner)
            return self._pushed(table.withdraw(waiter.ticket))
        if ask.what == "setlk":
            step = table.setlk(want)
        elif ask.what == "setlkw":
            step = table.setlkw(want, operation=f"{self._operations}", now_ns=0)
        else:
            step = table.unlck(owner, ask.start, ask.length)
        answers = self._pushed(step)
        if not isinstance(step.result, Waiting):
            answers[ask.who] = str(step.result.error) if isinstance(step.result, Denied) else "0"
        return answers

    def _pushed(self, step: Step) -> dict[int, str]:
        return {
            self.owners.index(push.waiter.owner): str(push.result.error) if isinstance(push.result, Denied) else "0"
            for push in step.pushes
        }

    def _getlk(self, ask: Ask) -> None:
        found = self.tables[ask.file].getlk(Want(self.owners[ask.who], ask.kind, ask.start, ask.length))
        (answer,) = self.processes.do(ask).values()
        self.seen["getlk"] += 1
        if isinstance(found, Conflict) == answer.startswith("2 "):  # F_UNLCK
            raise DifferenceError(f"{ask}: we say {found}, the kernel {answer}")

    # --- what is compared ------------------------------------------------------------------

    def _alike(self, file: int) -> bool:
        """Say whether both hold the same, and the same wait; looks again, for /proc/locks comes in pieces."""
        return any(self._ours(file) == self._theirs(file) for _ in range(20))

    def _ours(self, file: int) -> tuple[list[Lock], list[Lock]]:
        each = (self.tables[file].rows(), self._waiters(file))
        held, waits = (
            sorted((lock.start, self.owners.index(lock.owner), lock.end, lock.kind) for lock in locks) for locks in each
        )
        return held, waits

    def _theirs(self, file: int) -> tuple[list[Lock], list[Lock]]:
        lines = [line for line in self.processes.lines() if line.inode == self.processes.inodes[file]]
        held, waits = (
            sorted(
                (line.start, self.processes.pids.index(line.pid), line.end, line.kind)
                for line in lines
                if bool(line.level) == waiting
            )
            for waiting in (False, True)
        )
        return held, waits

    def _both(self) -> str:
        return "; ".join(f"we have {self._ours(file)}, the kernel {self._theirs(file)}" for file in range(FILES))

    # --- where the kernel differs by nature ----------------------------------------------------

    def _accept_missed_deadlock(self, ask: Ask) -> None:
        """Accept that the kernel lets somebody wait: its own chain must not lead back, another must; end the wait."""
        lines, me = self.processes.lines(), self.processes.pids[ask.who]
        if _leads_back(me, lambda pid: _queued_at(lines, pid)):
            raise DifferenceError(f"{ask}: the kernel should have found this deadlock: {lines}")
        if not _leads_back(me, lambda pid: _waits_for(lines, pid)):
            raise DifferenceError(f"{ask}: we call this a deadlock, but nobody waits for that process: {lines}")
        answers = self.processes.do(replace(ask, what="leave"))
        if answers != {ask.who: "EINTR"}:
            raise DifferenceError(f"{ask}: ending the wait that we refused made the kernel answer {answers}")
        self.seen["deadlock that the kernel misses"] += 1

    def _accept_other_order(
        self, ask: Ask, record: RangeRecord, before: list[Line], answers: dict[int, str], ours: dict[int, str]
    ) -> None:
        """Accept what the kernel did if another order of the queue explains it."""
        was = f"{ask} on {record}: we say {ours}, the kernel {answers}; {self._both()}"
        tickets = [waiter.ticket for waiter in record.waiters]
        for order in permutations(record.waiters):
            passing = [(b, a) for a, b in combinations(order, 2) if a.ticket > b.ticket]
            if any(self._is_behind(before, late=a.owner, early=b.owner) for b, a in passing):
                continue
            waiters = tuple(replace(w, ticket=ticket) for ticket, w in zip(tickets, order, strict=True))
            self.tables[ask.file].close()
            self.tables[ask.file] = RangeTable.from_record(replace(record, waiters=waiters), now_ns=0, graph=self.graph)
            if self._asked(ask) == answers and self._alike(ask.file):
                self.seen["another order of those woken together"] += 1
                return
        raise DifferenceError(was)

    def _is_behind(self, lines: list[Line], late: Owner, early: Owner) -> bool:
        """Say whether one was queued behind the other (at any depth)."""
        first, second = (self.processes.pids[self.owners.index(owner)] for owner in (early, late))
        level = None
        for line in lines:
            if level is not None and line.level > level:
                if line.pid == second:
                    return True
            else:
                level = line.level if line.level and line.pid == first else None
        return False


def _leads_back(start: int, following: Callable[[int], set[int]]) -> bool:
    """Say whether one comes from a process back to it."""
    seen: set[int] = set()
    todo = following(start)
    while todo:
        seen |= todo
        todo = {pid for each in todo for pid in following(each)} - seen
    return start in seen


def _queued_at(lines: list[Line], pid: int) -> set[int]:
    """Return who holds the row that a process is queued at: what the kernel follows."""
    holder = 0
    for line in lines:
        if not line.level:
            holder = line.pid
        elif line.pid == pid:
            return {holder}
    return set()


def _waits_for(lines: list[Line], pid: int) -> set[int]:
    """Return who holds a row that a process waits for."""
    return {
        held.pid
        for wait in lines
        for held in lines
        if wait.level and wait.pid == pid and not held.level and held.pid != pid and wait.inode == held.inode
        if held.start <= wait.end and wait.start <= held.end and Kind.WRITE in (held.kind, wait.kind)
    }


def compare(folder: Path, seed: int, operations: int) -> Counter[str]:
    """Do at least so many operations; return what was seen how often.

    Raises:
        DifferenceError: the kernel did something else.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    comparison, done = Comparison(folder), 0
    try:
        while sum(comparison.seen.values()) < operations:
            comparison.do(drawn(random, comparison.processes.waiting))
            done += 1
            if not done % PER_START:
                comparison.let_go()
    finally:
        comparison.close()
    return comparison.seen
