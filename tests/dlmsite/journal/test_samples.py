"""Figures over time: nothing is made up, coarser rows say what the finer ones said, and old ones go."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmsite.journal import samples
from dlmsite.journal.models import Sample
from dlmsite.journal.nodes import NodeSample
from dlmsite.journal.samples import NS_PER_S, SampleBook

pytestmark = pytest.mark.django_db

START_S = 1_790_000_400  # a multiple of every step


def node(ops: int, *, label: str = "n1", incarnation: int = 5, state: str = "up", **gauges: Any) -> NodeSample:
    """Return a node that has done so many operations since its start."""
    told = {
        "held_primary": 3,
        "held_backup": 2,
        "operations": ops,
        "renewals": ops // 2,
        "waiting": 0,
        "answered": {"counts": (ops, 0, 0), "total_us": ops * 50},
        "replicated": {"counts": (), "total_us": 0},
        "replication_lag_us": 0,
        **gauges,
    }
    return NodeSample(label, f"{label}:1", state, incarnation=incarnation, operations=ops, gauges=told)


def at(second: float) -> int:
    return int((START_S + second) * NS_PER_S)


def rows(step: int = 1) -> dict[int, Any]:
    """Return the rows of a step, by seconds since the start."""
    return {at_s - START_S: nodes for at_s, nodes in samples.read(step, 0, START_S + 10**9)}


def test_a_second_tells_what_was_done_in_it() -> None:
    book = SampleBook()
    for second, ops in ((0.1, 10), (0.8, 15), (1.1, 18), (1.9, 25), (2.0, 26)):
        book.note([node(ops)], at(second))
    assert rows()[1]["n1"] == {
        "held": 3, "copies": 2, "waiting": 0, "lag_us": 0, "seconds": 1, "ops": 10, "renewals": 5,
        "answered": [[10], 500],
    }  # fmt: skip


def test_what_was_done_before_anybody_looked_is_in_no_second() -> None:
    """S1: a site that starts beside nodes that run would show a peak that never was."""
    book = SampleBook()
    book.note([node(1_000_000)], at(0.5))
    book.note([node(1_000_001)], at(1.5))
    assert "ops" not in rows()[0]["n1"]
    assert rows()[0]["n1"]["held"] == 3


def test_a_new_life_counts_from_its_own_beginning() -> None:
    book = SampleBook()
    book.note([node(100)], at(0))
    book.note([node(7, incarnation=6)], at(1))
    book.note([], at(2))
    assert rows()[1]["n1"]["ops"] == 7


@pytest.mark.parametrize("state", ["suspected", "down", "killed", "paused", "unknown"])
def test_who_does_not_speak_has_no_figures(state: str) -> None:
    """What it last said is old."""
    book = SampleBook()
    book.note([node(1), node(1, label="n2", state=state)], at(0))
    book.note([], at(1))
    assert set(rows()[0]) == {"n1"}


def test_the_highest_of_what_waits_is_kept() -> None:
    book = SampleBook()
    for second, waiting, lag_us in ((0.1, 2, 70), (0.3, 9, 10), (0.5, 0, 0)):
        book.note([node(1, waiting=waiting, replication_lag_us=lag_us)], at(second))
    book.note([], at(1))
    assert (rows()[0]["n1"]["waiting"], rows()[0]["n1"]["lag_us"]) == (9, 70)


def test_a_second_in_which_nobody_looked_has_no_row_and_what_was_done_meanwhile_is_not_put_elsewhere() -> None:
    book = SampleBook()
    book.note([node(10)], at(0))
    book.note([], at(1))
    book.note([node(500)], at(7))
    book.note([], at(8))
    assert set(rows()) == {0, 7}


def run(book: SampleBook, first: int, last: int) -> None:
    for second in range(first, last):
        book.note([node(10 * second)], at(second))


def test_coarser_rows_say_what_the_finer_ones_said() -> None:
    run(SampleBook(), 0, 62)
    assert set(rows(5)) == set(range(0, 60, 5))
    assert set(rows(20)) == {0, 20, 40}
    assert set(rows(60)) == {0}
    minute = rows(60)[0]["n1"]
    assert minute["ops"] == sum(nodes["n1"].get("ops", 0) for second, nodes in rows().items() if second < 60)
    assert (minute["seconds"], minute["held"], minute["answered"][0]) == (59, 3, [590])


def test_a_site_that_starts_again_makes_the_rows_that_are_missing() -> None:
    """S3: its predecessor ended in the middle of a minute."""
    run(SampleBook(), 0, 33)
    run(SampleBook(), 40, 61)
    assert set(rows(5)) == {0, 5, 10, 15, 20, 25, 30, *range(40, 60, 5)}
    assert rows(20)[20]["n1"]["seconds"] == 12
    assert set(rows(60)) == {0}


def test_a_long_pause_is_skipped_and_not_walked_through() -> None:
    book = SampleBook()
    run(book, 0, 7)
    year_s = 365 * 24 * 3_600
    run(book, year_s, year_s + 8)
    assert set(rows(5)) == {year_s}, "what was before is too old by now"


def test_a_clock_that_was_set_back_breaks_nothing() -> None:
    book = SampleBook()
    run(book, 0, 12)
    run(book, 3, 14)
    assert set(rows()) == set(range(13))
    assert Sample.objects.filter(step_s=5).count() == 2


def test_rows_go_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    run(SampleBook(), 0, 62)
    now_s = START_S + samples.LEVELS[1] + 30
    assert samples.prune(now_s) == 30
    assert min(rows()) == 30
    assert len(rows(5)) == 12
    monkeypatch.setattr(samples, "TIDY_ROWS", 4)
    assert samples.prune(now_s + 10**9) == 4 + 4 + 3 + 1, "some of each step"


FIGURES = st.fixed_dictionaries(
    {
        "held": st.integers(0, 99), "copies": st.integers(0, 99), "waiting": st.integers(0, 9),
        "lag_us": st.integers(0, 10**6), "seconds": st.just(1), "ops": st.integers(0, 99),
        "renewals": st.integers(0, 99),
        "answered": st.tuples(st.lists(st.integers(0, 9), max_size=17), st.integers(0, 10**6)).map(list),
    }
)  # fmt: skip


@given(st.lists(FIGURES, min_size=2, max_size=12), st.integers(1, 11))
def test_merging_in_two_steps_is_merging_at_once(parts: list[dict[str, Any]], cut: int) -> None:
    """Else a chart would change with its zoom."""
    cut = min(cut, len(parts) - 1)
    halves = samples.merge([samples.merge(parts[:cut]), samples.merge(parts[cut:])])
    whole = samples.merge(parts)
    for name in ("waiting", "lag_us", "seconds", "ops", "renewals"):
        assert halves[name] == whole[name]
    counts, _ = halves["answered"]
    assert sum(counts) == sum(sum(part["answered"][0]) for part in parts)
