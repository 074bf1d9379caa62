"""Whether byte ranges may behave as clients saw them behave. Pure, from their histories alone.

  R1  No two owners believe to hold a byte at once, one of them for writing.
  R2  Fences rise in real-time order among grants that conflict.
  R3  Nobody is granted bytes past a fair wait for them that surely began before.
  R4  An operation is carried out once.
  R5  What was surely held migrates.

Bytes are those of the simulated clients: few, the last one for all the rest.

Elsewhere: who writes histories (sessionclients), sessions (sessionhistory).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockcore.core.messages import How, RangeLocked, Released
from lockcore.core.rangerecords import OFFSET_MAX, Kind
from lockcore.testing.sessionhistory import Index, contradiction, deadline_ns
from lockcore.testing.sessionrecord import NEVER_NS, Asked, Deal, Life, number_of

if TYPE_CHECKING:
    from lockcore.core.operations import HeldRange
    from lockcore.testing.record import Violation
    from lockcore.testing.sessionrecord import SessionHistory

Owner = tuple[Life, str]
LAST = 12


@dataclass(slots=True)
class Believed:
    """One owner's belief to hold one byte. `by`: how it was granted, `ended`: what made it doubtful."""

    owner: Owner
    key: str
    byte: int
    kind: Kind
    begin_ns: int
    end_ns: int
    by: Deal
    ended: Deal | None = None


@dataclass(slots=True)
class _Turn:
    """Something that changes what an owner believes: `kind` None takes away, `weaken` leaves at most reading."""

    at_ns: int
    owner: Owner
    first: int
    last: int
    kind: Kind | None
    by: Deal
    weaken: bool = False


def check_ranges(history: SessionHistory) -> list[Violation]:
    """Judge what sessions were told about byte ranges."""
    index = Index(history)
    believed = beliefs(history)
    return [
        *_conflicts(believed),
        *_fences(history),
        *_overtaken(index),
        *_done_twice(history),
        *_migrations(history, believed),
    ]


def beliefs(history: SessionHistory) -> list[Believed]:
    """Return what owners believed to hold, byte by byte."""
    found: list[Believed] = []
    turns: dict[tuple[Owner, str], list[_Turn]] = defaultdict(list)
    owners: dict[tuple[Life, str], set[str]] = defaultdict(set)
    for turn, key in _turns(history):
        turns[turn.owner, key].append(turn)
        owners[turn.owner[0], key].add(turn.owner[1])
    for deal in history.deals:  # what is taken over from a session, its client believes in no more
        if deal.did is Asked.MIGRATE and deal.old is not None:
            for name in owners[deal.old, deal.key]:
                if deal.lock_owner in (None, name):
                    owner = (deal.old, name)
                    turns[owner, deal.key].append(_Turn(deal.invoked_ns, owner, deal.first, deal.last, None, deal))
    doubtful = _doubtful(history)
    for (owner, key), mine in turns.items():
        found += _played(history, owner, key, sorted(mine, key=lambda t: t.at_ns), doubtful[owner, key])
    return found


def _doubtful(history: SessionHistory) -> dict[tuple[Owner, str], set[int]]:
    """Return which bytes may become readable only at any time: a wait for reading moved with a migration."""
    found: dict[tuple[Owner, str], set[int]] = defaultdict(set)
    left = [
        d for d in history.deals if d.did is Asked.SET and d.kind is Kind.READ and d.wait_ms != 0 and d.result is None
    ]
    for move in history.deals:
        if move.did is not Asked.MIGRATE or move.old is None:
            continue
        for wait in left:
            if wait.life is move.old and wait.key == move.key:
                found[(move.life, wait.lock_owner or ""), move.key] |= set(range(wait.first, wait.last + 1))
        for (life, name), key in list(found):
            if life is move.old and key == move.key:
                found[(move.life, name), key] |= found[(life, name), key]
    return found


def _turns(history: SessionHistory) -> list[tuple[_Turn, str]]:
    found = []
    for deal in history.deals:
        owner = (deal.life, deal.lock_owner or "")
        if deal.did is Asked.CLEAR:
            found.append((_Turn(deal.invoked_ns, owner, deal.first, deal.last, None, deal), deal.key))
        elif deal.did is Asked.SET:
            if deal.kind is Kind.READ:
                turn = _Turn(deal.invoked_ns, owner, deal.first, deal.last, deal.kind, deal, weaken=True)
                found.append((turn, deal.key))
            if isinstance(deal.result, RangeLocked):
                found.append((_Turn(deal.done_ns, owner, deal.first, deal.last, deal.kind, deal), deal.key))
        elif deal.did is Asked.MIGRATE and isinstance(deal.result, RangeLocked):
            for piece in deal.result.pieces:
                mine = (deal.life, piece.lock_owner)
                first, last = bytes_of(piece)
                found.append((_Turn(deal.done_ns, mine, first, last, piece.kind, deal), deal.key))
    return found


