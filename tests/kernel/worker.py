"""One process that locks what it is told to: a line in, a line out. It imports little, to start quickly.

In: `command file type start length`, all numbers. Out: 0 or the error's
name; after a getlk type, start and length. SIGUSR1 ends a wait (EINTR).

Elsewhere: who tells it (processes).
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import sys

FLOCK = struct.Struct("hhqqi4x")


class InterruptedWaitError(Exception):
    """Python repeats an interrupted call unless the signal's handler raises."""


def interrupt(_signal: int, _frame: object) -> None:
    """End the wait."""
    raise InterruptedWaitError


def answer(fds: list[int], words: list[bytes]) -> str:
    """Do what one line says."""
    command, file, kind, start, length = map(int, words)
    try:
        back = fcntl.fcntl(fds[file], command, FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    except InterruptedWaitError:
        return "EINTR"
    except OSError as error:
        return "EDEADLK" if error.errno == errno.EDEADLK else errno.errorcode[error.errno or 0]  # it has two names
    found, _, at, long, _ = FLOCK.unpack(back)
    return f"{found} {at} {long}" if command in (fcntl.F_GETLK, fcntl.F_OFD_GETLK) else "0"


def main(paths: list[str]) -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGUSR1, interrupt)
    fds = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    for line in sys.stdin.buffer:
        os.write(1, f"{answer(fds, line.split())}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
