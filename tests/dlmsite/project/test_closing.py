"""Who is inside when the site ends, and who comes then."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dlmsite.closing import Door

ROOT = Path(__file__).resolve().parents[3]


class Site:
    """An application that answers when it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.door = Door(self)
        self.sent: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        del scope, receive
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200})

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def come(self, kind: str = "http") -> asyncio.Task[None]:
        """Come to the door."""
        return asyncio.ensure_future(self.door({"type": kind}, None, self.send))


async def turn() -> None:
    """Let everybody who can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_who_is_inside_is_answered_before_the_door_is_closed() -> None:
    """D1."""
    site = Site()
    inside = site.come()
    await turn()
    closing = asyncio.ensure_future(site.door.close(60))
    await turn()
    assert not closing.done()
    site.may_answer.set()
    assert await closing
    assert inside.done()
    assert [message["status"] for message in site.sent] == [200]


@pytest.mark.asyncio
async def test_who_does_not_leave_in_time_is_not_waited_for() -> None:
    """D1: a long export ends with the site."""
    site = Site()
    inside = site.come()
    await turn()
    assert not await site.door.close(0.01)
    inside.cancel()
    await turn()
    assert await site.door.close(0.01)


@pytest.mark.asyncio
async def test_who_comes_later_is_told_so_and_a_websocket_is_not_counted() -> None:
    """D2."""
    site = Site()
    watching = site.come("websocket")
    await turn()
    assert await site.door.close(60)
    await site.come()
    start, body = site.sent
    assert start["status"] == 503
    assert (b"connection", b"close") in start["headers"]
    assert b"Load this page again" in body["body"]
    watching.cancel()


@pytest.mark.parametrize(("waits", "code"), [("over.wait", 3), ("int", 7)])
def test_threads_that_wait_for_ever_are_left_behind_and_others_ended_by_python(waits: str, code: int) -> None:
    """D3: in a process of its own, which says 7 when it ends by itself, and 3 when it is ended."""
    program = f"""
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from dlmsite.closing import end_anyway
over = threading.Event()
ThreadPoolExecutor(1).submit({waits})
end_anyway({0.5 if code == 3 else 600}, 3)
sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert (b"given up: ThreadPoolExecutor-0_0" in done.stderr) == (code == 3)
