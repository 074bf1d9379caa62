"""Lines of the shell of byte ranges, and its answers."""

from __future__ import annotations

import pytest

from lockcore.client.rangewords import Words, read_line, tell_key, tell_moved, tell_piece
from lockcore.core.inspecting import KeySeen, RangePlace
from lockcore.core.operations import HeldRange, How, RangeLocked
from lockcore.core.rangerecords import Kind
from lockcore.errors import InvalidRequest

PIECE = HeldRange("18f2", "ada", "t1", Kind.WRITE, 10, 90, 7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("setlk write", Words("setlk", Kind.WRITE)),
        ("setlk READ 10 20", Words("setlk", Kind.READ, 10, 20)),
        ("setlk read 100 -50 as 'my thread'", Words("setlk", Kind.READ, 100, -50, "my thread")),
        ("setlkw write 0 0 fair wait 1.5", Words("setlkw", Kind.WRITE, wait=1.5, fair=True)),
        ("getlk write 9223372036854775807", Words("getlk", Kind.WRITE, 2**63 - 1)),
        ("unlck", Words("unlck")),
        ("unlck 5 as 7", Words("unlck", start=5, owner="7")),
        ("  show  # all of it", Words("show")),
        ("exit", Words("quit")),
    ],
)
def test_a_line_is_read_as_it_is_meant(line: str, words: Words) -> None:
    assert read_line(line) == words


@pytest.mark.parametrize("line", ["", "   ", "# nothing"])
def test_an_empty_line_asks_for_nothing(line: str) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lock write", "write one of getlk, setlk, setlkw, unlck"),
        ("setlk", "setlk read …, or setlk write"),
        ("setlk exclusive 0", "setlk read …, or setlk write"),
        ("setlk read ten", "'ten'"),
        ("setlk read 1x", "no whole number of bytes"),
        ("setlk read --1", "no whole number of bytes"),
        ("setlk read 1 2 3", "'3'"),
        ("setlk read 0 0 wait 3", "'wait'"),
        ("setlkw read wait soon", "seconds, not 'soon'"),
        ("setlkw read as", "'as'"),
        ("setlk read 1" + "0" * 30, "no whole number of bytes"),
        ("show me", "stands alone"),
        ("setlk 'read", "cannot be read"),
        ("x" * 2_000, "at most 1000 characters"),
    ],
)
def test_a_line_without_sense_is_told_what_would_make_some(line: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_line(line)
    assert says in str(refusal.value)


def test_a_piece_is_told_by_its_first_and_last_byte() -> None:
    assert tell_piece(PIECE) == "write 10 to 99 by ada (t1), fence 7"
    assert tell_piece(HeldRange("18f2", "", "t1", Kind.READ, 0, 0, 0)) == "read  0 to the end by 18f2 (t1)"


def test_a_migration_is_never_told_as_an_acquisition() -> None:
    assert tell_moved(RangeLocked("18f2", (PIECE,), How.MIGRATED))[0].startswith("MIGRATED")
    assert tell_moved(RangeLocked("18f2", (PIECE,), How.ACQUIRED))[0].startswith("ACQUIRED")
    assert tell_moved(None) == ["nothing was held, and nothing was taken"]


def test_a_key_is_told_row_by_row_with_what_is_left_out() -> None:
    waiting = (RangePlace(HeldRange("s", "bob", "t", Kind.READ, 0, 5, 0), fair=True, remaining_ms=None),)
    lines = tell_key(KeySeen(decides=True, ranges=(PIECE,), ranges_total=4, waiting=waiting, waiting_total=1))
    assert lines == ["held   write 10 to 99 by ada (t1), fence 7", "waits  read  0 to 4 by bob (t), fair", "and 3 more"]
    assert tell_key(KeySeen(decides=True)) == ["no range is locked, and nobody waits"]
