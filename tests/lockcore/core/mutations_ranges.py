"""For each invariant of the byte ranges: a change that breaks it, and the test that then fails.

Elsewhere: who makes the change and runs the test (test_mutations), mistakes that the kernel finds (tests/kernel).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lockcore.core import rangechange, rangemigrate, ranging, spantree, waitgraph
from lockcore.core.rangechange import Change, RangeState
from lockcore.core.rangequeue import WaitQueue
from lockcore.core.rangerecords import Acquired, Migrated
from lockcore.core.rangerows import HeldRows
from lockcore.core.ranges import RangeTable
from lockcore.core.spantree import Node
from lockcore.core.state import NodeState
from tests.lockcore.core import test_ranges, test_ranges_migrate, test_ranges_waits, test_ranging_roles, test_spantree

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import pytest

    from lockcore.core.rangerecords import Denied, Owner, Row, Step, Waiter
    from lockcore.core.rangerows import Plan


def never_balance(patch: pytest.MonkeyPatch) -> None:
    """B1: the tree becomes a list."""
    patch.setattr(spantree, "_balanced", lambda root, left, right: Node(root.key, root.item, left, right))


def leave_neighbours_apart(patch: pytest.MonkeyPatch) -> None:
    """B2."""
    patch.setattr(HeldRows, "_near", HeldRows.of)


def keep_the_first_fence(patch: pytest.MonkeyPatch) -> None:
    """B3: who may write now has the fence of having been allowed to read."""
    plan = HeldRows.plan

    def old(self: HeldRows, *request: Any) -> Plan:
        made = plan(self, *request)
        if made.row is None or not made.removed:
            return made
        row = replace(made.row, fence=min(row.fence for row in made.removed))
        return replace(made, added=(*made.added[:-1], row), row=row)

    patch.setattr(HeldRows, "plan", old)


def forget_slowly(patch: pytest.MonkeyPatch) -> None:
    """B4: the session still finds its operation."""
    pop = WaitQueue.pop

    def slow(self: WaitQueue, ticket: int) -> Waiter:
        waiter = pop(self, ticket)
        self._of_session.setdefault(waiter.owner[:2], {})[ticket] = None
        self._waiters[ticket] = waiter
        return waiter

    patch.setattr(WaitQueue, "pop", slow)


def wake_nobody(patch: pytest.MonkeyPatch) -> None:
    """B5."""
    patch.setattr(Change, "freed", lambda _self, _span: None)


def never_pause(patch: pytest.MonkeyPatch) -> None:
    """B5, in a grace."""
    patch.setattr(RangeTable, "pause", lambda _self: None)


def never_go_on(patch: pytest.MonkeyPatch) -> None:
    """B5, after a grace: what was freed in it is given to nobody."""
    patch.setattr(Change, "candidates", lambda _self, _waiters: None)


def wake_the_last_first(patch: pytest.MonkeyPatch) -> None:
    """B6."""

    def newest(heap: list[int]) -> int:
        heap.sort()
        return heap.pop()

    patch.setattr(rangechange, "heappop", newest)


def let_everybody_pass(patch: pytest.MonkeyPatch) -> None:
    """B7."""
    patch.setattr(RangeState, "ahead", lambda _self, _waiter: iter(()))


def upgrade_in_two_steps(patch: pytest.MonkeyPatch) -> None:
    """B8: the read lock goes before the write lock is there."""
    again = RangeTable._again

    def hasty(self: RangeTable, request: Waiter) -> Denied:
        denied = again(self, request)
        self.unlck(request.owner, request.start, request.end - request.start + 1)
        return denied

    patch.setattr(RangeTable, "_again", hasty)


def leave_waiters_out(patch: pytest.MonkeyPatch) -> None:
    """B9: the replica does not hear who has been granted."""
    done = Change.done

    def short(self: Change, result: Any, now_ns: int) -> Step:
        step = done(self, result, now_ns)
        return replace(step, delta=replace(step.delta, dequeued=()))

    patch.setattr(Change, "done", short)


def move_by_unlock_and_lock(patch: pytest.MonkeyPatch) -> None:
    """B10: third parties are woken between the two."""
    move = rangemigrate._Mover.move

    def gap(self: Any, held: list[Row], now_ns: int) -> Step:
        change = Change(self.state)
        for piece in held:
            change.lock(self.state.rows.plan(piece.owner, None, piece.start, piece.end, 0))
        step = change.done(Migrated((), (), 0), now_ns)
        return step if step.pushes else move(self, held, now_ns)

    patch.setattr(rangemigrate._Mover, "move", gap)


def call_everything_migrated(patch: pytest.MonkeyPatch) -> None:
    """B11."""
    acquire = rangemigrate._Mover.acquire

    def proud(self: Any, now_ns: int) -> Step:
        step = acquire(self, now_ns)
        if isinstance(step.result, Acquired):
            return replace(step, result=Migrated((step.result.row,), (), step.result.waiters))
        return step

    patch.setattr(rangemigrate._Mover, "acquire", proud)


def follow_one_chain(patch: pytest.MonkeyPatch) -> None:
    """D1: the kernel's way, who looks at the first row in the way only."""

    def in_the_way(self: RangeState, waiter: Waiter) -> list[Owner]:
        row = self.rows.conflict(waiter.owner, waiter.kind, waiter.start, waiter.end)
        return [] if row is None else [row.owner]

    patch.setattr(RangeState, "in_the_way", in_the_way)
    patch.setattr(RangeState, "is_in_the_way", lambda self, owner, waiter: owner in in_the_way(self, waiter))
    patch.setattr(waitgraph._Search, "_known", lambda *_: False)


