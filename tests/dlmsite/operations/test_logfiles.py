"""What nodes print is bounded, and shows no secret."""

from pathlib import Path

import pytest

from dlmsite.operations import logfiles
from dlmsite.operations.logfiles import NodeLogs


def test_a_log_that_grows_too_long_is_emptied_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "BYTES_MAX", 10)
    logs = NodeLogs(tmp_path)
    with logs.open_new("n1") as file:
        file.write(b"a line that is too long\n")
        file.flush()
        logs.bound()
        file.write(b"next\n")
    assert logs.path("n1").read_bytes() == b"next\n"


def test_the_log_of_the_life_before_stays_for_one_more(tmp_path: Path) -> None:
    logs = NodeLogs(tmp_path)
    for text in (b"first", b"second"):
        with logs.open_new("n1") as file:
            file.write(text)
    assert logs.path("n1").with_suffix(".log.1").read_bytes() == b"first"


def test_the_last_line_hides_what_looks_like_a_secret(tmp_path: Path) -> None:
    logs = NodeLogs(tmp_path)
    with logs.open_new("n1") as file:
        file.write(b"first\nkey is " + b"0a" * 16 + b" and " + b"x" * 43 + b"\n\n")
    assert logs.last_line("n1") == "key is … and …"
    assert logs.last_line("n2") == ""
