"""The tree of spans against a sorted list.

Elsewhere: what is kept in it (test_ranges).
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockcore.core.rangerecords import Owner
from lockcore.core.spantree import (
    HEAVIER,
    Node,
    Tree,
    build,
    first_of_others,
    insert,
    items,
    overlapping,
    remove,
    size_of,
)

OWNERS = tuple(Owner("s", 1, name) for name in "abc")


class Piece(NamedTuple):
    start: int
    end: int
    owner: Owner

    @property
    def key(self) -> tuple[int, object]:
        return self.start, self.owner


pieces = st.builds(
    lambda start, length, owner: Piece(start, start + length, owner),
    st.integers(0, 60),
    st.integers(0, 20),
    st.sampled_from(OWNERS),
)
changes = st.lists(st.tuples(st.booleans(), pieces), max_size=120)


def check(tree: Tree[Piece]) -> None:
    """Compare what each node knows with what is below it."""
    if tree is None:
        return
    below = list(items(tree))
    assert tree.size == len(below)
    assert tree.reach == max(piece.end for piece in below)
    assert any(piece.end == tree.reach and piece.owner == tree.whose for piece in below)
    assert tree.other_reach == max((piece.end for piece in below if piece.owner != tree.whose), default=-1)
    left, right = size_of(tree.left), size_of(tree.right)
    assert left + right <= 1 or max(left, right) <= HEAVIER * min(left, right)
    check(tree.left)
    check(tree.right)


def grown(steps: list[tuple[bool, Piece]]) -> tuple[Tree[Piece], list[Piece]]:
    tree: Tree[Piece] = None
    known: dict[tuple[int, object], Piece] = {}
    for adds, piece in steps:
        if adds or piece.key not in known:
            tree = insert(tree, piece.key, piece)
            known[piece.key] = piece
        else:
            tree = remove(tree, piece.key)
            del known[piece.key]
    return tree, sorted(known.values(), key=lambda piece: (piece.start, piece.owner))


@settings(max_examples=150, deadline=None)
@given(changes)
def test_every_node_knows_what_is_below_it_and_no_side_is_too_heavy(steps: list[tuple[bool, Piece]]) -> None:
    tree, known = grown(steps)
    assert list(items(tree)) == known
    check(tree)
    check(build([(piece.key, piece) for piece in known]))


def test_a_tree_that_grows_at_one_end_stays_low() -> None:
    tree: Tree[Piece] = None
    for start in range(500):
        tree = insert(tree, (start, 0), Piece(start, start, OWNERS[0]))
    check(tree)
    for start in range(400):
        tree = remove(tree, (start, 0))
    check(tree)


@settings(max_examples=150, deadline=None)
@given(changes, st.integers(0, 80), st.integers(0, 30), st.sampled_from(OWNERS))
def test_searches_find_what_a_walk_over_everything_finds(
    steps: list[tuple[bool, Piece]], start: int, length: int, owner: Owner
) -> None:
    tree, known = grown(steps)
    end = start + length
    meeting = [piece for piece in known if piece.start <= end and piece.end >= start]
    assert overlapping(tree, start, end) == meeting
    assert first_of_others(tree, start, end, owner) == next((p for p in meeting if p.owner != owner), None)


def test_a_key_that_is_not_there_cannot_be_removed() -> None:
    tree: Tree[Piece] = Node((5, 0), Piece(5, 5, OWNERS[0]), None, None)
    for key in (4, 6):
        with pytest.raises(KeyError):
            remove(tree, (key, 0))
