"""The running check: it accuses nobody in any order of arrival, and sees what the whole check sees in facts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from lockcore.testing.online import Contradiction, OnlineChecker
from lockcore.testing.outcome import counts_of
from lockcore.testing.simulate import simulate
from tests.lockcore.core import mutations as m
from tests.lockcore.core import mutations_master as mm

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lockcore.testing.history import History
    from lockcore.testing.stage import Happened
    from lockcore.testing.world import World

SEEDS = 12


@dataclass(frozen=True)
class Row:
    """A LockEvent without a database."""

    source: str = "a"
    incarnation: int = 1
    number: int = 1
    kind: str = "granted"
    key: str = "k"
    generation: int = 8
    seq: int = 1
    view: int = 7


def judged(rows: list[Row], checker: OnlineChecker | None = None) -> list[Contradiction]:
    checker = checker or OnlineChecker()
    return [found for row in rows for found in checker.take(row)]


def rows_of(facts: list[Happened]) -> list[Row]:
    numbers: dict[tuple[str, int], int] = defaultdict(int)
    rows = []
    for fact in facts:
        numbers[fact.source, fact.incarnation] += 1
        e = fact.event
        number = numbers[fact.source, fact.incarnation]
        rows.append(Row(fact.source, fact.incarnation, number, e.kind, e.key, e.generation, e.seq, e.view))
    return rows


def simulated(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Return the facts of a seed."""
    facts: list[Happened] = []

    def keep(world: World, history: History) -> dict[str, int]:
        facts.extend(world.facts)
        return counts_of(world, history)

    with monkeypatch.context() as patch:
        patch.setattr("lockcore.testing.simulate.counts_of", keep)
        simulate(seed)
    return rows_of(facts)


def mixed(rows: list[Row], chance: Random) -> list[Row]:
    """Return rows as a recorder may get them: each incarnation in its order, batches of several in any."""
    lives: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        lives[row.source, row.incarnation].append(row)
    out = []
    while lives:
        name = chance.choice(sorted(lives))
        take = chance.randint(1, 40)
        out += lives[name][:take]
        lives[name] = lives[name][take:]
        if not lives[name]:
            del lives[name]
    return out


def test_facts_of_simulated_clusters_contradict_nothing_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of different nodes are mixed, late, and complete."""
    chance = Random(1)  # noqa: S311 - reproducible, not secret
    for seed in range(SEEDS):
        rows = simulated(seed, monkeypatch)
        assert judged(rows) == []
        assert judged(mixed(rows, chance)) == []


def test_what_is_lost_in_a_gap_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ending that was not reported is no proof that there was none."""
    chance = Random(2)  # noqa: S311 - reproducible, not secret
    for seed in range(SEEDS // 2):
        rows: list[Row] = []
        for row in simulated(seed, monkeypatch):
            lost = chance.random() < 0.05
            rows.append(replace(row, kind="gap", key="", number=-row.number) if lost else row)
        assert judged(rows) == []


@pytest.mark.parametrize("mutate", [m.count_generations_alone, mm.number_by_the_clock])
def test_facts_alone_show_a_rule_that_was_taken_out(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page would show, had the core this fault."""
    mutate(monkeypatch)
    assert any(judged(simulated(seed, monkeypatch)) for seed in range(40))


OTHER: dict[str, Any] = {"source": "b", "incarnation": 2}


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("I1", [Row(), Row(number=2, generation=9)]),
        ("I2", [Row(), Row(**OTHER, view=9)]),
        ("I2", [Row(generation=9), Row(**OTHER, view=9, generation=8)]),
        ("I2", [Row(**OTHER, view=9, generation=8), Row(generation=9)]),
        ("I4", [Row(), Row(**OTHER, generation=9)]),
        ("I6", [Row(), Row(number=2, kind="released", seq=7), Row(**OTHER, kind="promoted", view=8, seq=8)]),
        ("I6", [Row(**OTHER, kind="promoted", view=8, seq=8), Row(number=2, kind="released", seq=7)]),
        ("I6", [Row(kind="released", seq=7), Row(number=2, kind="released", seq=8)]),
        ("I6", [Row(kind="released", seq=7), Row(number=2, kind="readmitted", seq=8)]),
        ("I7", [Row(kind="view", key="", view=8), Row(kind="view", key="", number=2)]),
    ],
)  # fmt: skip
def test_two_facts_that_contradict_each_other_are_returned(rule: str, rows: list[Row]) -> None:
    """The page links both."""
    found = judged(rows)
    assert [c.rule for c in found] == [rule]
    assert {found[0].first, found[0].second} <= set(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [Row(), Row(number=2, kind="expired"), Row(number=3, generation=9)],
        [Row(), Row(number=2, kind="released", seq=7), Row(**OTHER, view=8, generation=9)],
        [Row(), Row(**OTHER, view=8, generation=9)],
        [Row(kind="released", seq=7), Row(**OTHER, kind="promoted", view=8, seq=6)],
        [Row(kind="released", seq=7), Row(**OTHER, kind="promoted"), Row(number=2, generation=9)],
        [
            Row(kind="released", seq=7),
            Row(**OTHER, kind="readmitted", view=8),
            Row(**OTHER, kind="promoted", view=9, seq=9),
        ],
        [Row(kind="view", key=""), Row(**OTHER, kind="view", key="", view=6)],
        [
            Row(kind="released", seq=7),
            *[Row("master", 9, number, kind="died", key="") for number in (1, 2)],
            Row(**OTHER, kind="promoted", view=9, seq=9),
        ],
    ],
)
def test_near_misses_pass(rows: list[Row]) -> None:
    assert judged(rows) == []


def test_memory_is_bounded() -> None:
    """A recorder runs for months; what is forgotten is counted."""
    checker = OnlineChecker(keys_max=100)
    for i in range(5_000):
        checker.take(Row(key=f"k{i}", incarnation=i))
        checker.take(Row(**OTHER, key=f"k{i}", view=8, generation=9))
    assert checker.checked == 10_000
    assert checker.forgotten == 4_900
    assert len(checker._keys) == 100
    assert len(checker._lives) <= 1_024


def test_sessions_queues_ranges_and_migrations_accuse_nobody() -> None:
    """A lock of a session may be held for ever, and by another session in the same generation."""
    kinds = ["granted", "queued", "queued", "migrated", "unqueued", "range-locked", "range-promoted", "released"]
    held = [Row(number=i + 1, kind=kind, seq=i + 1) for i, kind in enumerate(kinds)]
    after = [Row(number=len(held) + 1, generation=9), Row(number=len(held) + 2, kind="released", generation=9, seq=2)]
    assert judged([*held, *after]) == []


def test_what_is_told_of_ranges_takes_no_room_from_locks() -> None:
    checker = OnlineChecker(keys_max=1)
    grants = [Row(), Row(number=2, generation=9)]
    rows = [
        grants[0],
        Row(source="b", kind="range-locked", key="file"),
        Row(source="b", kind="queued", key="x"),
        grants[1],
    ]
    assert [found.rule for found in judged(rows, checker)] == ["I1"]
    assert checker.forgotten == 0
