"""A sorted tree of spans that finds the first one in the way of somebody in logarithmic time.

Each node knows the furthest end below it, and the furthest end among those
of another owner than that one's: so "the first span that reaches byte s and
is not mine" needs one walk down, however many of mine are in between.

Nodes never change: a change makes a new path to the root (weight-balanced as
in S. Adams, "Efficient sets: a balancing act", with the constants 3 and 2 of
Hirai and Yamamoto). An empty tree is None.

Invariants
  B1  Every node's ends and size are those of its subtree, and no side is
      more than three times as heavy as the other.
Elsewhere: what is kept in such trees (rangerows, rangequeue).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from lockcore.core.rangerecords import Owner

HEAVIER: Final = 3
DOUBLE: Final = 2
NOWHERE: Final = -1


class Spanned(Protocol):
    """What a tree holds: rows and waiters."""

    @property
    def start(self) -> int:
        """First byte."""

    @property
    def end(self) -> int:
        """Last byte."""

    @property
    def owner(self) -> Owner:
        """Whose it is."""


T = TypeVar("T", bound=Spanned)
Key = tuple[int, "Any"]  # (start, what tells apart those that start together)


class Node(Generic[T]):
    """One span and two subtrees. `reach`: the furthest end, `whose`; `other_reach`: that of all others."""

    __slots__ = ("item", "key", "left", "other_reach", "reach", "right", "size", "whose")

    def __init__(self, key: Key, item: T, left: Node[T] | None, right: Node[T] | None) -> None:
        """Join two balanced trees, all of whose keys are below and above."""
        self.key = key
        self.item = item
        self.left = left
        self.right = right
        self.size: int
        self.reach: int
        self.whose: Owner
        self.other_reach: int
        size, reach, whose, other = 1, item.end, item.owner, NOWHERE
        for side in (left, right):
            if side is None:
                continue
            size += side.size
            if side.whose == whose:
                reach = max(reach, side.reach)
                other = max(other, side.other_reach)
            elif side.reach > reach:
                other = max(reach, side.other_reach)
                reach, whose = side.reach, side.whose
            else:
                other = max(other, side.reach)
        self.size = size
        self.reach = reach
        self.whose = whose
        self.other_reach = other


Tree = Node[T] | None


def size_of(tree: Tree[T]) -> int:
    """Return how many spans a tree holds."""
    return tree.size if tree is not None else 0


def insert(tree: Tree[T], key: Key, item: T) -> Node[T]:
    """Return the tree with an item; one with the same key is replaced."""
    if tree is None:
        return Node(key, item, None, None)
    if key < tree.key:
        return _balanced(tree, insert(tree.left, key, item), tree.right)
    if key > tree.key:
        return _balanced(tree, tree.left, insert(tree.right, key, item))
    return Node(key, item, tree.left, tree.right)


def remove(tree: Tree[T], key: Key) -> Tree[T]:
    """Return the tree without a key.

    Raises:
        KeyError: it is not there.
    """
    if tree is None:
        raise KeyError(key)
    if key < tree.key:
        return _balanced(tree, remove(tree.left, key), tree.right)
    if key > tree.key:
        return _balanced(tree, tree.left, remove(tree.right, key))
    return _glued(tree.left, tree.right)


def build(items: Sequence[tuple[Key, T]]) -> Tree[T]:
    """Return the tree of items that are sorted by key already."""
    return _built(items, 0, len(items))


def items(tree: Tree[T]) -> Iterator[T]:
    """Iterate in the order of the keys."""
    path: list[Node[T]] = []
    while path or tree is not None:
        while tree is not None:
            path.append(tree)
            tree = tree.left
        node = path.pop()
        yield node.item
        tree = node.right


def overlapping(tree: Tree[T], start: int, end: int) -> list[T]:
    """Return what has a byte in [start, end], in the order of the keys."""
    found: list[T] = []
    path: list[Node[T]] = []
    while True:
        while tree is not None and tree.reach >= start:
            path.append(tree)
            tree = tree.left
        if not path:
            return found
        node = path.pop()
        if node.item.start > end:
            return found
        if node.item.end >= start:
            found.append(node.item)
        tree = node.right


def first_of_others(tree: Tree[T], start: int, end: int, owner: Owner) -> T | None:
    """Return the lowest span with a byte in [start, end] that is not this owner's."""
    if tree is None or _reach_of_others(tree, owner) < start:
        return None
    node = tree
    while True:  # one below `node` reaches `start`, and what is left of it starts first
        left = node.left
        if left is not None and _reach_of_others(left, owner) >= start:
            node = left
        elif node.item.end >= start and node.item.owner != owner:
            return node.item if node.item.start <= end else None
        elif node.item.start > end or node.right is None:
            return None
        else:
            node = node.right


def _reach_of_others(tree: Node[T], owner: Owner) -> int:
    return tree.other_reach if tree.whose == owner else tree.reach


def _built(items: Sequence[tuple[Key, T]], low: int, high: int) -> Tree[T]:
    if low == high:
        return None
    middle = (low + high) // 2
    key, item = items[middle]
    return Node(key, item, _built(items, low, middle), _built(items, middle + 1, high))


def _glued(left: Tree[T], right: Tree[T]) -> Tree[T]:
    """Join two trees whose common root has gone."""
    if left is None:
        return right
    if right is None:
        return left
    if left.size > right.size:
        last = left
        while last.right is not None:
            last = last.right
        return _balanced(last, remove(left, last.key), right)
    first = right
    while first.left is not None:
        first = first.left
    return _balanced(first, left, remove(right, first.key))


def _balanced(root: Node[T], left: Tree[T], right: Tree[T]) -> Node[T]:
    """Join two trees, of which one may have grown or shrunk by one, under a root's item."""
    lefts, rights = size_of(left), size_of(right)
    if lefts + rights > 1:
        if right is not None and rights > HEAVIER * lefts:
            return _turned_left(root, left, right)
        if left is not None and lefts > HEAVIER * rights:
            return _turned_right(root, left, right)
    return Node(root.key, root.item, left, right)


def _turned_left(root: Node[T], left: Tree[T], right: Node[T]) -> Node[T]:
    inner = right.left
    if inner is None or inner.size < DOUBLE * size_of(right.right):
        return Node(right.key, right.item, Node(root.key, root.item, left, inner), right.right)
    lower = Node(root.key, root.item, left, inner.left)
    return Node(inner.key, inner.item, lower, Node(right.key, right.item, inner.right, right.right))


def _turned_right(root: Node[T], left: Node[T], right: Tree[T]) -> Node[T]:
    inner = left.right
    if inner is None or inner.size < DOUBLE * size_of(left.left):
        return Node(left.key, left.item, left.left, Node(root.key, root.item, inner, right))
    upper = Node(root.key, root.item, inner.right, right)
    return Node(inner.key, inner.item, Node(left.key, left.item, left.left, inner.left), upper)
