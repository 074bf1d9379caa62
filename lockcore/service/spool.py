"""A node's facts on disk, until the recorder has them.

One line of JSON per fact, one write per batch, before the reply that the
facts belong to. No fsync: the file must outlive the process (SIGKILL), not
the machine. The newest facts are also kept in memory, so that reporting
does not read back what was just written.

    {"spool":1,"source":"127.0.0.1:8001.18001","incarnation":"..."}
    {"n":1,"w":1700000000000000000,"kind":"granted","key":"a",...}

Invariants
  O1  Numbers count from 1 without holes, also over facts that could not be
      written: what is lost shows as a gap.
  O2  The file never holds half a line: what was cut short is cut off.
  O3  The file is bounded (SPOOL_BYTES_MAX); the oldest facts give way.
Elsewhere: sending (report_link), rows (dlmsite.journal).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections import deque
from dataclasses import dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.view import MemberId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SPOOL_BYTES_MAX: Final = 64 * 1024 * 1024
"""About 300,000 facts: an hour of a busy node without a recorder."""
TRIM_BYTES: Final = 4 * 1024 * 1024
"""Acknowledged lines are cut off in pieces of at least this size."""
MARK_BYTES: Final = 16 * 1024
"""The place of every so many bytes is remembered, to find facts by number."""
RECENT_MAX: Final = 8_192
BATCH_MAX: Final = 500

_FIELDS: Final = tuple(f.name for f in fields(Event) if f.name != "kind")
_log = logging.getLogger(__name__)


class Spool:
    """The facts of one incarnation. Not for several threads."""

    def __init__(self, path: Path, member: MemberId, *, bytes_max: int = SPOOL_BYTES_MAX) -> None:
        """Open the file; it may not exist yet, its folder must.

        Raises:
            OSError: it cannot be made.
        """
        self.path = path
        self.member = member
        self.last = 0
        self.acknowledged = 0
        self.unwritten = 0
        self._bytes_max = bytes_max
        self._recent: deque[NumberedEvent] = deque(maxlen=RECENT_MAX)
        self._marks: deque[tuple[int, int]] = deque()  # (number, offset of its line)
        self._file = _open(path)
        self._size = 0
        self._failing = False
        self._write(_header(member))

    @property
    def unreported(self) -> int:
        """How many facts the recorder has not acknowledged."""
        return self.last - self.acknowledged

    def append(self, events: Sequence[Event]) -> range:
        """Number facts and write them at once; never raises.

        Returns:
            Their numbers. Where the disk is full they are only in memory, and counted in `unwritten`.
        """
        wall_ns = time.time_ns()
        first = self.last + 1
        numbered = [NumberedEvent(first + i, wall_ns, event) for i, event in enumerate(events)]
        self.last += len(numbered)
        self._recent.extend(numbered)
        offset = self._size
        if not self._write(b"".join(map(_line, numbered))):
            self.unwritten += len(numbered)
        elif not self._marks or offset - self._marks[-1][1] >= MARK_BYTES:
            self._marks.append((first, offset))
        if self._size > self._bytes_max:
            self._make_room()
        return range(first, self.last + 1)

    def read(self, after: int, limit: int = BATCH_MAX) -> EventBatch:
        """Return the facts that follow number `after`, at most `limit`."""
        recent = self._recent
        if recent and recent[0].number <= after + 1:
            start = after + 1 - recent[0].number
            found = tuple(islice(recent, start, start + limit))
        else:
            found = tuple(islice((n for n in self._stored(after) if n.number > after), limit))
            if not found and recent:  # neither file nor memory has it: a gap
                found = tuple(islice(recent, limit))
        return EventBatch(self.member.address, self.member.incarnation, found)

    def acknowledge(self, number: int) -> None:
        """Note that everything up to `number` is recorded; cut it off in time."""
        self.acknowledged = max(self.acknowledged, min(number, self.last))
        keep_from = self._size
        while self._marks and self._marks[0][0] <= self.acknowledged:
            # A batch goes when its successor is acknowledged, or all is.
            if len(self._marks) > 1 and self._marks[1][0] > self.acknowledged + 1:
                break
            if len(self._marks) == 1 and self.acknowledged < self.last:
                break
            self._marks.popleft()
        if self._marks:
            keep_from = self._marks[0][1]
        if keep_from >= TRIM_BYTES:
            self._cut(keep_from)

    def close(self) -> None:
        """Close the file; remove it if nothing in it is still needed."""
        with contextlib.suppress(OSError):
            os.close(self._file)
            if self.acknowledged >= self.last:
                self.path.unlink()

    # --- inside -----------------------------------------------------------------------

    def _write(self, data: bytes) -> bool:
        try:
            whole = os.write(self._file, data) == len(data)
            if not whole:
                os.ftruncate(self._file, self._size)  # O2
        except OSError:
            whole = False
        if not whole:
            if not self._failing:
                _log.error("cannot write facts to %s: free some space on its disk; locking goes on", self.path)
            self._failing = True
            return False
        if self._failing:
            _log.warning("facts are written to %s again; %d were not", self.path, self.unwritten)
        self._failing = False
        self._size += len(data)
        return True

    def _stored(self, after: int) -> Iterator[NumberedEvent]:
        offset = 0
        for number, at in self._marks:
            if number > after + 1:
                break
            offset = at
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            file.seek(offset)
            yield from _events_in(file)

    def _make_room(self) -> None:
        """Drop the older half (O3)."""
        while len(self._marks) > 1 and self._marks[0][1] < self._size // 2:
            self._marks.popleft()
        _log.warning("%s is full: the oldest facts that nobody fetched are dropped", self.path)
        self._cut(self._marks[0][1] if self._marks else self._size)

    def _cut(self, keep_from: int) -> None:
        """Put a file without the first lines in place of the old one."""
        draft = self.path.with_suffix(".tmp")
        header = _header(self.member)
        try:
            with self.path.open("rb") as old:
                old.seek(keep_from)
                tail = old.read()
            draft.write_bytes(header + tail)
            draft.replace(self.path)
            os.close(self._file)
            self._file = _open(self.path, truncate=False)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            _log.warning("cannot shorten %s: %s", self.path, error)
            return
        shift = keep_from - len(header)
        self._marks = deque((number, offset - shift) for number, offset in self._marks)
        self._size = len(header) + len(tail)


@dataclass(frozen=True, slots=True)
class Leftover:
    """The spool of a node that is gone: who it was, and what it saw."""

    member: MemberId
    path: Path

    def batches(self) -> Iterator[EventBatch]:
        """Yield its facts in batches; a line that cannot be read ends them.

        Raises:
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            events = _events_in(file)
            while chunk := tuple(islice(events, BATCH_MAX)):
                yield EventBatch(self.member.address, self.member.incarnation, chunk)


