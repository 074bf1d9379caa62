"""What nodes print: one bounded file each, and its last line for people.

Elsewhere: starting nodes (supervisor).
"""

import os
import re
from pathlib import Path
from typing import IO, Final

FOLDER: Final = "logs"
BYTES_MAX: Final = 4 * 1024 * 1024
TAIL_BYTES: Final = 4096
LINE_CHARS_MAX: Final = 300
# Nodes print no secrets; should one ever, it does not reach the page.
_SECRET_LIKE: Final = re.compile(r"[0-9a-fA-F]{32,}|[A-Za-z0-9_-]{43,}")


class NodeLogs:
    """The log files of one data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def path(self, label: str) -> Path:
        """Return where the output of a node goes."""
        return self._folder / f"{label}.log"

    def open_new(self, label: str) -> IO[bytes]:
        """Begin a node's file anew; the former one stays beside it.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path(label)
        if path.exists():
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def bound(self) -> None:
        """Empty files that have grown too long; writers append, so they go on at the new end."""
        for path in self._folder.glob("*.log"):
            if path.stat().st_size > BYTES_MAX:
                os.truncate(path, 0)

    def last_line(self, label: str) -> str:
        """Return the last line that is not empty, cut short; empty if there is none."""
        try:
            with self.path(label).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return _SECRET_LIKE.sub("…", lines[-1])[:LINE_CHARS_MAX] if lines else ""
