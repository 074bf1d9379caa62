"""A short chaos on real processes, and proof that its judge can object."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 110

pytestmark = pytest.mark.acceptance


def chaos(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run it as people do; return exit code, report and what it printed."""
    command = [sys.executable, "-m", "lockcore.testing.chaos", "--out", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE_S, text=True)
    path = folder / "report.json"
    assert path.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(path.read_text(encoding="utf-8")), done.stdout


def processes_of(folder: Path) -> list[str]:
    """Return the command lines that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended this moment
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_locks_survive_a_short_chaos(tmp_path: Path) -> None:
    """The rules hold where they are meant to: under kills, pauses and cuts of processes that really run."""
    folder = tmp_path / "chaos"
    code, report, printed = chaos(
        folder, "--seconds", "12", "--seed", "3", "--only", "kill_seen,kill_restart,pause_long,cut_master,one_way"
    )
    assert code == 0, printed
    assert report["violations"] == []
    # Nothing could be found where nothing happened.
    assert len(report["trials"]) >= 2, printed
    assert report["calls"]["acquire ok"] >= 50, printed
    assert report["calls"]["renew ok"] >= 50, printed
    assert report["calls"]["acquire held"] >= 5, printed
    assert report["grants_in_faults"] >= 5, printed
    assert any(row["failover_samples"] + row["set_aside"] for row in report["rows"]), printed
    assert processes_of(folder) == [], "it left processes behind"


def test_clients_that_trust_a_lock_for_too_long_are_found(tmp_path: Path) -> None:
    """A judge that never objects proves nothing: holds that last three times their TTL must overlap."""
    code, report, printed = chaos(
        tmp_path / "chaos", "--seconds", "8", "--seed", "1", "--belief", "3", "--only", "pause_short"
    )
    assert code == 1, printed
    assert "I1" in {violation["rule"] for violation in report["violations"]}
    assert "VIOLATION of I1" in printed
    assert printed.count(" acquire chaos/") >= 2, "the calls that contradict each other are printed"


def test_a_kind_that_does_not_exist_is_told_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lockcore.testing.chaos", "--out", str(tmp_path), "--only", "earthquake"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE_S, text=True)
    assert done.returncode == 2
    assert "kill_seen" in done.stderr
    assert "Traceback" not in done.stderr
