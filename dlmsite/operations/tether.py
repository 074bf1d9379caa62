"""Run a program that ends with us: `python tether.py PARENT_PID PROGRAM ARGUMENT...`.

Nodes outlive a crash of the site; its workload must not. The kernel sends SIGTERM to this process when the parent dies,
and goes on doing so after exec.

Elsewhere: who uses it (workload).
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the tie
        return
    os.execv(program[0], program)  # noqa: S606 - the site's own program


if __name__ == "__main__":
    main(sys.argv[1:])