def grant_to_the_dead(patch: pytest.MonkeyPatch) -> None:
    """B13: as Gluster 3182 has it."""
    patch.setattr(NodeState, "lapsed", lambda _self, _owner: False)


def wait_to_be_asked(patch: pytest.MonkeyPatch) -> None:
    """Y3: a primary that looks at a key when somebody asks it something."""
    patch.setattr(ranging, "begin", lambda _state, _file: None)


ROWS: tuple[tuple[str, Callable[[pytest.MonkeyPatch], None], Callable[..., Any]], ...] = (
    ("B1", never_balance, test_spantree.test_a_tree_that_grows_at_one_end_stays_low),
    ("B2", leave_neighbours_apart, test_ranges.test_touching_and_overlapping_rows_of_one_owner_and_kind_are_one_row),
    (
        "B3",
        keep_the_first_fence,
        test_ranges.test_a_fence_is_above_all_conflicting_ones_before_it_and_kept_while_the_piece_is_held,
    ),
    ("B4", forget_slowly, test_ranges_waits.test_a_waiter_leaves_no_trace),
    ("B5", wake_nobody, test_ranges_waits.test_an_unlock_wakes_exactly_those_who_can_be_granted),
    ("B6", wake_the_last_first, test_ranges_waits.test_waiters_are_granted_in_the_order_in_which_they_came),
    ("B7", let_everybody_pass, test_ranges_waits.test_nobody_passes_a_fair_waiter),
    ("B8", upgrade_in_two_steps, test_ranges.test_a_refused_upgrade_keeps_the_read_lock),
    ("B9", leave_waiters_out, test_ranges_waits.test_a_replica_that_hears_of_each_change_is_equal),
    ("B10", move_by_unlock_and_lock, test_ranges_migrate.test_to_heal_by_setlk_after_the_clean_up_is_to_come_second),
    ("B11", call_everything_migrated, test_ranges_migrate.test_where_nothing_is_held_it_is_a_setlk_and_says_so),
    ("B13", grant_to_the_dead, test_ranging_roles.test_nobody_is_granted_a_range_whose_session_has_lapsed),
    ("Y3", wait_to_be_asked, test_ranging_roles.test_waits_that_a_failover_brings_together_in_a_circle_are_refused),
    ("D1", follow_one_chain, test_ranges_waits.test_a_circle_is_found_behind_any_of_those_in_the_way),
)
"""An invariant, what takes it out, and the test that must fail then."""
