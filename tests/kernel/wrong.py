"""Mistakes that a range table could have, made from outside: the kernel has to find each of them.

Elsewhere: those that the kernel cannot know, such as fair waiting (tests/lockcore/core/mutations_ranges).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from lockcore.core import rangechange, rangerows, ranges
from lockcore.core.rangechange import Change, RangeState
from lockcore.core.rangerecords import OFFSET_MAX, Denied, Errno, Kind, Owner, Span
from lockcore.core.rangerows import HeldRows, Plan
from lockcore.core.ranges import RangeTable
from lockcore.core.rangespan import span_of
from lockcore.core.waitgraph import WaitGraph
from tests.lockcore.core.mutations_ranges import (
    leave_neighbours_apart,
    upgrade_in_two_steps,
    wake_nobody,
    wake_the_last_first,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import pytest

    from lockcore.core.rangerecords import Row

    Mistake = Callable[[pytest.MonkeyPatch], None]

STRANGER = Owner("nobody", 0, "")


def _spans(patch: pytest.MonkeyPatch, wrong: Callable[[int, int], Span | Denied]) -> None:
    patch.setattr(ranges, "span_of", wrong)


def end_one_byte_early(patch: pytest.MonkeyPatch) -> None:
    def wrong(start: int, length: int) -> Span | Denied:
        span = span_of(start, length)
        return span._replace(end=span.end - 1) if isinstance(span, Span) and length > 1 else span

    _spans(patch, wrong)


def include_the_start_in_negative_lengths(patch: pytest.MonkeyPatch) -> None:
    def wrong(start: int, length: int) -> Span | Denied:
        span = span_of(start, length)
        return span._replace(end=start) if isinstance(span, Span) and length < 0 else span

    _spans(patch, wrong)


def end_at_the_largest_length(patch: pytest.MonkeyPatch) -> None:
    """Take the end of the file for a byte before it."""

    def wrong(start: int, length: int) -> Span | Denied:
        span = span_of(start, length)
        return Span(span.start, OFFSET_MAX - 1) if isinstance(span, Span) and length == 0 else span

    _spans(patch, wrong)


def end_at_32_bits(patch: pytest.MonkeyPatch) -> None:
    def wrong(start: int, length: int) -> Span | Denied:
        span = span_of(start, length)
        return Span(span.start, max(span.start, 2**32 - 1)) if isinstance(span, Span) and length == 0 else span

    _spans(patch, wrong)


def call_an_overflow_invalid(patch: pytest.MonkeyPatch) -> None:
    def wrong(start: int, length: int) -> Span | Denied:
        span = span_of(start, length)
        return Denied(Errno.EINVAL, "") if isinstance(span, Denied) and span.error is Errno.EOVERFLOW else span

    _spans(patch, wrong)


def split_one_byte_late(patch: pytest.MonkeyPatch) -> None:
    outside = rangerows._outside

    def wrong(row: Row, start: int, end: int) -> Iterator[Row]:
        for piece in outside(row, start, end):
            yield replace(piece, start=piece.start + 1) if end < piece.start < piece.end else piece

    patch.setattr(rangerows, "_outside", wrong)


def unlock_the_tail_too(patch: pytest.MonkeyPatch) -> None:
    outside = rangerows._outside

    def wrong(row: Row, start: int, end: int) -> Iterator[Row]:
        return (piece for piece in outside(row, start, end) if piece.start < start)

    patch.setattr(rangerows, "_outside", wrong)


def read_what_others_write(patch: pytest.MonkeyPatch) -> None:
    conflict = HeldRows.conflict

    def wrong(self: HeldRows, owner: Owner, kind: Kind, *at: int) -> Row | None:
        return None if kind is Kind.READ else conflict(self, owner, kind, *at)

    patch.setattr(HeldRows, "conflict", wrong)


def read_alone(patch: pytest.MonkeyPatch) -> None:
    conflict = HeldRows.conflict

    def wrong(self: HeldRows, owner: Owner, _: Kind, *at: int) -> Row | None:
        return conflict(self, owner, Kind.WRITE, *at)

    patch.setattr(HeldRows, "conflict", wrong)


def conflict_with_oneself(patch: pytest.MonkeyPatch) -> None:
    conflict = HeldRows.conflict

    def wrong(self: HeldRows, _: Owner, kind: Kind, *at: int) -> Row | None:
        return conflict(self, STRANGER, kind, *at)

    patch.setattr(HeldRows, "conflict", wrong)


def never_weaken(patch: pytest.MonkeyPatch) -> None:
    plan = HeldRows.plan

    def wrong(self: HeldRows, owner: Owner, kind: Kind | None, *rest: int) -> Plan:
        made = plan(self, owner, kind, *rest)
        weaker = kind is Kind.READ and any(row.kind is Kind.WRITE for row in made.removed)
        return replace(made, removed=(), added=(), freed=None) if weaker else made

    patch.setattr(HeldRows, "plan", wrong)


def let_nobody_pass(patch: pytest.MonkeyPatch) -> None:
    ahead = RangeState.ahead
    patch.setattr(RangeState, "ahead", lambda self, waiter: ahead(self, replace(waiter, fair=True)))


def see_no_deadlock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WaitGraph, "would_never_end", lambda *_: False)


def suspect_every_wait_of_a_holder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WaitGraph, "would_never_end", lambda self, _table, waiter: waiter.owner in self._holds)


def wake_one_only(patch: pytest.MonkeyPatch) -> None:
    candidates = Change.candidates

    def wrong(self: Change, waiters: Any) -> None:
        candidates(self, islice(sorted(waiters, key=lambda waiter: waiter.ticket), 1))

    patch.setattr(Change, "candidates", wrong)


def grant_whom_one_wakes(patch: pytest.MonkeyPatch) -> None:
    """Ask nobody else whether it is in the way."""
    wake = Change.wake

    def wrong(self: Change) -> None:
        with patch.context() as inner:
            inner.setattr(RangeState, "blocked", lambda *_: False)
            inner.setattr(rangechange, "_collide", lambda *_: False)
            wake(self)

    patch.setattr(Change, "wake", wrong)


def keep_who_leaves(patch: pytest.MonkeyPatch) -> None:
    refuse = RangeTable.refuse
    patch.setattr(RangeTable, "refuse", lambda self, _ticket, error, text: refuse(self, 0, error, text))


AT_ONCE: tuple[Mistake, ...] = (
    leave_neighbours_apart,
    end_one_byte_early,
    include_the_start_in_negative_lengths,
    end_at_the_largest_length,
    end_at_32_bits,
    call_an_overflow_invalid,
    split_one_byte_late,
    unlock_the_tail_too,
    upgrade_in_two_steps,
    read_what_others_write,
    read_alone,
    conflict_with_oneself,
    never_weaken,
)
"""Found by requests that do not wait."""

WAITING: tuple[Mistake, ...] = (
    wake_nobody,
    wake_the_last_first,
    wake_one_only,
    grant_whom_one_wakes,
    let_nobody_pass,
    see_no_deadlock,
    suspect_every_wait_of_a_holder,
    keep_who_leaves,
)
"""Found by processes that wait for each other."""
