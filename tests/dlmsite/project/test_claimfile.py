"""One site per folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlmsite.claimfile import Claim, FolderInUse, current, take

CLAIM = Claim(4711, "127.0.0.1", 8000)


def test_a_second_site_learns_who_has_the_folder(tmp_path: Path) -> None:
    descriptor = take(tmp_path, CLAIM)
    with pytest.raises(FolderInUse) as found:
        take(tmp_path, Claim(1, "x", 2))
    assert found.value.claim == CLAIM
    assert current(tmp_path) == CLAIM
    os.close(descriptor)


def test_the_claim_ends_with_the_process(tmp_path: Path) -> None:
    """Also after SIGKILL, which leaves the file behind."""
    script = (
        "import os, pathlib, signal, sys; from dlmsite.claimfile import *; "
        "take(pathlib.Path(sys.argv[1]), Claim(1, 'h', 2)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / "up.lock").exists()
    assert current(tmp_path) is None
    os.close(take(tmp_path, CLAIM))


def test_nobody_is_there_where_nobody_ever_was(tmp_path: Path) -> None:
    assert current(tmp_path) is None
    assert not list(tmp_path.iterdir())
