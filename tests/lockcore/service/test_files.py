"""The cluster's secret and the master's journal on disk."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from lockcore.service.journal_file import JournalFile
from lockcore.service.problems import ServiceProblem
from lockcore.service.secrets import derive, load_or_create_secret

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cluster.secret"
    secret = load_or_create_secret(path)
    assert len(secret) == 32
    assert load_or_create_secret(path) == secret
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_secret_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "cluster.secret"
    load_or_create_secret(path)
    path.chmod(0o644)
    with pytest.raises(ServiceProblem, match="chmod 600"):
        load_or_create_secret(path)


@pytest.mark.parametrize("content", ["", "abcd", "not hex at all", "ä"])
def test_a_damaged_secret_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.secret"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ServiceProblem, match="remove") as raised:
        load_or_create_secret(path)
    assert not content or content not in str(raised.value)


def test_a_folder_that_cannot_be_made_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceProblem, match="cannot use the cluster's secret"):
        load_or_create_secret(tmp_path / "file" / "cluster.secret")


def test_two_purposes_never_share_a_key() -> None:
    assert derive(b"s" * 32, "cluster") != derive(b"s" * 32, "renew tokens")


def test_a_journal_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "folder" / "master.json")
    assert journal.read() is None
    assert journal.write({"highest": 2**62})
    assert JournalFile(journal.path).read() == {"highest": 2**62}
    assert {p.name for p in journal.path.parent.iterdir()} == {"master.json", "master.json.kept"}
    assert not journal.lost


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_an_unreadable_journal_is_moved_aside_and_said_aloud(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Silently starting anew could hand out locks that somebody still holds."""
    path = tmp_path / "master.json"
    path.write_bytes(content)
    assert JournalFile(path).read() is None
    assert "cannot be used" in caplog.text
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("master.json.unreadable-")
    assert aside.read_bytes() == content


def test_a_journal_that_is_gone_is_told_from_one_that_never_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """J3: a new cluster is up in a second; one whose journal was deleted may have locks that are held."""
    path = tmp_path / "master.json"
    first = JournalFile(path)
    first.read()
    assert not first.lost
    first.write({"highest": 1})
    path.unlink()
    again = JournalFile(path)
    assert again.read() is None
    assert again.lost
    assert "is missing, though there was one" in caplog.text


def test_a_journal_that_cannot_be_replaced_is_never_believed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """J4: the view it holds is not the newest that left."""
    journal = JournalFile(tmp_path / "master.json")
    journal.write({"highest": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("lockcore.service.journal_file.os.fsync", full)
        assert not journal.write({"highest": 2})
        assert not journal.write({"highest": 3})
    assert caplog.text.count("free some space") == 1
    again = JournalFile(journal.path)
    assert again.read() is None
    assert again.lost
    assert journal.write({"highest": 4})
    assert JournalFile(journal.path).read() == {"highest": 4}


def test_a_journal_in_a_folder_that_cannot_be_used_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceProblem, match="choose another with --data"):
        JournalFile(tmp_path / "file" / "master.json").read()
