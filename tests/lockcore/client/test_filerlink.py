"""Calls to one filer: what is answered too late does no harm, and is not lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore.client.filerlink import FilerLink, Heirs
from lockcore.client.link import LinkProblem
from lockcore.core.operations import Code, EndSession, FindOwner, Granted, Lock, Refused, SessionProof, Unlock
from tests.lockcore.client.scriptedweed import ScriptedFiler, obliging
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lockcore.core.operations import Operation, Result

SOON_MS = 50
LATE_MS = 20_000


@pytest.fixture
async def filer() -> AsyncIterator[ScriptedFiler]:
    async with ScriptedFiler(obliging) as running:
        yield running


@pytest.fixture
async def link(filer: ScriptedFiler) -> AsyncIterator[FilerLink]:
    made = FilerLink(filer.target, Heirs())
    yield made
    await made.close()


def held_back(filer: ScriptedFiler, which: Operation) -> asyncio.Event:
    """Have the filer answer one operation only when the event is set, and refuse its token to others meanwhile."""
    released = asyncio.Event()
    begun: list[Operation] = []

    async def script(operation: Operation) -> Result:
        if operation == which and not begun:
            begun.append(operation)
            await released.wait()
        elif begun and getattr(operation, "token", "") == getattr(which, "token", "") != "":
            return Refused(Code.TOKEN_MISMATCH, "lock: token mismatch")
        return await obliging(operation)

    filer.script = script
    return released


async def test_a_lock_that_is_granted_when_nobody_waits_is_unlocked(link: FilerLink, filer: ScriptedFiler) -> None:
    """Nobody knows its token: it would be held by nobody until its lease ends."""
    wanted = Lock("k", 7_000, "ada")
    released = held_back(filer, wanted)
    with pytest.raises(LinkProblem, match="in time"):
        await link.ask(wanted, SOON_MS)
    released.set()
    await until(lambda: Unlock("k", "after ''") in filer.heard, "the lock is given back")


async def test_a_renewal_that_is_answered_late_leaves_its_token(link: FilerLink, filer: ScriptedFiler) -> None:
    """A filer honours no earlier token: without the late answer the lock would be lost while it is held."""
    renewal = Lock("k", 7_000, "ada", "first")
    released = held_back(filer, renewal)
    with pytest.raises(LinkProblem, match="in time"):
        await link.ask(renewal, SOON_MS)
    await until(lambda: bool(filer.heard), "it is asked")
    with pytest.raises(LinkProblem, match="no answer yet"):
        await link.ask(renewal, LATE_MS)  # refused by the filer: perhaps for the first one's sake
    released.set()
    await until(lambda: not link._calls, "the late answer has come")
    again = await link.ask(renewal, LATE_MS)
    assert isinstance(again, Granted)
    await link.ask(Unlock("k", "first"), LATE_MS)
    assert filer.heard[-2:] == [Lock("k", 7_000, "ada", "after 'first'"), Unlock("k", "after 'first'")]


async def test_a_mismatch_is_an_answer_where_nothing_else_is_under_way(link: FilerLink, filer: ScriptedFiler) -> None:
    """Otherwise a lock that is lost would be believed until its lease ends."""

    async def refuse(_: Operation) -> Result:
        return Refused(Code.TOKEN_MISMATCH, "lock: token mismatch")

    filer.script = refuse
    answer = await link.ask(Lock("k", 7_000, "ada", "old"), LATE_MS)
    assert isinstance(answer, Refused)
    assert answer.code is Code.TOKEN_MISMATCH


async def test_who_waits_for_a_filer_that_left_the_ring_is_told(link: FilerLink, filer: ScriptedFiler) -> None:
    """The next filer can be asked at once, instead of after a time-out."""
    held_back(filer, Lock("k", 7_000, "ada"))
    asked = asyncio.create_task(link.ask(Lock("k", 7_000, "ada"), LATE_MS))
    await until(lambda: bool(filer.heard), "it is asked")
    link.abandon("it left")
    with pytest.raises(LinkProblem, match="it left"):
        await asked


async def test_who_stops_a_renewal_still_unlocks_what_it_brings(link: FilerLink, filer: ScriptedFiler) -> None:
    """A release cancels the renewal under way; the unlock after it must show the token that it brought."""
    renewal = Lock("k", 7_000, "ada", "first")
    released = held_back(filer, renewal)
    asked = asyncio.create_task(link.ask(renewal, LATE_MS))
    await until(lambda: bool(filer.heard), "it is asked")
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    with pytest.raises(LinkProblem, match="no answer yet"):
        await link.ask(Unlock("k", "first"), LATE_MS)
    released.set()
    await until(lambda: not link._calls, "the late answer has come")
    await link.ask(Unlock("k", "first"), LATE_MS)
    assert filer.heard[-1] == Unlock("k", "after 'first'")


async def test_nobody_holds_what_is_not_found(link: FilerLink) -> None:
    """The filer says it by a status, which is no failure of the filer."""
    answer = await link.ask(FindOwner("k"), LATE_MS)
    assert isinstance(answer, Refused)
    assert answer.code is Code.NOT_FOUND
    assert link.talking


async def test_what_filers_do_not_know_is_not_sent(link: FilerLink, filer: ScriptedFiler) -> None:
    with pytest.raises(LinkProblem, match="knows no EndSession"):
        await link.ask(EndSession(SessionProof("s", 1, "x")), LATE_MS)
    assert filer.heard == []


async def test_a_filer_that_is_away_is_left_alone_for_a_moment_and_says_why() -> None:
    link = FilerLink("127.0.0.1:1", Heirs())
    with pytest.raises(LinkProblem, match="connection refused"):
        await link.ask(FindOwner("k"), LATE_MS)
    assert (link.talking, link.usable, link.problem) == (False, False, "connection refused")
    await until(lambda: link.usable, "it is worth a try again")
    await link.close()
