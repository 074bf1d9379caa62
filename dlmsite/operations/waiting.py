"""Waits for something to become true that nobody tells of: by looking.

Elsewhere: who waits so (helm, turns, concluding, scenarios).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 0.05


async def comes_true(condition: Callable[[], bool], within_s: float) -> bool:
    """Say whether it became true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True
