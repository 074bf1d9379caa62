"""Whether sessions and their named locks may behave as clients saw them behave.

Pure, from the histories of clients alone, beside where state may have died.

  S1  No two clients believe to hold a lock at once, with sessions or tokens.
  S2  Generations rise in real-time order, and one has one acquisition.
  S3  Nobody is granted a lock past a place that was surely taken before.
  S4  What was surely held migrates, with its generation; what was let go of
      does not.
  S5  An operation is carried out once: all its grants are one, and none
      follows an unlock of it that was acknowledged.
  S6  A session that has ended gets nothing any more: its end is answered when
      all nodes know of it. One that was merely said to be over gets nothing
      when two of its leases have passed: what one node knows by its own clock,
      or of an end under way, others learn from it or from theirs.
  S7  A session that its client may believe in is not over.

Elsewhere: byte ranges (rangehistory), what is left at the end (sessionrest),
locks without sessions (history).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockcore.core.limits import ANSWERS_KEPT, NS_PER_MS
from lockcore.core.messages import Granted, How, RangeDenied, Refused, Released
from lockcore.testing.record import Did, Violation
from lockcore.testing.sessionrecord import NEVER_NS, Asked, Attempt, Deal, Life, SessionHistory, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.testing.history import History
    from lockcore.testing.record import Call

Party = tuple[Life, str]
CLOCKS = 0.02
"""Clocks differ by 1 % at most, and timers fire late."""
LEASES_UNTIL_OVER = 2


@dataclass(slots=True)
class Held:
    """One client's belief to hold a lock."""

    key: str
    generation: int
    begin_ns: int
    end_ns: int
    by: Deal | Call


def check_sessions(history: SessionHistory, tokens: History) -> list[Violation]:
    """Judge what sessions were told about named locks, and about themselves."""
    index = Index(history)
    return [
        *_overlaps(index, tokens),
        *_generations(history, tokens),
        *_overtaken(index, tokens),
        *_migrations(index),
        *_done_twice(index),
        *after_the_end(history),
        *_lost(history),
    ]


class Index:
    """The deals of a history, found again."""

    def __init__(self, history: SessionHistory) -> None:
        """Go through them once."""
        self.history = history
        self.unlocks: dict[tuple[Life, int], Deal] = {}
        self.moves: dict[Party, list[Deal]] = defaultdict(list)
        self.of_key: dict[str, list[Deal]] = defaultdict(list)
        for deal in history.deals:
            if deal.did in (Asked.UNLOCK, Asked.LEAVE):
                self.unlocks.setdefault((deal.life, deal.wanted), deal)
            elif deal.did in (Asked.MOVE, Asked.MIGRATE) and deal.old is not None:
                self.moves[deal.old, deal.key].append(deal)
            if deal.did in (Asked.LOCK, Asked.MOVE):
                self.of_key[deal.key].append(deal)

    def unlocked_ns(self, deal: Deal) -> int:
        """When its client first asked to be rid of it."""
        unlock = self.unlocks.get((deal.life, deal.op_id))
        return NEVER_NS if unlock is None else unlock.invoked_ns

    def moved_ns(self, life: Life, key: str, but: Deal | None = None) -> int:
        """When somebody first asked to take over what the session holds on a key."""
        return min((m.invoked_ns for m in self.moves[life, key] if m is not but), default=NEVER_NS)

    def leaves_ns(self, deal: Deal) -> int:
        """Until when its place in a queue, or its lock, was surely wanted."""
        return min(deal.life.over_ns, self.unlocked_ns(deal), self.moved_ns(deal.life, deal.key))

    def holds(self) -> list[Held]:
        """Return what clients believed to hold."""
        found = []
        for deal in self.history.deals:
            if deal.did in (Asked.LOCK, Asked.MOVE) and isinstance(deal.result, Granted):
                end_ns = min(self.leaves_ns(deal), self.history.loss_ns(deal.key, deal.invoked_ns))
                if deal.done_ns < end_ns:
                    found.append(Held(deal.key, deal.number, deal.done_ns, end_ns, deal))
        return found


