"""Two programs that believe in what only one can have, and those that may."""

from __future__ import annotations

import pytest

from lockcore.testing.chaos.holds import check_holds
from lockcore.testing.chaos.records import Hold, Recorded, take_row

FIRST = Hold("a", "k", "write", 0, 9, 5, 100, 200)


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        (Hold("b", "k", "write", 9, 20, 6, 199, 300), True),
        (Hold("b", "k", "read", 0, 0, 6, 50, 101), True),
        (Hold("b", "k", "write", 10, 20, 6, 100, 200), False),
        (Hold("b", "k", "write", 0, 9, 6, 200, 300), False),
        (Hold("b", "other", "write", 0, 9, 6, 100, 200), False),
        (Hold("a", "k", "write", 0, 9, 6, 100, 200), False),
    ],
)
def test_conflicting_holds_at_once_are_found_and_only_those(other: Hold, wrong: bool) -> None:  # noqa: FBT001 - the answer
    assert [v.rule for v in check_holds([other, FIRST])] == ["I1"] * wrong


def test_readers_hold_at_once() -> None:
    assert check_holds([Hold(name, "k", "read", 0, 9, 5, 0, 100) for name in "abc"]) == []


def test_holds_and_losses_are_read_as_they_were_written() -> None:
    found = Recorded()
    take_row(found, ["hold", "a", "k", "write", 0, 9, 5, 100, 200])
    take_row(found, ["lost", "a", "k", 7])
    assert found.holds == [FIRST]
    assert found.losses == [("a", "k", 7)]
