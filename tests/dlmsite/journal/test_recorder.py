"""The recorder's promises: committed before acknowledged, nothing dropped, nothing stopped for ever."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from channels.layers import get_channel_layer
from django.db import DataError, OperationalError

from dlmsite.journal import recorder as recorder_module
from dlmsite.journal.models import LockEvent, Pulse
from dlmsite.journal.recorder import LIVE_GROUP, Recorder, RecorderStopped
from dlmsite.journal.writer import JournalWriter, Written
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def batch(first: int, last: int, source: str = "127.0.0.1:8001.18001") -> EventBatch:
    event = Event(EventKind.GRANTED, "k", generation=1)
    return EventBatch(source, 1, tuple(NumberedEvent(n, 1, event) for n in range(first, last + 1)))


class ScriptedWriter(JournalWriter):
    """Fails as told before it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self.sizes: list[int] = []

    def write(self, batches: Sequence[EventBatch]) -> Written:
        if self.failures:
            raise self.failures.pop(0)
        self.sizes.append(len(batches))
        return super().write(batches)


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Recorder, ScriptedWriter]]:
    writer = ScriptedWriter()
    recorder = Recorder(writer)
    recorder.start()
    yield recorder, writer
    await recorder.stop()


Scripted = tuple[Recorder, ScriptedWriter]


async def rows() -> int:
    return await LockEvent.objects.acount()


async def test_it_returns_after_the_commit(scripted: Scripted) -> None:
    await scripted[0](batch(1, 3))
    assert await rows() == 3


async def test_batches_of_several_nodes_share_a_transaction(scripted: Scripted) -> None:
    recorder, writer = scripted
    await asyncio.gather(*(recorder(batch(1, 2, f"node{i}")) for i in range(5)))
    assert writer.sizes == [5]
    assert await rows() == 10


async def test_a_database_that_fails_is_tried_again_and_says_so(scripted: Scripted) -> None:
    """A full disk must neither crash the site nor lose an event."""
    recorder, writer = scripted
    writer.failures = [OperationalError("database or disk is full")] * 2
    reporting = asyncio.create_task(recorder(batch(1, 1)))
    await until(lambda: recorder.trouble)
    assert "disk is full" in recorder.trouble
    await reporting
    assert recorder.trouble == ""
    assert await rows() == 1


async def test_a_report_that_can_never_be_written_becomes_a_gap_and_stops_nothing(scripted: Scripted) -> None:
    recorder, writer = scripted
    writer.failures = [DataError("no such number")] * 2
    await asyncio.gather(recorder(batch(1, 2)), recorder(batch(1, 1, "other")))
    kinds = [kind async for kind in LockEvent.objects.order_by("id").values_list("kind", flat=True)]
    assert kinds == ["gap", "granted"]


async def test_a_bug_in_the_writer_becomes_a_gap_as_well(scripted: Scripted) -> None:
    recorder, writer = scripted
    writer.failures = [RuntimeError("bug")] * 2
    await recorder(batch(1, 2))
    assert [row.kind async for row in LockEvent.objects.all()] == ["gap"]


async def test_who_reports_too_much_waits(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure: the nodes spool, nothing is dropped."""
    recorder, writer = scripted
    monkeypatch.setattr(recorder_module, "QUEUE_EVENTS_MAX", 3)
    writer.failures = [OperationalError("busy")] * 3
    first = asyncio.create_task(recorder(batch(1, 3)))
    await until(lambda: recorder.waiting == 3)
    second = asyncio.create_task(recorder(batch(4, 5)))
    await until(lambda: recorder.trouble)
    assert recorder.waiting == 3
    await asyncio.gather(first, second)
    assert await rows() == 5


async def test_a_reporter_that_goes_away_takes_nothing_with_it(scripted: Scripted) -> None:
    recorder, _ = scripted
    reporting = asyncio.create_task(recorder(batch(1, 2)))
    await until(lambda: recorder.waiting == 2)
    reporting.cancel()
    await recorder(batch(3, 3))
    assert await rows() == 3


async def test_stopping_writes_what_waits_and_refuses_what_comes() -> None:
    recorder = Recorder()
    recorder.start()
    reporting = asyncio.create_task(recorder(batch(1, 2)))
    await asyncio.sleep(0)
    await recorder.stop()
    await reporting
    with pytest.raises(RecorderStopped):
        await recorder(batch(3, 3))
    assert await rows() == 2


async def test_pages_get_one_hint_for_many_commits(scripted: Scripted) -> None:
    """At most ten hints a second, whatever the load."""
    layer = get_channel_layer()
    assert layer is not None
    channel = await layer.new_channel()
    await layer.group_add(LIVE_GROUP, channel)
    hints: list[object] = []

    async def listen() -> None:
        while True:
            hints.append(await layer.receive(channel))

    listening = asyncio.create_task(listen())
    started = asyncio.get_running_loop().time()
    for number in range(1, 13):
        await scripted[0](batch(number, number))
    passed_s = asyncio.get_running_loop().time() - started
    listening.cancel()
    assert 1 <= len(hints) <= passed_s / recorder_module.HINT_EVERY_S + 2


async def test_the_pulse_says_that_the_recorder_lives(scripted: Scripted) -> None:
    await scripted[0](batch(1, 1))
    async with asyncio.timeout(10):
        while not await Pulse.objects.aexists():
            pass
    assert (await Pulse.objects.aget()).trouble == ""