def _overlaps(index: Index, tokens: History) -> list[Violation]:
    """S1."""
    found = []
    groups: dict[str, list[Held]] = defaultdict(list)
    for hold in index.holds():
        groups[hold.key].append(hold)
    for held in tokens.holds():
        groups[held.key].append(Held(held.key, held.generation, held.begin_ns, held.end_ns, held.acquired))
    for key, group in groups.items():
        group.sort(key=lambda h: h.begin_ns)
        latest: Held | None = None
        for hold in group:
            if latest is not None and hold.begin_ns < latest.end_ns and hold.end_ns > hold.begin_ns:
                text = (
                    f"{key}: generation {hold.generation} was held from {hold.begin_ns}, while generation "
                    f"{latest.generation} was held until {latest.end_ns}"
                )
                found.append(contradiction("S1", text, latest.by, hold.by))
            if latest is None or hold.end_ns > latest.end_ns:
                latest = hold
    return found


def contradiction(rule: str, text: str, *by: Deal | Call) -> Violation:
    """Return a violation with the records that contradict each other."""
    return Violation(rule, text, by)  # type: ignore[arg-type]


@dataclass(slots=True)
class _Grant:
    sent_ns: int
    returned_ns: int
    number: int
    by: Deal | Call


def _grants(history: SessionHistory, tokens: History) -> dict[str, list[_Grant]]:
    """Return all answers that say that somebody holds a lock, by key."""
    found: dict[str, list[_Grant]] = defaultdict(list)
    for deal in history.deals:
        for a in deal.attempts:
            if isinstance(a.result, Granted):
                found[deal.key].append(_Grant(a.sent_ns, a.returned_ns, a.result.generation, deal))
    for call in tokens.calls:
        if call.ok and call.did in (Did.ACQUIRE, Did.RENEW):
            found[call.key].append(_Grant(call.invoked_ns, call.returned_ns, call.generation, call))
    return found


def _generations(history: SessionHistory, tokens: History) -> list[Violation]:
    """S2."""
    found = []
    for key, grants in _grants(history, tokens).items():
        by_end = sorted(grants, key=lambda g: g.returned_ns)
        top: _Grant | None = None
        at = 0
        for grant in sorted(grants, key=lambda g: g.sent_ns):
            while by_end[at].returned_ns < grant.sent_ns:
                if top is None or by_end[at].number > top.number:
                    top = by_end[at]
                at += 1
            if top is not None and grant.number < top.number and not history.lost(key, grant.returned_ns):
                text = f"{key}: generation {grant.number} was told after {top.number}"
                found.append(contradiction("S2", text, top.by, grant.by))
        found += _used_twice(key, grants)
    return found


def _used_twice(key: str, grants: Iterable[_Grant]) -> list[Violation]:
    """S2: two acquisitions never have one generation."""
    found = []
    first: dict[int, Deal | Call] = {}
    for grant in grants:
        by = grant.by
        fresh = (by.did in (Asked.LOCK, Asked.MOVE) and by.how is How.ACQUIRED) if isinstance(by, Deal) else (
            by.did is Did.ACQUIRE
        )  # fmt: skip
        if fresh and first.setdefault(grant.number, by) is not by:
            found.append(
                contradiction("S2", f"{key}: generation {grant.number} was granted twice", first[grant.number], by)
            )
    return found


def _overtaken(index: Index, tokens: History) -> list[Violation]:
    """S3."""
    found = []
    history = index.history
    for key, deals in index.of_key.items():
        later = [_Grant(d.invoked_ns, d.done_ns, d.number, d) for d in deals if d.how is How.ACQUIRED and not d.moved]
        later += [
            _Grant(c.invoked_ns, c.returned_ns, c.generation, c)
            for c in tokens.calls
            if c.key == key and c.ok and c.did is Did.ACQUIRE
        ]
        for first in deals:
            since_ns = first.waiting_ns
            if first.did is not Asked.LOCK or since_ns == NEVER_NS:
                continue
            until_ns = min(index.leaves_ns(first), deadline_ns(first))
            mine = min((number_of(a.result) for a in first.attempts if number_of(a.result)), default=NEVER_NS)
            for grant in later:
                passed = since_ns < grant.sent_ns and grant.returned_ns < until_ns and grant.number < mine
                if passed and grant.by is not first and not history.lost(key, grant.returned_ns):
                    text = f"{key}: generation {grant.number} was granted past a place that was taken at {since_ns}"
                    found.append(contradiction("S3", text, first, grant.by))
    return found


