"""The running check of the invariants, fed with what the recorder has committed.

    writer commits -> committed(facts) -> run: judge -> Violation rows
                                          note: the Checking row, once a second

Synchronous; runs in the journal's thread, after the acknowledgement, so that nobody waits for it.

What it knows is in memory. A new process makes it again from the newest REPLAY_ROWS events; what it was not fed with
meanwhile is among them, or is counted as unchecked. A contradiction that is found again is the same row.

Invariants
  K1  Whatever happens in here, recording goes on: an error of the check ends the check, and `trouble` says so.
  K2  A fact is judged once: only facts that were beyond their cursor, only after their commit.
  K3  At most VIOLATIONS_MAX rows; the rest is counted.
Elsewhere: the rules (lockcore.testing.online), what the page makes of it (dlmsite.dashboard.invariants).
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Final

from django.db import DatabaseError
from django.db.models import F

from dlmsite.journal.models import Checking, LockEvent, Violation
from dlmsite.journal.projection import Fact
from lockcore.testing.online import Contradiction, OnlineChecker

log = logging.getLogger(__name__)

REPLAY_ROWS: Final = 20_000
"""Read in some 100 ms when the recorder starts: minutes of an ordinary cluster."""
PRELUDE_ROWS: Final = 1_000
"""Gaps and deaths from before those: what is missing, and who died, excuses what would be a contradiction."""
KEYS_MAX: Final = 20_000
"""Locks that are remembered: 20 MB where each was taken twice, some 40 MB at worst."""
VIOLATIONS_MAX: Final = 1_000
WAITING_MAX: Final = 100
"""Contradictions that wait for a database that fails."""
MARK_BYTES: Final = 16

_FIELDS: Final = ("source", "incarnation", "number", "kind", "key", "generation", "seq", "view")
_EVIDENCE: Final = (
    *_FIELDS, "position", "owner", "version", "peer", "detail", "ttl_ms", "renewals", "session", "place",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Noted:
    """A fact as the check keeps it."""

    source: str
    incarnation: int
    number: int
    kind: str
    key: str
    generation: int
    seq: int
    view: int


@dataclass(slots=True)
class _Counts:
    """What is to be added to the row."""

    checked: int = 0
    unchecked: int = 0
    unlisted: int = 0


class Check:
    """Judges what was recorded.

    Args:
        clock_ns: the wall clock.
        make: what makes the checker.
    """

    def __init__(self, clock_ns: Callable[[], int], make: Callable[[], OnlineChecker] | None = None) -> None:
        self._clock_ns = clock_ns
        self._make = make or (lambda: OnlineChecker(keys_max=KEYS_MAX))
        self._checker: OnlineChecker | None = None
        self._committed: list[Fact] = []
        self._waiting: list[Contradiction] = []
        self._counts = _Counts()
        self._since_ns = 0
        self._remembers_since_ns = 0
        self.trouble = ""

    def committed(self, facts: Iterable[Fact]) -> None:
        """Take facts that are rows now. Before the beginning there is no need: it reads the rows."""
        if self._checker is not None and not self.trouble:
            self._committed.extend(facts)

    def run(self) -> None:
        """Judge what was committed; never raises (K1)."""
        try:
            if not self.trouble:
                self._judge_or_stop()
            self._write_waiting()
        except (DatabaseError, OSError) as error:
            log.debug("the check waits for the database: %s", error)

    def note(self) -> None:
        """Write down how it is doing.

        Raises:
            DatabaseError: it could not be; what was counted is added the next time.
        """
        self.run()
        if self._checker is None and not self.trouble:
            return  # the rows could not be read yet
        through = {} if self.trouble else {"through_id": _last_id()}
        counts = asdict(self._counts)
        values: dict[str, Any] = {
            "at_ns": self._clock_ns(),
            "remembers_since_ns": self._remembers_since_ns,
            "forgotten": self._checker.forgotten if self._checker else 0,
            "trouble": self.trouble,
            **through,
        }
        added = {name: F(name) + count for name, count in counts.items() if count}
        if not Checking.objects.filter(pk=1).update(**values, **added):
            Checking.objects.create(pk=1, since_ns=self._since_ns or self._clock_ns(), **values, **counts)
        self._counts = _Counts()

    # --- judging --------------------------------------------------------------------------------------------------

    def _judge_or_stop(self) -> None:
        try:
            if self._checker is None:
                self._begin()
            facts, self._committed = self._committed, []
            for fact in facts:
                self._take(self._found(_noted(fact)))
                self._counts.checked += 1
        except (DatabaseError, OSError):
            raise
        except Exception as error:
            log.exception("The running check of the invariants has stopped; recording goes on")
            self._counts.checked = 0  # the next process begins behind the last note, and counts them then
            self.trouble = f"stopped by an error ({type(error).__name__}); the site's log says more"

    def _found(self, fact: Noted) -> list[Contradiction]:
        return self._checker.take(fact) if self._checker else []

    def _take(self, found: Iterable[Contradiction]) -> None:
        for contradiction in found:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append(contradiction)
            else:
                self._counts.unlisted += 1

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(self._waiting[0])
            del self._waiting[0]

    def _write(self, found: Contradiction) -> None:
        mark = _mark_of(found)
        if Violation.objects.filter(mark=mark).exists():
            return
        log.error("A violation of %s was recorded: %s", found.rule, found.text)
        if Violation.objects.count() >= VIOLATIONS_MAX:
            self._counts.unlisted += 1
            return
        first, second = _row_of(found.first), _row_of(found.second)
        row = Violation(
            mark=mark,
            rule=found.rule,
            text=found.text,
            first_id=first["id"],
            second_id=second["id"],
            evidence=[first, second],
            found_at_ns=self._clock_ns(),
        )
        Violation.objects.bulk_create([row], ignore_conflicts=True)  # another recorder may have been faster

    # --- beginning ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Make the memory again from the newest rows; judge those that were not judged."""
        known = Checking.objects.filter(pk=1).values_list("through_id", "since_ns").first()
        through, since_ns = known or (0, 0)
        first, oldest_ns = _oldest_replayed() or (0, self._clock_ns())
        checker = self._make()
        found: list[Contradiction] = []
        fresh = 0
        for fact in _prelude(first):
            checker.take(fact)
        for pk, fact in _newest(first):
            found += checker.take(fact)
            fresh += pk > through
        missed = LockEvent.objects.filter(id__gt=through, id__lt=first).count() if known else 0
        self._counts = _Counts(checked=fresh, unchecked=missed)
        self._since_ns = since_ns or oldest_ns
        self._remembers_since_ns = oldest_ns
        self._checker = checker
        self._take(found)


