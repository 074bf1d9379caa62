"""A child that ends when the harness ends, however that ends.

Elsewhere: the children (node, master, client).
"""

from __future__ import annotations

import ctypes
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """Ask the kernel for a SIGKILL at the parent's death; it reaches a stopped process as well."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
