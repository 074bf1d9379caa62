"""Many seeds, with a report that an interrupted campaign goes on from."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lockcore.testing import batches
from lockcore.testing.batches import SEEDS, Batch, OtherCode, Plan, run_all, run_batch
from lockcore.testing.outcome import Verdict
from lockcore.testing.record import Violation

if TYPE_CHECKING:
    from pathlib import Path

GOAL = 5 * SEEDS + 3


def quiet(seed: int) -> Verdict:
    return Verdict(seed, [], "", {"granted": seed})


def gathered(plan: Plan, report: Path | None = None) -> tuple[Counter[str], list[int], int]:
    """Run a plan; return the counts, the first seeds of its batches, and how many the report knew."""
    counts: Counter[str] = Counter()
    firsts: list[int] = []
    known = 0

    def add(batch: Batch, *, before: bool = False) -> None:
        nonlocal known
        known += before
        counts.update(batch.counts)
        firsts.append(batch.first)

    run_all(plan, add, report)
    return counts, firsts, known


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_seed_is_run_once(jobs: int) -> None:
    counts, firsts, _ = gathered(Plan(quiet, 7, GOAL, jobs))
    assert counts["granted"] == sum(range(7, 7 + GOAL))
    assert len(firsts) == len(set(firsts)) == 6


def test_an_interrupted_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Also where the interruption cut the last line short."""
    report = tmp_path / "report"
    whole, _, _ = gathered(Plan(quiet, 0, GOAL), report)
    lines = report.read_text().splitlines(keepends=True)
    report.write_text("".join(lines[:3]) + lines[3][:20])
    again, firsts, known = gathered(Plan(quiet, 0, GOAL), report)
    assert (again, sorted(firsts), known) == (whole, [0, 20, 40, 60, 80, 100], 2)
    assert gathered(Plan(quiet, 0, GOAL), report) == (whole, firsts[:2] + firsts[2:], 6)


def test_a_report_of_other_code_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its seeds would say something else now."""
    report = tmp_path / "report"
    gathered(Plan(quiet, 0, 3), report)
    monkeypatch.setattr(batches, "code", lambda: "other")
    with pytest.raises(OtherCode, match="other code"):
        gathered(Plan(quiet, 0, 3), report)


def test_a_campaign_that_is_bounded_by_time_ends() -> None:
    counts, firsts, _ = gathered(Plan(quiet, 0, 0, seconds=0.05))
    assert counts
    assert firsts == [n * SEEDS for n in range(len(firsts))]


def test_a_failure_is_in_the_report_as_people_read_it(tmp_path: Path) -> None:
    """Seed, commit, invariant: what is needed to repeat it, also when the core raises."""

    def bad(seed: int) -> Verdict:
        if seed:
            raise ValueError("no such thing")
        return Verdict(seed, [Violation("I1", "k: two holders")], "", {}, ["1.000 kill a:1"], "the transcript")

    texts = run_batch(bad, 0, 2).bad
    assert all(word in texts[0] for word in ("seed 0 at commit ", "I1 k: two holders", "kill a:1", "the transcript"))
    assert "seed 1 at commit " in texts[1]
    assert "ValueError: no such thing" in texts[1]
    report = tmp_path / "report"
    gathered(Plan(bad, 0, 2), report)
    assert json.loads(report.read_text().splitlines()[1])["bad"] == {"0": texts[0], "1": texts[1]}
