"""The master's journal: one small JSON file, replaced whole.

Invariants
  J1  After `write` returns, the journal survives a power cut; before, the
      old one does (write aside, fsync, rename, fsync of the folder).
  J2  A journal that cannot be read is moved aside and said aloud; the master
      then starts as one that lost it: fresh locks wait for the longest lease.
Elsewhere: what it holds (lockcore.core.ledger).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from lockcore.service.problems import ServiceProblem

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


class JournalFile:
    """Reads and writes the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failing = False
        self.lost = False

    def read(self) -> dict[str, Any] | None:
        """Return what was last written, None where there is nothing to be read.

        Raises:
            ServiceProblem: the folder cannot be used.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = self.path.read_bytes()
        except FileNotFoundError:
            self._probe()
            return None
        except OSError as error:
            raise self._problem(error) from None
        self._probe()
        try:
            journal = json.loads(text)
        except ValueError:
            journal = None
        if isinstance(journal, dict):
            return journal
        self.move_aside("it is no JSON object")
        return None

    def move_aside(self, why: str) -> None:
        """Keep a journal that is of no use under another name (J2)."""
        self.lost = True
        aside = self.path.with_name(f"{self.path.name}.unreadable-{time.time_ns()}")
        with contextlib.suppress(OSError):
            self.path.replace(aside)
        _log.warning(
            "the master's journal %s cannot be used (%s): moved to %s; fresh locks wait "
            "for the longest lease, since some may be held that nobody knows of",
            self.path,
            why,
            aside.name,
        )

    def write(self, journal: dict[str, Any]) -> bool:
        """Replace the journal (J1); say whether that worked. Never raises."""
        draft = self.path.with_name(self.path.name + ".new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(journal, file, separators=(",", ":"))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            if not self._failing:
                # Going on is safe: a master that restarts with an old journal learns from its nodes that it is old.
                _log.error("cannot write the master's journal %s (%s): free some space", self.path, error.strerror)
            self._failing = True
            return False
        self._failing = False
        return True

    def _probe(self) -> None:
        """Find out now, not at the first view, whether the folder can be written to."""
        probe = self.path.with_name(self.path.name + ".new")
        try:
            with probe.open("w", encoding="utf-8"):
                pass
            probe.unlink()
        except OSError as error:
            raise self._problem(error) from None

    def _problem(self, error: OSError) -> ServiceProblem:
        return ServiceProblem(
            f"cannot use the master's journal {self.path}: {error.strerror}. "
            "Mend the folder's permissions, or choose another with --data FOLDER."
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
