"""A child that ends when the harness ends, however that ends.

Elsewhere: the children (node, master, client).
"""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_LAUNCH: Final = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"


def die_with_parent() -> None:
    """Ask the kernel for a SIGKILL at the parent's death; it reaches a stopped process as well."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def dying(command: list[str]) -> list[str]:
    """Return a command that does so, and then becomes the given one, whose first word is a path.

    Not `preexec_fn`: a fork that runs Python in a process with gRPC's threads may die of gRPC's own fork handlers.
    """
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, *command]