def open_leftover(path: Path) -> Leftover | None:
    """Return what a spool file holds, or None where it is none.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            raw = json.loads(file.readline())
            return Leftover(MemberId(str(raw["source"]), int(raw["incarnation"])), path)
        except (ValueError, KeyError, TypeError):
            return None


def spool_path(folder: Path, label: str, incarnation: int) -> Path:
    """Return where the spool of one life of a node lies in the data folder."""
    return folder / "spool" / f"{label}-{incarnation}.ndjson"


def _open(path: Path, *, truncate: bool = True) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if truncate else 0)
    return os.open(path, flags, 0o600)


def _header(member: MemberId) -> bytes:
    raw = {"spool": 1, "source": member.address, "incarnation": str(member.incarnation)}
    return json.dumps(raw, separators=(",", ":")).encode() + b"\n"


def _line(numbered: NumberedEvent) -> bytes:
    event = numbered.event
    raw: dict[str, Any] = {"n": numbered.number, "w": numbered.wall_ns, "kind": event.kind.value}
    for name in _FIELDS:
        value = getattr(event, name)
        if value:
            raw[name] = value
    return json.dumps(raw, separators=(",", ":")).encode() + b"\n"


def _events_in(lines: Iterator[bytes]) -> Iterator[NumberedEvent]:
    """Read lines until one is not whole; a header is passed over."""
    for line in lines:
        try:
            raw = json.loads(line)
            if "spool" in raw:
                continue
            number, wall_ns, kind = raw.pop("n"), raw.pop("w"), EventKind(raw.pop("kind"))
            yield NumberedEvent(number, wall_ns, Event(kind, **raw))
        except (ValueError, KeyError, TypeError, AttributeError):
            return
