"""Waiting for what has to come, and failing with a name when it does not."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STEP_S = 0.005


async def until(condition: Callable[[], T], what: str = "", within_s: float = 10.0) -> T:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what or condition}")
        await asyncio.sleep(STEP_S)
    return found
