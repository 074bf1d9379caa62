"""What a program may do wrong with sessions, queues and byte ranges, and what real nodes answer.

After every test somebody honest still holds the lock and the range that they held before, under the same generation.

Elsewhere: other bad input (tests/acceptance/test_bad_input.py), damaged bytes (tests/lockcore/wire/test_borders.py).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lockcore.core.limits import (
    LOCK_DELAY_MS_MAX,
    LOCK_OWNER_BYTES_MAX,
    WAIT_MS_MAX,
    WAITERS_MAX,
    WAITERS_OF_SESSION_MAX,
)
from lockcore.core.messages import (
    ClearRange,
    Code,
    EndSession,
    FindConflict,
    FindOwner,
    Granted,
    KeepAlive,
    ListHeld,
    Lock,
    Move,
    MoveRanges,
    OpenSession,
    OwnerIs,
    RangeConflict,
    RangeDenied,
    RangeLocked,
    Refused,
    Released,
    SessionIs,
    SessionProof,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import Errno, Kind
from lockcore.service.addresses import grpc_target
from lockcore.service.locks_service import UNDER_WAY_MAX
from tests.lockcore.service.cluster import WAIT_S, Cluster, Talk, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lockcore.core.messages import Result

pytestmark = pytest.mark.acceptance

KEY, FILE = "honest", "honest file"
TTL_MS = 60_000


class Honest:
    """A program that holds a lock and a range all the time."""

    def __init__(self, talk: Talk, proof: SessionProof, generation: int) -> None:
        self.talk = talk
        self.proof = proof
        self.generation = generation

    async def check(self) -> None:
        """See that it holds what it held."""
        found = await self.talk.ask(FindOwner(KEY))
        assert isinstance(found, OwnerIs)
        assert (found.owner, found.generation) == ("ada", self.generation)
        other = await opened(self.talk, "other")
        in_the_way = await self.talk.ask(FindConflict(FILE, other, "o", Kind.READ, 0, 0))
        assert isinstance(in_the_way, RangeConflict)
        assert (in_the_way.piece.start, in_the_way.piece.length) == (10, 10)


async def opened(talk: Talk, label: str, ttl_ms: int = TTL_MS) -> SessionProof:
    """Open a session, as soon as the node serves: on a busy machine it may have missed its master for a while."""
    async with asyncio.timeout(WAIT_S):
        while isinstance(found := await talk.ask(OpenSession(label, ttl_ms)), Refused):
            assert found.code is Code.NOT_SERVING, found
            await asyncio.sleep(0.05)  # the pace of asking
    assert isinstance(found, SessionIs)
    return found.session


@pytest.fixture
async def node(cluster: Cluster) -> Cluster:
    await cluster.start_nodes(1)
    return cluster


@asynccontextmanager
async def connection(cluster: Cluster) -> AsyncIterator[Talk]:
    """A connection of its own; a busy machine may refuse the first attempt."""
    talk = Talk(grpc_target(cluster.address("n1")))
    while not talk.first_view.is_set():
        viewed = asyncio.create_task(talk.first_view.wait())
        await asyncio.wait({talk.reader, viewed}, return_when=asyncio.FIRST_COMPLETED)
        viewed.cancel()
        if talk.reader.done():
            await talk.close()
            talk = Talk(grpc_target(cluster.address("n1")))
    try:
        yield talk
    finally:
        await talk.close()


@pytest.fixture
async def honest(node: Cluster) -> AsyncIterator[Honest]:
    async with connection(node) as talk:
        proof = await opened(talk, "ada")
        got = await talk.ask(Lock(KEY, TTL_MS, "ada", session=proof, op_id=1))
        assert isinstance(got, Granted)
        assert isinstance(await talk.ask(SetRange(FILE, proof, 2, "main", Kind.WRITE, 10, 10)), RangeLocked)
        holder = Honest(talk, proof, got.generation)
        yield holder
        await holder.check()


def refused(result: Result) -> Refused:
    """Return a refusal; anything else fails the test."""
    assert isinstance(result, Refused), result
    assert result.text
    return result


async def test_whoever_lacks_the_secret_can_do_nothing_in_a_session(honest: Honest) -> None:
    """The id and the incarnation are seen by everybody, on the page too."""
    own = await opened(honest.talk, "eve")
    for secret in ("", "0" * 64, own.secret, "ü", "x" * 127):
        forged = replace(honest.proof, secret=secret)
        for operation in (
            KeepAlive(forged, TTL_MS),
            EndSession(forged),
            Lock("free", TTL_MS, "eve", session=forged, op_id=9),
            Lock(KEY, TTL_MS, "eve", session=forged, op_id=1),
            Unlock(KEY, "", forged, 1),
            SetRange(FILE, forged, 9, "main", Kind.WRITE, 10, 10),
            ClearRange(FILE, forged, 9, "main"),
            FindConflict(FILE, forged, "main", Kind.READ, 0, 0),
        ):
            assert refused(await honest.talk.ask(operation)).code is Code.SESSION_LOST
        for about_another in (
            ListHeld(forged),
            Move(KEY, "eve", own, 9, forged),
            MoveRanges(FILE, own, 10, forged),
        ):
            told = refused(await honest.talk.ask(about_another))
            assert told.code is Code.INVALID
            assert "secret" in told.text
        told = refused(await honest.talk.ask(OpenSession("eve", TTL_MS, again=forged)))
        assert told.code is Code.SESSION_LOST
        assert "secret" in told.text
    assert refused(await honest.talk.ask(Unlock(KEY, "", own))).code is Code.NOT_FOUND


async def test_an_operation_that_comes_again_is_answered_and_not_done_again(honest: Honest) -> None:
    """Whether the network repeats it or a program does."""
    own = await opened(honest.talk, "bob")
    wish = Lock("again", TTL_MS, "bob", session=own, op_id=7)
    first, second = await honest.talk.ask(wish), await honest.talk.ask(wish)
    assert isinstance(first, Granted)
    assert isinstance(second, Granted)
    assert first.generation == second.generation
    for _ in range(2):
        assert isinstance(await honest.talk.ask(Unlock("again", "", own, 7)), Released)
    assert refused(await honest.talk.ask(wish)).code is Code.NOT_FOUND
    assert refused(await honest.talk.ask(FindOwner("again"))).code is Code.NOT_FOUND
    lock = SetRange("again", own, 8, "o", Kind.WRITE, 0, 10)
    assert await honest.talk.ask(lock) == await honest.talk.ask(lock)
    assert isinstance(await honest.talk.ask(ClearRange("again", own, 9, "o")), Released)
    assert isinstance(await honest.talk.ask(lock), RangeLocked)  # the answer of then, not the lock
    third = await opened(honest.talk, "third")
    assert isinstance(await honest.talk.ask(SetRange("again", third, 1, "o", Kind.WRITE, 0, 0)), RangeLocked)


ABSURD = [
    (0, -1, Errno.EINVAL),
    (-1, 1, Errno.EINVAL),
    (-(2**63), -(2**63), Errno.EINVAL),
    (5, -6, Errno.EINVAL),
    (2**63 - 1, 2, Errno.EOVERFLOW),
    (1, 2**63 - 1, None),
    (2, 2**63 - 1, Errno.EOVERFLOW),
]


async def test_absurd_ranges_get_the_kernels_answer(honest: Honest) -> None:
    own = await opened(honest.talk, "eve")
    for number, (start, length, error) in enumerate(ABSURD, 1):
        told = await honest.talk.ask(SetRange("absurd", own, number, "o", Kind.READ, start, length))
        assert (told.error if isinstance(told, RangeDenied) else None) is error, (start, length)
        looked = await honest.talk.ask(FindConflict("absurd", own, "o", Kind.READ, start, length))
        assert (looked.error if isinstance(looked, RangeDenied) else None) is error, (start, length)


async def test_what_is_out_of_bounds_is_told_the_bounds(honest: Honest) -> None:
    own = await opened(honest.talk, "eve")
    cases: list[tuple[Any, str]] = [
        (OpenSession("eve", 0), "a session's lease lasts 1000 to 60000 ms"),
        (OpenSession("eve", 600_000), "a session's lease lasts 1000 to 60000 ms"),
        (OpenSession("l" * 256, TTL_MS), "label has at most 255 bytes"),
        (Lock("k", TTL_MS, "eve", session=own), "needs an op_id"),
        (Lock("k", TTL_MS, "eve", session=own, op_id=1, wait_ms=WAIT_MS_MAX + 1), "a wait lasts"),
        (Lock("k", TTL_MS, "eve", session=own, op_id=1, delay_ms=LOCK_DELAY_MS_MAX + 1), "a lock-delay lasts"),
        (SetRange("k", own, 0, "o", Kind.READ, 0, 1), "needs an op_id"),
        (SetRange("", own, 1, "o", Kind.READ, 0, 1), "a key has 1 to"),
        (SetRange("k", own, 1, "o" * (LOCK_OWNER_BYTES_MAX + 1), Kind.READ, 0, 1), "a lock-owner has at most"),
        (Move("k", "eve", own, 1, own), "cannot take over from itself"),
        (KeepAlive(replace(own, secret="s" * 10_000), TTL_MS), "this is no session"),
    ]
    for operation, words in cases:
        told = refused(await honest.talk.ask(operation))
        assert (told.code, words in told.text) == (Code.INVALID, True), told.text


async def test_a_client_that_goes_silent_loses_its_turn_and_keeps_nobody_waiting(honest: Honest, node: Cluster) -> None:
    """It neither says goodbye nor hangs up: its session ends by itself, and its place in the queue with it."""
    async with connection(node) as mute, connection(node) as idle:
        await until(lambda: idle.view is not None, "a stream that says nothing at all")
        silent = await opened(mute, "silent", 1_000)
        assert isinstance(await mute.ask(Lock("mute", TTL_MS, "silent", session=silent, op_id=1)), Granted)
        bob = await opened(honest.talk, "bob")
        waits = Lock("mute", TTL_MS, "bob", session=bob, op_id=1, wait_ms=30_000)
        got = await honest.talk.ask(waits, 60_000)
        assert isinstance(got, Granted)
        late = Lock("mute", TTL_MS, "silent", session=silent, op_id=2, wait_ms=None)
        assert refused(await mute.ask(late)).code is Code.SESSION_LOST


async def test_a_flood_of_waits_is_bounded_and_others_are_served(honest: Honest, node: Cluster) -> None:
    """A key has so many places, and one session so many of them; what is more is told so at once."""
    async with AsyncExitStack() as stack:
        talk = await stack.enter_async_context(connection(node))
        floods = [await opened(talk, f"eve {i}") for i in range(WAITERS_MAX // WAITERS_OF_SESSION_MAX + 2)]
        wishes = []
        for eve in floods:
            wishes += await talk.say(
                [
                    Lock(KEY, TTL_MS, "eve", session=eve, op_id=i + 1, wait_ms=None)
                    for i in range(WAITERS_OF_SESSION_MAX + 10)
                ],
                60_000,
            )
        await until(lambda: sum(task.done() for task in wishes) == len(wishes) - WAITERS_MAX, "the refusals")
        assert sum(task.done() for task in wishes[: WAITERS_OF_SESSION_MAX + 10]) == 10  # of one session alone
        told = {refused(task.result()).code for task in wishes if task.done()}
        assert told == {Code.OVERLOADED}
        await honest.check()
        bob = await opened(honest.talk, "bob")
        assert isinstance(await honest.talk.ask(Lock("b", TTL_MS, "bob", session=bob, op_id=1)), Granted)
        assert (await node.status("n1")).handler_errors == 0
        for eve in floods:
            await talk.ask(EndSession(eve))
        assert {refused(result).code for result in await asyncio.gather(*wishes)} == {
            Code.OVERLOADED,
            Code.SESSION_LOST,
        }
    waits = Lock(KEY, TTL_MS, "bob", session=bob, op_id=2, wait_ms=100)
    assert refused(await honest.talk.ask(waits)).code is Code.HELD  # there is room again


async def test_a_connection_has_so_many_operations_under_way_and_no_more(honest: Honest, node: Cluster) -> None:
    async with connection(node) as talk:
        watch = FindOwner(KEY, honest.generation)
        watches = [future for _ in range(2) for future in await talk.say([watch] * (UNDER_WAY_MAX // 2), 60_000)]
        watches += await talk.say([watch] * 50, 60_000)
        await until(lambda: sum(task.done() for task in watches) == 50, "the refusals")
        assert {refused(task.result()).code for task in watches if task.done()} == {Code.OVERLOADED}
        await honest.check()
