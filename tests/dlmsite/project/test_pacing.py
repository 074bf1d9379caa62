"""A long answer waits for its reader."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dlmsite import pacing
from dlmsite.pacing import Pace, send_paced
from tests.dlmsite.waiting import until

MORE = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST = {"type": "http.response.body", "body": b""}


class FakeRequest:
    """What Twisted's Request does with a producer."""

    def __init__(self) -> None:
        self.channel: Any = self
        self.producer: Pace | None = None
        self.sent: list[Any] = []
        self.aborted = False
        self.errback: Callable[[object], object] = lambda _: None

    def registerProducer(self, producer: Pace, streaming: bool) -> None:  # noqa: FBT001, N802 - Twisted's
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802 - same
        self.producer = None

    def notifyFinish(self) -> "FakeRequest":  # noqa: N802 - same
        return self

    def addErrback(self, errback: Callable[[object], object]) -> None:  # noqa: N802 - same
        self.errback = errback

    def abortConnection(self) -> None:  # noqa: N802 - same
        self.aborted = True


async def reply(request: Any, message: Any) -> None:
    request.sent.append(message)


async def test_the_next_piece_waits_until_the_last_one_was_taken() -> None:
    request, paces = FakeRequest(), dict[Any, Pace]()
    await send_paced(reply, request, {"type": "http.response.start"}, paces)
    await send_paced(reply, request, MORE, paces)
    assert request.producer is not None
    request.producer.pauseProducing()
    second = asyncio.create_task(send_paced(reply, request, MORE, paces))
    await until(lambda: len(request.sent) == 3)
    assert not second.done()
    request.producer.resumeProducing()
    await second
    await send_paced(reply, request, LAST, paces)
    after: Pace | None = request.producer
    assert (after is None, len(paces), len(request.sent)) == (True, 0, 4)


async def test_a_reader_who_goes_ends_the_waiting() -> None:
    request, paces = FakeRequest(), dict[Any, Pace]()
    await send_paced(reply, request, MORE, paces)
    assert request.producer is not None
    request.producer.pauseProducing()
    second = asyncio.create_task(send_paced(reply, request, MORE, paces))
    await until(lambda: len(request.sent) == 2)
    request.producer.stopProducing()
    request.channel = None
    request.errback(None)
    await second
    await send_paced(reply, request, LAST, paces)
    assert paces == {}


async def test_a_reader_who_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "STALLED_S", 0.01)
    request, paces = FakeRequest(), dict[Any, Pace]()
    await send_paced(reply, request, MORE, paces)
    assert request.producer is not None
    request.producer.pauseProducing()
    with pytest.raises(TimeoutError):
        await send_paced(reply, request, MORE, paces)
    assert (request.aborted, paces) == (True, {})


async def test_an_answer_in_one_piece_is_sent_as_ever() -> None:
    request = FakeRequest()
    await send_paced(reply, request, LAST, {})
    assert (request.sent, request.producer) == ([LAST], None)
