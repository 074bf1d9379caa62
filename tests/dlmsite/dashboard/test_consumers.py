"""One browser's live connection, over a real channel layer and real rows."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from dlmsite.access.roles import Role, give_role
from dlmsite.asgi import application
from dlmsite.dashboard import consumers, feed, stream
from dlmsite.journal.models import Node
from dlmsite.journal.recorder import send_hint
from dlmsite.operations import requests
from tests.dlmsite.dashboard.conftest import add_events, hold

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("cluster")]

HOST = b"localhost:8000"


class Browser:
    """A page's side of the socket."""

    def __init__(self, path: str, cookie: str, origin: bytes) -> None:
        headers = [(b"host", HOST), (b"origin", origin), (b"cookie", cookie.encode())]
        self.socket = WebsocketCommunicator(application, path, headers=headers)
        self.socket.scope["server"] = ("localhost", 8000)

    async def open(self) -> bool:
        connected, _ = await self.socket.connect()
        return bool(connected)

    async def next(self, within_s: float = 5) -> dict[str, Any]:
        return dict(json.loads(await self.socket.receive_from(timeout=within_s)))

    async def next_of(self, kind: str, having: str = "type") -> dict[str, Any]:
        """Return the next message of a kind that has a member; others pass by."""
        async with asyncio.timeout(10):
            while (message := await self.next())["type"] != kind or not message.get(having):
                pass
        return message

    async def close(self) -> None:
        await self.socket.disconnect()


Open = Callable[..., Awaitable[Browser]]


@asynccontextmanager
async def closing(browser: Browser) -> AsyncIterator[Browser]:
    """Close it whatever happens."""
    try:
        yield browser
    finally:
        await browser.close()


@pytest.fixture
async def open_page(people: dict[str, User]) -> AsyncIterator[Open]:
    opened: list[Browser] = []

    async def make(name: str = "eve", query: str = "", origin: bytes = b"http://" + HOST) -> Browser:
        client = Client()
        if name:
            await sync_to_async(client.force_login)(people[name])
        cookies = client.cookies.get(settings.SESSION_COOKIE_NAME)
        cookie = f"{settings.SESSION_COOKIE_NAME}={cookies.value}" if cookies else ""
        browser = Browser(f"/ws/live/{query}", cookie, origin)
        if await browser.open():
            opened.append(browser)
            return browser
        raise ConnectionRefusedError

    yield make
    for browser in opened:
        await browser.close()
    assert not feed.feed()._watchers, "the last page that closes closes the feed"


async def add(count: int, **more: str) -> list[int]:
    ids: list[int] = await sync_to_async(add_events)(count, **more)
    await send_hint()
    return ids


@pytest.mark.parametrize(
    ("name", "origin"),
    [("", b"http://localhost:8000"), ("nobody", b"http://localhost:8000"), ("ada", b"http://evil:8000")],
)
async def test_only_who_may_see_from_this_very_site_gets_in(open_page: Open, name: str, origin: bytes) -> None:
    with pytest.raises(ConnectionRefusedError):
        await open_page(name, origin=origin)


async def test_a_page_is_greeted_and_gets_the_whole_picture(open_page: Open) -> None:
    ids = await add(3)
    await sync_to_async(hold)("k")
    browser = await open_page("ada")
    hello, snapshot = await browser.next(), await browser.next()
    assert (hello["type"], hello["user"], hello["can_operate"]) == ("hello", "ada", True)
    assert (snapshot["type"], snapshot["last_event_id"]) == ("snapshot", str(ids[-1]))
    assert [node["label"] for node in snapshot["nodes"]] == ["n1", "n2", "n3"]
    assert snapshot["locks"][0][0] == "k"


async def test_a_viewer_is_told_that_they_cannot_act(open_page: Open) -> None:
    assert (await (await open_page("eve")).next())["can_operate"] is False


async def test_new_events_arrive_in_order_and_once(open_page: Open) -> None:
    browser = await open_page()
    await browser.next_of("snapshot")
    ids = await add(2)
    ids += await add(3)
    seen: list[int] = []
    while len(seen) < 5:
        delta = await browser.next_of("delta", "events")
        seen += [int(event["id"]) for event in delta["events"]]
        assert delta["last_event_id"] == str(seen[-1])
        assert delta["skipped"] == 0
    assert seen == ids


async def test_a_lost_hint_loses_nothing(open_page: Open) -> None:
    """The push is only a hint; the rows are the truth."""
    browser = await open_page()
    await browser.next_of("snapshot")
    ids: list[int] = await sync_to_async(add_events)(1)
    delta = await browser.next_of("delta", "events")
    assert [int(event["id"]) for event in delta["events"]] == ids


async def test_a_page_that_comes_back_soon_gets_only_what_it_missed(open_page: Open) -> None:
    ids = await add(5)
    browser = await open_page(query=f"?after={ids[1]}")
    assert (await browser.next())["type"] == "hello"
    first = await browser.next()
    assert first["type"] == "delta"
    assert [int(event["id"]) for event in first["events"]] == ids[2:]
    assert first["view"]["settled"] is True  # the rest is complete, for it may have changed
    assert len(first["nodes"]) == 3


async def test_a_page_that_missed_nothing_gets_no_events(open_page: Open) -> None:
    ids = await add(2)
    browser = await open_page(query=f"?after={ids[-1]}")
    first = await browser.next_of("delta")
    assert first["events"] == []


