"""The master's journal: one small JSON file, replaced whole.

Invariants
  J1  After `write` returns, the journal survives a power cut; before, the
      old one does (write aside, fsync, rename, fsync of the folder).
  J2  A journal that cannot be read is moved aside and said aloud; the master
      then starts as one that lost it: fresh locks wait for the longest lease.
  J3  So it does where the journal is missing although there was one, which a
      mark beside it tells. Only a folder without both is a new cluster's.
  J4  A journal that could not be replaced is taken away: after a restart it
      would be believed, and what it says is not so any more.
Elsewhere: what it holds (lockcore.core.ledger).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final

from lockcore.service.problems import ServiceProblem

if TYPE_CHECKING:
    from pathlib import Path

MARK_TEXT: Final = (
    "The master has kept its journal in {name}, beside this file.\n"
    "If that is missing, a master that starts here lets nobody take a fresh lock for a minute,\n"
    "since somebody may hold it. Delete this file too only if no node and no client of that time is left.\n"
)

_log = logging.getLogger(__name__)


class JournalFile:
    """Reads and writes the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = path.with_name(path.name + ".kept")
        self.lost = False
        self._failing = False

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
            self._miss()
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

    def _miss(self) -> None:
        """Tell a journal that is gone from one that never was (J3)."""
        self.lost = self.mark.exists()
        if self.lost:
            _log.warning(
                "the master's journal %s is missing, though there was one: fresh locks wait for the longest "
                "lease, since some may be held that nobody knows of",
                self.path,
            )

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
        """Replace the journal (J1), or take it away (J4); say whether it was replaced. Never raises."""
        draft = self.path.with_name(self.path.name + ".new")
        try:
            self._make_mark()
            with draft.open("w", encoding="utf-8") as file:
                json.dump(journal, file, separators=(",", ":"))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            if not self._failing:
                # Going on is safe: a master that finds no journal takes everything as lost.
                _log.error("cannot write the master's journal %s (%s): free some space", self.path, error.strerror)
            self._failing = True
            self._supersede()
            return False
        self._failing = False
        return True

    def _make_mark(self) -> None:
        if self.mark.exists():
            return
        with self.mark.open("w", encoding="utf-8") as file:
            file.write(MARK_TEXT.format(name=self.path.name))
            file.flush()
            os.fsync(file.fileno())

    def _supersede(self) -> None:
        """Keep the old journal under a name where no master reads it (J4)."""
        try:
            self.path.replace(self.path.with_name(self.path.name + ".superseded"))
            _sync_folder(self.path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.critical(
                "the master's journal %s is out of date and can be neither written nor moved (%s): "
                "delete it before the master is started again",
                self.path,
                error.strerror,
            )

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
