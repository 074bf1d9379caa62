"""Which faults a run tries, and in which order."""

import random
from collections import Counter
from itertools import islice

from lockcore.testing.chaos.kinds import OF_HOLDERS, Kind
from lockcore.testing.chaos.run import rounds


def draw() -> random.Random:
    """Return a source of chance that gives the same each time."""
    return random.Random(1)  # noqa: S311 - as a run does


def tried(only: tuple[Kind, ...], count: int) -> list[Kind]:
    """Return the first kinds that a run tries."""
    return [kind for together in islice(rounds(draw(), only), count) for kind in together][:count]


def test_each_kind_is_tried_equally_often() -> None:
    assert set(Counter(tried((), 5 * len(Kind))).values()) == {5}
    assert set(Counter(tried((Kind.JOIN, Kind.LEAVE, Kind.ISOLATE), 30)).values()) == {10}


def test_who_has_joined_leaves_next() -> None:
    """Otherwise clusters would grow, or shrink below what they were meant to be."""
    kinds = tried((), 10 * len(Kind))
    assert all(kinds[i + 1] is Kind.LEAVE for i, kind in enumerate(kinds[:-1]) if kind is Kind.JOIN)


def test_only_faults_of_clients_come_together_with_another_one() -> None:
    for together in islice(rounds(draw(), ()), 200):
        assert len(together) == 1 or (together[0] is Kind.DOUBLE and set(together[1:]) == OF_HOLDERS)
    assert tried((Kind.HOLDER_PAUSE,), 2) == [Kind.HOLDER_PAUSE] * 2