async def test_a_page_that_missed_too_much_starts_again(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "DELTA_EVENTS_MAX", 3)
    ids = await add(5)
    browser = await open_page(query=f"?after={ids[0]}")
    await browser.next()
    assert (await browser.next())["type"] == "snapshot"


@pytest.mark.parametrize("after", ["x", "-1", "", "9" * 40, "999999999", "1&after=2"])
async def test_a_place_that_cannot_be_resumed_gets_a_snapshot(open_page: Open, after: str) -> None:
    """Also one from another data folder's history."""
    browser = await open_page(query=f"?after={after}")
    await browser.next()
    assert (await browser.next())["type"] == "snapshot"


async def test_a_burst_comes_in_few_messages_and_bounded(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most ten messages a second; who cannot follow event by event gets a snapshot."""
    monkeypatch.setattr(stream, "DELTA_EVENTS_MAX", 50)
    browser = await open_page()
    await browser.next_of("snapshot")
    started = asyncio.get_running_loop().time()
    ids: list[int] = []
    for _ in range(20):
        ids += await add(10)
    messages: list[dict[str, Any]] = []
    while not messages or int(messages[-1]["last_event_id"]) < ids[-1]:
        messages.append(await browser.next())
    passed_s = asyncio.get_running_loop().time() - started
    assert len(messages) <= consumers.PUSHES_MAX * (1 + passed_s // consumers.PUSHES_WITHIN_S)
    assert all(len(message["events"]) <= max(50, 100) for message in messages)


async def test_what_did_not_change_is_not_sent_again(open_page: Open) -> None:
    browser = await open_page()
    await browser.next_of("snapshot")
    await sync_to_async(lambda: Node.objects.filter(label="n1").update(state="fenced"))()
    delta = await browser.next_of("delta", "nodes")
    assert delta["nodes"][0]["state"] == "fenced"
    assert "view" not in delta
    assert "workload" not in delta


async def test_an_action_is_shown_in_each_of_its_states(open_page: Open) -> None:
    browser = await open_page()
    await browser.next_of("snapshot")
    await sync_to_async(requests.ask)("ada", "kill", "n1")
    await send_hint()
    assert [action["state"] for action in (await browser.next_of("delta", "actions"))["actions"]] == ["requested"]
    await sync_to_async(requests.claim)()
    await send_hint()
    assert [action["state"] for action in (await browser.next_of("delta", "actions"))["actions"]] == ["running"]


async def test_a_ping_is_answered(open_page: Open) -> None:
    browser = await open_page()
    await browser.socket.send_to('{"type":"ping"}')
    assert (await browser.next_of("pong"))["server_time_ms"] > 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[" * 4000, "not JSON"),
        ('"ping"', "not known"),
        ('{"type":"kill"}', "not known"),
        ("x" * 5000, "too long"),
    ],
)
async def test_a_malformed_message_is_explained_and_the_socket_stays(open_page: Open, text: str, told: str) -> None:
    browser = await open_page()
    await browser.socket.send_to(text)
    assert told in (await browser.next_of("error"))["detail"]
    await browser.socket.send_to('{"type":"ping"}')
    await browser.next_of("pong")


async def test_a_binary_message_is_explained(open_page: Open) -> None:
    browser = await open_page()
    await browser.socket.send_input({"type": "websocket.receive", "bytes": b"\xff\xfe"})
    assert "Binary" in (await browser.next_of("error"))["detail"]


async def test_who_loses_the_role_loses_the_picture(
    open_page: Open, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "ALLOWED_EVERY_S", 0.1)
    browser = await open_page("eve")
    await browser.next_of("snapshot")
    await sync_to_async(people["eve"].groups.clear)()
    async with asyncio.timeout(10):
        while (message := await browser.socket.receive_output(10))["type"] != "websocket.close":
            pass
    assert message["code"] == consumers.CLOSE_NOT_ALLOWED


async def test_who_becomes_an_operator_is_told_so(
    open_page: Open, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "ALLOWED_EVERY_S", 0.1)
    browser = await open_page("eve")
    await browser.next_of("snapshot")
    await sync_to_async(give_role)(people["eve"], Role.OPERATOR)
    assert (await browser.next_of("hello"))["can_operate"] is True


async def test_many_pages_share_one_reading(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's load does not grow with the number of pages."""
    browsers = [await open_page() for _ in range(5)]
    for browser in browsers:
        await browser.next_of("snapshot")
    reads: list[int] = []
    original = feed._read

    def counted(after: int, *before: Any) -> feed.Reading:
        reads.append(after)
        return original(after, *before)

    monkeypatch.setattr(feed, "_read", counted)
    await add(1)
    for browser in browsers:
        await browser.next_of("delta", "events")
    assert len(reads) <= 4


def test_never_more_than_ten_pushes_in_a_second() -> None:
    """Whatever the load: a clock of our own shows every window of a second."""
    pace, now_s = consumers.Pace(), 0.0
    pushes: list[float] = []
    for _ in range(200):
        now_s += pace.wait_s(now_s)
        pace.note(now_s)
        pushes.append(now_s)
        now_s += 0.001
    for start in pushes:
        assert len([at for at in pushes if start <= at < start + consumers.PUSHES_WITHIN_S - 1e-9]) <= 10
    assert pushes[-1] < 200 / consumers.PUSHES_MAX + 1