def _oldest_replayed() -> tuple[int, int] | None:
    """Return id and wall clock of the oldest event that the memory is made from."""
    rows = LockEvent.objects.values_list("id", "wall_ns")
    return rows.order_by("-id")[REPLAY_ROWS - 1 : REPLAY_ROWS].first() or rows.order_by("id").first()


def _prelude(before: int) -> Iterator[Noted]:
    rows = LockEvent.objects.filter(id__lt=before, kind__in=["gap", "died"]).order_by("-id")
    return (Noted(*row) for row in reversed(rows.values_list(*_FIELDS)[:PRELUDE_ROWS]))


def _newest(first: int) -> Iterator[tuple[int, Noted]]:
    """Yield rows from an id on, without what filled a hole after its time: that was not judged either (K2)."""
    highest: dict[tuple[str, int], int] = {}
    rows = LockEvent.objects.filter(id__gte=first).order_by("id").values_list("id", *_FIELDS)
    for pk, *fields in rows.iterator(2_000):
        fact = Noted(*fields)
        life = fact.source, fact.incarnation
        number = abs(fact.number)
        if number > highest.get(life, 0):
            highest[life] = number
            yield pk, fact


def _noted(fact: Fact) -> Noted:
    number, event = fact.told.number, fact.told.event
    return Noted(
        fact.source, fact.incarnation, number, event.kind.value, event.key, event.generation, event.seq, event.view
    )


def _row_of(fact: Any) -> dict[str, Any]:
    """Return the event as it was recorded, or what is remembered of it where retention has removed it."""
    identity = {"source": fact.source, "incarnation": fact.incarnation, "number": fact.number}
    row = LockEvent.objects.filter(**identity).values("id", "wall_ns", *_EVIDENCE).first()
    return dict(row) if row else {"id": None, "wall_ns": 0, **{name: getattr(fact, name) for name in _FIELDS}}


def _mark_of(found: Contradiction) -> str:
    events = sorted(f"{f.source} {f.incarnation} {f.number}" for f in (found.first, found.second))
    return blake2b("\n".join([found.rule, *events]).encode(errors="surrogatepass"), digest_size=MARK_BYTES).hexdigest()


def _last_id() -> int:
    return LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
