"""What fcntl(2) does and what /proc says of it.

Elsewhere: the operations that are compared (descriptions, processes).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockcore.core.rangerecords import OFFSET_MAX, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

TYPES = {Kind.READ: fcntl.F_RDLCK, Kind.WRITE: fcntl.F_WRLCK, None: fcntl.F_UNLCK}
KINDS = {fcntl.F_RDLCK: Kind.READ, fcntl.F_WRLCK: Kind.WRITE, fcntl.F_UNLCK: None}
FLOCK = struct.Struct("hhqqi4x")
LINE = re.compile(
    r"(?:lock:\t)?\d+: ( *-> )?(?:POSIX|OFDLCK) +ADVISORY +(READ|WRITE) (-?\d+) \w+:\w+:(\d+) (\d+) (\w+)"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One lock of /proc; `level` 0 is held, 1 waits for one that is held, 2 for one of those, and so on."""

    level: int
    kind: Kind
    pid: int
    inode: int
    start: int
    end: int


def control(fd: int, command: int, kind: Kind | None, start: int, length: int) -> bytes | str:
    """Call fcntl; return the struct flock that came back, or the error's name."""
    try:
        return fcntl.fcntl(fd, command, FLOCK.pack(TYPES[kind], os.SEEK_SET, start, length, 0))
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def unpacked(answer: bytes) -> tuple[Kind, int, int] | None:
    """Return what F_GETLK found: kind, first byte, last byte; None for F_UNLCK."""
    type_, _, start, length, _ = FLOCK.unpack(answer)
    kind = KINDS[type_]
    if kind is None:
        return None
    return kind, start, start + length - 1 if length else OFFSET_MAX


def of_description(fd: int) -> list[tuple[int, int, Kind]]:
    """Return what an open file description holds, as (first byte, last byte, kind)."""
    lines = parsed(_read(f"/proc/self/fdinfo/{fd}").splitlines())
    return sorted((line.start, line.end, line.kind) for line in lines)


def of_machine(inodes: set[int]) -> list[Line]:
    """Return all locks on some files, each followed by those that wait for it."""
    return [line for line in parsed(_read("/proc/locks").splitlines()) if line.inode in inodes]


def parsed(lines: Iterable[str]) -> list[Line]:
    """Return the POSIX and OFD locks among some lines."""
    return [_line(match) for match in map(LINE.match, lines) if match]


def _line(match: re.Match[str]) -> Line:
    arrow, kind, pid, inode, start, end = match.groups()
    level = 0 if arrow is None else len(arrow) - len("-> ") + 1
    last = OFFSET_MAX if end == "EOF" else int(end)
    return Line(level, Kind(kind.lower()), int(pid), int(inode), int(start), last)


def _read(path: str) -> str:
    # In large pieces: the kernel shows one piece as it is at one moment.
    fd = os.open(path, os.O_RDONLY)
    try:
        pieces = []
        while piece := os.read(fd, 1 << 20):
            pieces.append(piece)
    finally:
        os.close(fd)
    return b"".join(pieces).decode()