def bytes_of(piece: HeldRange) -> tuple[int, int]:
    """Return which of the few bytes a piece covers."""
    end = OFFSET_MAX if piece.length == 0 else piece.start + piece.length - 1
    return min(piece.start, LAST), min(end, LAST)


def _played(history: SessionHistory, owner: Owner, key: str, turns: list[_Turn], doubtful: set[int]) -> list[Believed]:
    found: list[Believed] = []
    now: dict[int, Believed] = {}
    over_ns = owner[0].over_ns
    for turn in turns:
        if turn.at_ns >= over_ns:
            break
        for byte in range(turn.first, turn.last + 1):
            had = now.get(byte)
            if turn.weaken and (had is None or had.kind is Kind.READ):
                continue
            if had is not None:
                had.end_ns, had.ended = turn.at_ns, turn.by
                del now[byte]
            if turn.kind is not None:
                by = had.by if turn.weaken and had is not None else turn.by
                kind = Kind.READ if byte in doubtful else turn.kind
                now[byte] = Believed(owner, key, byte, kind, turn.at_ns, over_ns, by)
                found.append(now[byte])
    for one in found:
        loss_ns = history.loss_ns(key, one.by.invoked_ns)
        if loss_ns < one.end_ns:
            one.end_ns, one.ended = loss_ns, None
    return [b for b in found if b.begin_ns < b.end_ns]


def _conflicts(believed: list[Believed]) -> list[Violation]:
    """R1."""
    found = []
    groups: dict[tuple[str, int], list[Believed]] = defaultdict(list)
    for one in believed:
        groups[one.key, one.byte].append(one)
    told: set[tuple[Deal, Deal]] = set()
    for (key, byte), group in groups.items():
        open_ones: list[Believed] = []
        for one in sorted(group, key=lambda b: b.begin_ns):
            open_ones = [o for o in open_ones if o.end_ns > one.begin_ns]
            for other in open_ones:
                conflict = other.owner != one.owner and Kind.WRITE in (other.kind, one.kind)
                if conflict and (other.by, one.by) not in told:
                    told.add((other.by, one.by))
                    text = (
                        f"{key}: byte {byte} was held for {other.kind} until {other.end_ns}, and by another for "
                        f"{one.kind} from {one.begin_ns}"
                    )
                    found.append(contradiction("R1", text, other.by, one.by))
            open_ones.append(one)
    return found


def _grants(history: SessionHistory) -> dict[str, list[Deal]]:
    grants: dict[str, list[Deal]] = defaultdict(list)
    for deal in history.deals:
        if deal.did in (Asked.SET, Asked.MIGRATE) and isinstance(deal.result, RangeLocked):
            grants[deal.key].append(deal)
    return grants


def _granted(deal: Deal) -> list[tuple[Owner, Kind, int, int, int]]:
    """Return what a grant gave: owner, kind, first and last byte, fence."""
    if deal.did is Asked.SET and deal.kind is not None:
        return [((deal.life, deal.lock_owner or ""), deal.kind, deal.first, deal.last, deal.number)]
    pieces = deal.result.pieces if isinstance(deal.result, RangeLocked) else ()
    return [((deal.life, p.lock_owner), p.kind, *bytes_of(p), p.fence) for p in pieces]


def _fences(history: SessionHistory) -> list[Violation]:
    """R2."""
    found = []
    for key, grants in _grants(history).items():
        newest: dict[tuple[int, Kind], tuple[int, Deal]] = {}
        by_end = sorted(grants, key=lambda d: d.done_ns)
        at = 0
        for deal in sorted(grants, key=lambda d: d.invoked_ns):
            while by_end[at].done_ns < deal.invoked_ns:
                for _, kind, first, last, fence in _granted(by_end[at]):
                    for byte in range(first, last + 1):
                        if fence > newest.get((byte, kind), (0, deal))[0]:
                            newest[byte, kind] = (fence, by_end[at])
                at += 1
            worse = _overtaking(deal, newest)
            if worse is not None and not history.lost(key, deal.done_ns):
                text = f"{key}: fence {deal.number} was granted after {worse.number}, in conflict with it"
                found.append(contradiction("R2", text, worse, deal))
    return found


