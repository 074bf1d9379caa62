"""One site per data folder: a lock on a file, which also tells others where the site is.

    DATA/up.lock  {"pid", "host", "port"}, locked (flock) as long as the process lives

Invariants
  C1  The lock goes with the process, however it ends: what the file says counts only while it is locked.
Elsewhere: who takes it (`manage.py up`, `manage.py master`), who reads it (`manage.py status`).
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

NAME: Final = "up.lock"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who runs in a data folder, and at which address."""

    pid: int
    host: str
    port: int


class FolderInUse(Exception):  # noqa: N818 - for the reader to act on
    """Another process has the folder; `claim` says who, if it has said so."""

    def __init__(self, claim: Claim | None) -> None:
        super().__init__("in use")
        self.claim = claim


def take(data: Path, claim: Claim) -> int:
    """Lock the folder for this process; return the descriptor, which holds the lock until it is closed.

    Raises:
        FolderInUse: another process has it.
        OSError: the folder cannot be used.
    """
    descriptor = os.open(data / NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FolderInUse(_read(data)) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps(asdict(claim)).encode())
    return descriptor


def current(data: Path) -> Claim | None:
    """Return who has the folder now; None if nobody."""
    try:
        descriptor = os.open(data / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(data)
    finally:
        os.close(descriptor)
    return None


def _read(data: Path) -> Claim | None:
    try:
        raw = json.loads((data / NAME).read_text(encoding="utf-8"))
        return Claim(int(raw["pid"]), str(raw["host"]), int(raw["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
