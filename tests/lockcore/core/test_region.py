"""Regions behave like sets of positions.

Elsewhere: what regions are used for (test_ring, test_handover).
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.region import EVERYWHERE, NOWHERE, SPACE, Region

SMALL = 24
BOUND = st.integers(0, SMALL)
PIECES = st.lists(st.tuples(BOUND, BOUND), max_size=6)


def as_set(pieces: list[tuple[int, int]]) -> set[int]:
    return {p for start, stop in pieces for p in range(start, stop)}


def positions(region: Region) -> set[int]:
    return {p for p in range(SMALL + 1) if p in region}


@given(PIECES)
def test_a_region_holds_the_positions_of_its_intervals_and_no_others(pieces: list[tuple[int, int]]) -> None:
    assert positions(Region.of(pieces)) == as_set(pieces)


@given(PIECES, PIECES)
def test_union_intersection_and_difference_are_those_of_sets(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    """A wrong interval here is a range served without state."""
    one, two = Region.of(a), Region.of(b)
    assert positions(one | two) == as_set(a) | as_set(b)
    assert positions(one & two) == as_set(a) & as_set(b)
    assert positions(one - two) == as_set(a) - as_set(b)


@given(PIECES, PIECES)
def test_covers_is_the_superset_relation(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    assert Region.of(a).covers(Region.of(b)) == (as_set(a) >= as_set(b))


@given(PIECES, PIECES)
def test_intervals_are_sorted_disjoint_and_never_adjacent(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    """R1: one set of positions has one form, so that equal regions are equal."""
    one, two = Region.of(a), Region.of(b)
    for region in (one, one | two, one & two, one - two):
        bounds = [bound for interval in region.intervals for bound in interval]
        assert bounds == sorted(set(bounds))
    assert (one == two) == (as_set(a) == as_set(b))


@given(PIECES)
def test_a_region_and_its_complement_make_the_whole_space(pieces: list[tuple[int, int]]) -> None:
    region = Region.of(pieces)
    rest = EVERYWHERE - region
    assert not region & rest
    assert region | rest == EVERYWHERE
    assert abs(region.share + rest.share - 1) < 1e-12


def test_the_ends_of_the_space_belong_to_everywhere() -> None:
    assert 0 in EVERYWHERE
    assert SPACE - 1 in EVERYWHERE
    assert EVERYWHERE.share == 1


def test_nowhere_is_empty_and_false() -> None:
    assert not NOWHERE
    assert 0 not in NOWHERE
    assert NOWHERE.share == 0
    assert NOWHERE.covers(NOWHERE)
