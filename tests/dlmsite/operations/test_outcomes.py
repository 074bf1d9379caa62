"""What became of a lock is told from facts, and an honest ending is no difference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmsite.operations.foresight import Course, Fate, Hop
from dlmsite.operations.outcomes import KINDS, Expected, Fact, Outcome, Verdict, judge, table

A, B, C = "a:1", "b:2", "c:3"
STAYS = Course((A, B), (A, C), (), Fate.STAYS)
PROMOTED = Course((A, B), (B, C), (Hop(B, Fate.PROMOTED),), Fate.PROMOTED)
TRANSFERRED = Course((A, B), (C, A), (Hop(C, Fate.TRANSFERRED),), Fate.TRANSFERRED)
GRACE = Course((A, B), (C, None), (), Fate.GRACE)


def came(course: Course, *facts: tuple[str, str], living: tuple[str, ...] = (A, B, C)) -> Outcome:
    """Return what became of a lock of generation 7 after facts (kind, node)."""
    rows = [Fact(kind, "k", 7, node) for kind, node in facts]
    (found,) = judge([Expected("k", 7, "ada", course)], rows, living)
    return found


@pytest.mark.parametrize(
    ("course", "facts", "node"),
    [
        (STAYS, [], A),
        (PROMOTED, [("promoted", B)], B),
        (TRANSFERRED, [("transferred", C)], C),
        (TRANSFERRED, [("promoted", B), ("transferred", C)], C),
    ],
)
def test_what_came_as_foreseen_is_the_same(course: Course, facts: list[tuple[str, str]], node: str) -> None:
    living = (node,)
    assert came(course, *facts, living=living) == (Verdict.SAME, course.fate, node, "")


@pytest.mark.parametrize("kind", ["released", "expired"])
def test_a_lock_that_ended_before_it_moved_is_no_difference(kind: str) -> None:
    """Its holder was done with it: the prediction was never put to the test."""
    assert came(PROMOTED, (kind, A)) == (Verdict.ENDED, Fate.STAYS, A, kind)


def test_a_lock_that_moved_and_was_released_then_is_the_same() -> None:
    assert came(PROMOTED, ("promoted", B), ("released", B)) == (Verdict.SAME, Fate.PROMOTED, B, "released")


def test_a_lock_that_went_elsewhere_differs() -> None:
    assert came(PROMOTED, ("promoted", C)).verdict is Verdict.DIFFERS
    assert came(STAYS, ("transferred", B)).verdict is Verdict.DIFFERS
    assert came(PROMOTED).verdict is Verdict.DIFFERS  # it stayed


def test_a_lock_whose_last_node_is_gone_is_lost() -> None:
    assert came(STAYS, living=(B, C)) == (Verdict.DIFFERS, Fate.GRACE, A, "")
    assert came(GRACE, living=(C,)) == (Verdict.SAME, Fate.GRACE, A, "")


def test_a_holder_that_came_back_had_lost_its_lock() -> None:
    """Nobody is asked for a token where the lock was kept."""
    assert came(GRACE, ("readmitted", C), living=(C,)) == (Verdict.SAME, Fate.GRACE, C, "came back")
    assert came(PROMOTED, ("readmitted", B)).verdict is Verdict.DIFFERS


def test_a_lock_that_was_to_be_lost_and_was_kept_differs() -> None:
    assert came(GRACE, ("promoted", C), living=(C,)) == (Verdict.DIFFERS, Fate.PROMOTED, C, "")


def test_a_copy_that_runs_out_on_another_node_ends_nothing() -> None:
    assert came(PROMOTED, ("promoted", B), ("expired", A)) == (Verdict.SAME, Fate.PROMOTED, B, "")


def test_another_hold_of_the_key_is_another_lock() -> None:
    lock = Expected("k", 7, "ada", PROMOTED)
    earlier = [Fact("released", "k", 6, A), Fact("promoted", "k", 6, C), Fact("promoted", "other", 7, C)]
    assert judge([lock], [*earlier, Fact("promoted", "k", 7, B)], [B])[0] == (Verdict.SAME, Fate.PROMOTED, B, "")
    later = [Fact("granted", "k", 8, A), Fact("promoted", "k", 8, B)]
    assert judge([lock], later, [B])[0] == (Verdict.ENDED, Fate.STAYS, A, "passed on")


FACTS = st.lists(
    st.builds(Fact, st.sampled_from(sorted(KINDS)), st.sampled_from("klm"), st.integers(6, 8), st.sampled_from([A, B]))
)


@given(FACTS, st.sets(st.sampled_from([A, B, C])))
def test_every_lock_has_one_verdict_and_is_counted_once(facts: list[Fact], living: set[str]) -> None:
    locks = [Expected(key, 7, "ada", course) for key, course in zip("klm", (STAYS, PROMOTED, GRACE), strict=True)]
    outcomes = judge(locks, facts, living)
    counts = table(locks, outcomes)
    assert [sum(counts[lock.course.fate].values()) for lock in locks] == [1, 1, 1]
    assert sum(sum(of.values()) for of in counts.values()) == len(outcomes) == len(locks)
    for lock, outcome in zip(locks, outcomes, strict=True):
        if outcome.verdict is Verdict.SAME:
            assert outcome.fate is lock.course.fate
