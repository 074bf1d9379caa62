"""Messages to a browser are bounded, whatever is held and however long the names are."""

import json
from typing import Any

import pytest

from dlmsite.dashboard import stream
from dlmsite.dashboard.feed import Feed
from dlmsite.dashboard.stream import Stream, pieces_of

LIMIT = 20_000
ROOM = 2_000
"""What a message holds beside rows and events."""


def test_pieces_hold_every_row_once_in_order_and_each_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TEXT_BYTES_MAX", LIMIT)
    rows: list[list[Any]] = [[f"key-{i}" * (i % 40 + 1), "owner", str(i)] for i in range(2_000)]
    pieces = list(pieces_of(rows))
    assert [row for piece in pieces for row in piece] == rows
    assert max(len(json.dumps(piece)) for piece in pieces) <= LIMIT + ROOM


def test_a_row_larger_than_a_piece_still_comes() -> None:
    """A key may have 4,096 bytes, and nothing is lost."""
    rows: list[list[Any]] = [["k" * (stream.TEXT_BYTES_MAX + 1)], ["small"]]
    assert list(pieces_of(rows)) == [[rows[0]], [rows[1]]]


async def test_events_that_do_not_fit_come_with_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that came late under load once outgrew the server's limit, and the page stood still for ever."""
    monkeypatch.setattr(stream, "TEXT_BYTES_MAX", LIMIT)
    shared = Feed()
    shared.events.extend((number, json.dumps({"id": str(number), "key": "k" * 500})) for number in range(1, 201))
    shared.last_id = 200
    shared.floor_id = 0
    browser = Stream(shared)
    seen: list[str] = []
    while not seen or browser.behind:
        for text in await browser.next():
            assert len(text) <= LIMIT + ROOM
            message = json.loads(text)
            seen += [event["id"] for event in message["events"]]
            assert message["last_event_id"] == seen[-1]
    assert seen == [str(number) for number in range(1, 201)]
    assert await browser.next() == []
