"""Has a core called when it wants to be: one timer of the loop, set to the earliest time that was asked for.

Elsewhere: what is done then (shell, master_shell), this moment (clock).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lockcore.service import clock

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Rings once for each time that it is set; early is harmless, late is not.

    Args:
        ring: what is called.
        gap_ns: it rings no sooner than this from now, whatever is asked for.
    """

    def __init__(self, ring: Callable[[], None], gap_ns: int) -> None:
        self._ring = ring
        self._gap_ns = gap_ns
        self._timer: asyncio.TimerHandle | None = None
        self._at_ns = 0

    def set(self, at_ns: int | None) -> None:
        """Ring at a time of the boot clock, unless it rings before that anyway. None: there is no need to."""
        if at_ns is None or (self._timer is not None and self._at_ns <= at_ns):
            return
        self.cancel()
        delay_ns = max(at_ns - clock.boot_ns(), self._gap_ns)
        self._at_ns = at_ns
        self._timer = asyncio.get_running_loop().call_later(delay_ns / 1e9, self._rings)

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rings(self) -> None:
        self._timer = None
        self._ring()
