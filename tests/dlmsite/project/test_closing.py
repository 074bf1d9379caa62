"""Who is inside when the site ends, and who comes then."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dlmsite.closing import Door, threads_left


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


def test_a_thread_that_waits_for_ever_is_named_and_others_end() -> None:
    over = threading.Event()
    threads = [
        threading.Thread(target=over.wait, name="waits for ever"),
        threading.Thread(target=over.wait, args=(0.01,), name="ends soon"),
        threading.Thread(target=over.wait, name="nobody waits for it", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        left = threads_left(0.3)
    finally:
        over.set()
    assert "waits for ever" in left
    assert "ends soon" not in left
    assert "nobody waits for it" not in left
    for thread in threads:
        thread.join()
