"""The comparison counts what it says, and runs against the real SeaweedFS."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lockcore.testing.ports import HOST
from tests.compare.toll import HEADS, Generations, Toll, rows_of, table
from tests.compare.weedside import dialled_by

ROOT = Path(__file__).resolve().parents[2]


def test_a_generation_that_repeats_has_fallen_too() -> None:
    """Two holders with one fencing token are as bad as a newer one with a lower token."""
    generations = Generations()
    for key, generation in (("rises", 1), ("rises", 2), ("repeats", 5), ("repeats", 5), ("falls", 9), ("falls", 1)):
        generations.note(key, generation)
    assert generations.fell == {"repeats", "falls"}


@pytest.mark.parametrize("toll", [Toll(), Toll(1, given=1), Toll(1, lost=1), Toll(1, fell=1), Toll(1, problem="hung")])
def test_nothing_but_a_trial_without_any_harm_is_clean(toll: Toll) -> None:
    """What was not measured must not count as good."""
    assert not toll.is_clean
    assert Toll(trials=1).is_clean


def test_what_was_not_measured_is_told_in_its_row() -> None:
    measured = Toll(2, 40, 1, 2, 3, [0.1, 0.3], [])
    rows = rows_of("kill", [("one", Toll(problem="it hung")), ("other", measured)])
    assert rows[0][2] == "not measured: it hung"
    assert rows[1][1:] == ("other", "2", "40", "1", "2", "3", "0.20 / 0.30 s", "-")
    assert len(set(map(len, table(HEADS, rows).splitlines()))) == 1


def test_a_connection_is_known_by_the_process_that_dialled_it() -> None:
    """All filers dial the proxy from one host: a cut must be one filer's only."""
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as dialled:
        target = server.getsockname()[1]
        assert dialled_by(os.getpid(), target) == {dialled.getsockname()[1]}
        assert dialled_by(os.getppid(), target) == set()


@pytest.mark.acceptance
@pytest.mark.timeout(400)
def test_a_restart_is_compared_side_by_side() -> None:
    """A smoke: Lockring keeps what it is given here as in the whole comparison, and SeaweedFS was really tried."""
    command = [sys.executable, "-m", "tests.compare", "--only", "restart", "--locks", "4"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [[cell.strip() for cell in line.split("|")] for line in ran.stdout.splitlines() if line.startswith("| ")]
    counts = {row[2]: row[3:6] for row in rows[2:]}
    assert counts["Lockring"] == ["1", "4", "0"]
    assert counts["SeaweedFS"][:2] == ["1", "4"]


def test_what_cannot_be_compared_is_refused_in_a_line() -> None:
    command = [sys.executable, "-m", "tests.compare", "--only", "earthquake"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "there is no 'earthquake'; there are: restart, rejoin, join, stop, cut, generation, cycles" in ran.stderr
