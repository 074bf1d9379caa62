"""One stream to one node: bounds, messages that fit, streams that break."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore.client import link as link_module
from lockcore.client.link import BATCH_BYTES_MAX, CROWD, Link, LinkProblem
from lockcore.core.operations import Code, FindOwner, Granted, Lock, Refused, Released, Unlock
from lockcore.wire.codec import OPS_PER_BATCH_MAX, Call, encode_client_batch
from tests.lockcore.client.scripted import ScriptedNode, view_of
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lockcore.core.operations import Result
    from lockcore.wire.codec import ViewState


@pytest.fixture
async def node() -> AsyncIterator[ScriptedNode]:
    async with ScriptedNode() as running:
        yield running


@pytest.fixture
async def views() -> list[ViewState]:
    return []


@pytest.fixture
async def link(node: ScriptedNode, views: list[ViewState]) -> AsyncIterator[Link]:
    made = Link(node.target, views.append)
    yield made
    await made.close()


async def test_more_than_a_batch_holds_leaves_in_several(link: Link, node: ScriptedNode) -> None:
    count = OPS_PER_BATCH_MAX + 10
    results = await asyncio.gather(*(link.ask(Lock(f"k{i}", 1_000, "me"), 5_000) for i in range(count)))
    assert len(results) == count
    assert sum(node.batches) == count
    assert max(node.batches) == OPS_PER_BATCH_MAX


async def test_where_much_is_under_way_the_next_operations_leave_together(
    link: Link, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message costs more than the operations in it; what is gathered waits for a part of what it waits anyway."""
    monkeypatch.setattr(link_module, "GATHER_S_MAX", 0.5)
    monkeypatch.setattr(link_module, "BUSY_S", 30.0)
    link._took_s = 30.0  # a node that answers slowly
    node.script = lambda _: None
    asked = [asyncio.create_task(link.ask(Lock(f"k{i}", 1_000, "me"), 60_000)) for i in range(CROWD)]
    await node.heard_at_least(CROWD)
    for i in range(5):
        asked.append(asyncio.create_task(link.ask(Lock(f"more {i}", 1_000, "me"), 60_000)))
        await asyncio.sleep(0.001)
    await node.heard_at_least(CROWD + 5)
    assert node.batches[:2] == [CROWD, 5]
    for task in asked:
        task.cancel()


async def test_long_keys_make_no_message_that_is_too_long(link: Link, node: ScriptedNode) -> None:
    """4,096 operations with the longest keys would be refused as a whole."""
    longest = [Lock(f"{i:04}" + "k" * 4_092, 1_000, "o" * 1_024) for i in range(1_000)]
    await asyncio.gather(*(link.ask(operation, 5_000) for operation in longest))
    one = len(encode_client_batch([Call(1, longest[0], 5_000)]))
    assert max(node.batches) <= BATCH_BYTES_MAX // one + 2


async def test_views_arrive_without_any_question(link: Link, node: ScriptedNode, views: list[ViewState]) -> None:
    node.view = view_of(node)
    link.open()
    await until(lambda: bool(views), "the first view")
    assert views[0].view == node.view


async def test_a_question_is_given_up_when_its_time_is_over(link: Link, node: ScriptedNode) -> None:
    node.script = lambda _: None
    with pytest.raises(LinkProblem, match="no answer in time"):
        await link.ask(FindOwner("k"), 20)


async def test_a_late_grant_is_given_back(link: Link, node: ScriptedNode) -> None:
    node.script = lambda _: None
    with pytest.raises(LinkProblem):
        await link.ask(Lock("k", 60_000, "me"), 20)
    await node.answer(0, Granted("late", "me", 7, 1, 60_000))
    await node.heard_at_least(2)
    assert node.heard[1] == Unlock("k", "late")
    await node.answer(1, Released())
    await until(lambda: not link._questions, "nothing is left to wait for")


async def test_a_late_renewal_is_not(link: Link, node: ScriptedNode) -> None:
    """Its holder has the lock still, by the token before."""
    node.script = lambda _: None
    with pytest.raises(LinkProblem):
        await link.ask(Lock("k", 60_000, "me", "token"), 20)
    await node.answer(0, Granted("late", "me", 7, 2, 60_000))
    node.script = lambda _: Released()
    await link.ask(Unlock("other", "t"), 5_000)
    assert node.heard == [Lock("k", 60_000, "me", "token"), Unlock("other", "t")]


async def test_when_the_stream_breaks_everybody_is_told_and_the_next_question_opens_another(
    link: Link, node: ScriptedNode
) -> None:
    node.script = lambda _: None
    asking = [asyncio.create_task(link.ask(FindOwner(f"k{i}"), 60_000)) for i in range(3)]
    await node.heard_at_least(3)
    await node.stop()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(result) for result in results] == [LinkProblem] * 3
    assert not link.usable
    node.script = lambda _: Released()
    await node.start()
    await until(lambda: link.usable, "the pause is over")
    assert await link.ask(Unlock("k", "t"), 5_000) == Released()


async def test_more_questions_than_may_wait_are_refused(
    link: Link, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "PENDING_MAX", 2)
    node.script = lambda _: None
    asking = [asyncio.create_task(link.ask(FindOwner(f"k{i}"), 60_000)) for i in range(2)]
    await node.heard_at_least(2)
    with pytest.raises(LinkProblem, match="2 operations wait"):
        await link.ask(FindOwner("one too many"), 60_000)
    link.abandon("the test is over")
    await asyncio.gather(*asking, return_exceptions=True)


async def test_what_nobody_waits_for_any_more_is_not_sent(link: Link, node: ScriptedNode) -> None:
    gone = asyncio.create_task(link.ask(Lock("gone", 1_000, "me"), 5_000))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await link.ask(Lock("kept", 1_000, "me"), 5_000)
    assert node.heard == [Lock("kept", 1_000, "me")]


async def test_an_answer_that_cannot_be_read_breaks_the_stream_not_the_client(link: Link, node: ScriptedNode) -> None:
    node.script = lambda _: None
    asking = asyncio.create_task(link.ask(FindOwner("k"), 60_000))
    await node.heard_at_least(1)
    await node._contexts[0].write(b"\xff\xff\xff")
    with pytest.raises(LinkProblem, match=r"no lockring\.v1\.ServerBatch"):
        await asking


async def test_one_key_is_answered_to_each_who_asked(link: Link, node: ScriptedNode) -> None:
    answers: Iterator[Result] = iter([Granted("t", "a", 7, 1, 1_000), Refused(Code.HELD, "held", "a")])
    node.script = lambda _: next(answers)
    first, second = await asyncio.gather(link.ask(Lock("k", 1_000, "a"), 5_000), link.ask(Lock("k", 1_000, "b"), 5_000))
    assert isinstance(first, Granted)
    assert isinstance(second, Refused)