def _overtaking(deal: Deal, newest: dict[tuple[int, Kind], tuple[int, Deal]]) -> Deal | None:
    for owner, kind, first, last, fence in _granted(deal):
        for other in Kind:
            for byte in range(first, last + 1):
                top = newest.get((byte, other))
                if top is None or Kind.WRITE not in (kind, other) or top[0] <= fence:
                    continue
                others = [g[0] for g in _granted(top[1])]
                related = deal.old is not None and any(o[0] is deal.old for o in others)
                if owner not in others and not related:
                    return top[1]
    return None


def _overtaken(index: Index) -> list[Violation]:
    """R3: only among grants of all they asked for, to owners that surely held nothing there."""
    found = []
    waits = [
        d
        for d in index.history.deals
        if d.did is Asked.SET and d.waiting_ns != NEVER_NS and isinstance(d.result, RangeLocked)
    ]
    for deal in _from_nothing(index.history):
        for first in waits:
            if first is deal or first.key != deal.key or not (first.fair or deal.fair) or not _collide(first, deal):
                continue
            until_ns = min(index.leaves_ns(first), deadline_ns(first), index.history.refused_ns(first))
            passed = first.waiting_ns < deal.invoked_ns and deal.done_ns < until_ns and deal.number < first.number
            if passed and not index.history.lost(deal.key, deal.done_ns):
                text = f"{deal.key}: fence {deal.number} was granted past a wait that had begun at {first.waiting_ns}"
                found.append(contradiction("R3", text, first, deal))
    return found


def _collide(one: Deal, other: Deal) -> bool:
    apart = (one.life, one.lock_owner) != (other.life, other.lock_owner)
    return apart and Kind.WRITE in (one.kind, other.kind) and one.first <= other.last and other.first <= one.last


def _from_nothing(history: SessionHistory) -> list[Deal]:
    """Return grants to owners whose last settled deal with the key let go of everything.

    None of an owner that may hold more by then.
    """
    found = []
    empty: set[tuple[Life, str | None, str]] = set()
    for deal in history.deals:
        who = (deal.life, deal.lock_owner, deal.key)
        if deal.did is Asked.CLEAR and (deal.first, deal.last) == (0, LAST) and isinstance(deal.result, Released):
            empty.add(who)
        elif deal.did is Asked.SET:
            alone = isinstance(deal.result, RangeLocked) and [bytes_of(p) for p in deal.result.pieces] == [
                (deal.first, deal.last)
            ]
            if who in empty and alone and not _beside_another(deal, history):
                found.append(deal)
            empty.discard(who)
        elif deal.did is Asked.MIGRATE:
            empty = {e for e in empty if e[2] != deal.key}
    return found


def _done_twice(history: SessionHistory) -> list[Violation]:
    """R4."""
    found = []
    for deal in history.deals:
        grants = [a for a in deal.attempts if isinstance(a.result, RangeLocked)]
        told = {_told(a.result) for a in grants if isinstance(a.result, RangeLocked)}
        if len(told) > 1 and not history.lost(deal.key, max(a.returned_ns for a in grants)):
            found.append(contradiction("R4", f"{deal.key}: operation {deal.op_id} was carried out twice", deal))
    return found


def _beside_another(deal: Deal, history: SessionHistory) -> bool:
    """Say whether its owner may be granted something else about then: it waits twice, or has taken places over."""
    for other in history.deals:
        if other is deal or other.life is not deal.life or other.key != deal.key or other.invoked_ns >= deal.done_ns:
            continue
        if other.did is Asked.MIGRATE:
            return True
        if other.did is Asked.SET and other.lock_owner == deal.lock_owner and deal.invoked_ns < other.done_ns:
            return True
    return False


def _told(result: RangeLocked) -> tuple[int, How]:
    """Return what two answers to one operation have in common: pieces that migrated are told as they are held then."""
    return 0 if result.how is How.MIGRATED else number_of(result), result.how


def _migrations(history: SessionHistory, believed: list[Believed]) -> list[Violation]:
    """R5."""
    found = []
    for one in believed:
        move = one.ended
        if move is None or move.did is not Asked.MIGRATE or move.result is None or move.life is one.owner[0]:
            continue
        simple = move.kind is None and move.done_ns < min(one.owner[0].over_ns, move.life.over_ns)
        if simple and move.how is not How.MIGRATED and not history.lost(one.key, move.done_ns):
            text = f"{one.key}: byte {one.byte} was held for {one.kind}, and did not migrate"
            found.append(contradiction("R5", text, one.by, move))
    return found