def deadline_ns(deal: Deal) -> int:
    """Return until when a wait surely lasts; a place that moved keeps the deadline of who asked for it first."""
    wait_ms = deal.wait_ms
    until_ns = NEVER_NS if wait_ms is None else deal.invoked_ns + int(wait_ms * NS_PER_MS * (1 - CLOCKS))
    if deal.place is None:
        return until_ns
    until_ns = min(until_ns, deadline_ns(deal.place))
    return min(until_ns, deal.done_ns) if isinstance(deal.result, Refused) else until_ns


def _migrations(index: Index) -> list[Violation]:
    """S4."""
    found = []
    for (old, key), moves in index.moves.items():
        for move in moves:
            if move.did is not Asked.MOVE or move.result is None or index.history.lost(key, move.done_ns):
                continue
            for held in index.of_key[key]:
                if held.life is not old or not isinstance(held.result, Granted):
                    continue
                if _surely_held(index, held, move) and (move.how, move.number) != (How.MIGRATED, held.number):
                    text = f"{key}: generation {held.number} was held, and did not migrate"
                    found.append(contradiction("S4", text, held, move))
                unlock = index.unlocks.get((old, held.op_id))
                gone = unlock is not None and isinstance(unlock.result, Released) and unlock.done_ns < move.invoked_ns
                if gone and (move.how, move.number) == (How.MIGRATED, held.number):
                    text = f"{key}: generation {held.number} was let go of, and migrated"
                    found.append(contradiction("S4", text, held, move))
    return found


def _surely_held(index: Index, held: Deal, move: Deal) -> bool:
    until_ns = min(held.life.over_ns, index.unlocked_ns(held), index.moved_ns(held.life, held.key, move))
    return held.done_ns < move.invoked_ns and move.done_ns < until_ns


def _done_twice(index: Index) -> list[Violation]:
    """S5."""
    found = []
    for deal in index.history.deals:
        if deal.did not in (Asked.LOCK, Asked.MOVE):
            continue
        grants = _remembered(index, deal)
        if index.history.lost(deal.key, max((a.returned_ns for a in grants), default=0)):
            continue
        if len({(number_of(a.result), getattr(a.result, "how", None)) for a in grants}) > 1:
            found.append(contradiction("S5", f"{deal.key}: operation {deal.op_id} was carried out twice", deal))
        unlock = index.unlocks.get((deal.life, deal.op_id))
        if unlock is None or not isinstance(unlock.result, Released):
            continue
        late = [a for a in grants if a.sent_ns > unlock.done_ns]
        if late:
            text = f"{deal.key}: operation {deal.op_id} was granted after it was given up"
            found.append(contradiction("S5", text, unlock, deal))
    return found


def _remembered(index: Index, deal: Deal) -> list[Attempt]:
    """Return an operation's grants but those that came when its answer may have been forgotten: that is bounded."""
    grants = [a for a in deal.attempts if isinstance(a.result, Granted)]
    if len(grants) < 2:  # noqa: PLR2004 - told once, nothing to compare with
        return grants
    first = min(number_of(a.result) for a in grants)
    others = sorted({other.number for other in index.of_key[deal.key] if other.number > first})
    limit = others[ANSWERS_KEPT - 1] if len(others) >= ANSWERS_KEPT else NEVER_NS
    return [a for a in grants if number_of(a.result) <= limit]


def after_the_end(history: SessionHistory) -> list[Violation]:
    """S6, for ranges too."""
    found = []
    for deal in history.deals:
        life = deal.life
        over_ns = min(life.end_told_ns, life.lost_ns + LEASES_UNTIL_OVER * life.ttl_ms * NS_PER_MS)
        for a in deal.attempts:
            if a.result is None or isinstance(a.result, Refused | RangeDenied) or a.sent_ns <= over_ns:
                continue
            if not history.any_lost(a.returned_ns):
                text = f"{deal.key}: session {life.ref.id} was over at {over_ns}, and was answered with success later"
                found.append(contradiction("S6", text, deal))
    return found


def _lost(history: SessionHistory) -> list[Violation]:
    """S7."""
    found = []
    for life in history.lives:
        until_ns = min(life.until_ns, life.end_asked_ns, history.emptied_ns)
        if life.lost_ns < until_ns and not history.any_lost(life.lost_ns):
            text = (
                f"session {life.ref.id}/{life.ref.incarnation} of {life.client} was said to be over at {life.lost_ns} "
                f"({life.lost_by}), and was extended until {life.until_ns}"
            )
            found.append(Violation("S7", text))
    return found
