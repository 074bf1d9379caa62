"""Canaries at scripted filers."""

from dlmsite.observing.canary import Canary, Tally, Tried, fly, key_for
from lockcore.client.filerlink import FilerLink, Heirs
from lockcore.core.operations import Code, Granted, Lock, Operation, Refused, Released, Result, Unlock
from lockcore.core.ring import HashRing
from tests.lockcore.client.scriptedweed import ScriptedFiler, obliging

A, B = "10.0.0.1:8888.18888", "10.0.0.2:8888.18888"


def test_a_generation_that_falls_is_told_with_both_and_once() -> None:
    tally = Tally()
    assert tally.note(Tried(A, generation=23_056), 1) == []
    (fell,) = tally.note(Tried(A, generation=1), 2)
    assert (fell.kind, fell.address) == ("fell", A)
    assert "generation 1 after 23,056" in fell.text
    assert tally.note(Tried(A, generation=2), 3) == []
    assert (tally.falls, tally.fell_from) == (1, 23_056)
    (again,) = tally.note(Tried(A, generation=2), 4)
    assert "generation 2 after 2" in again.text


def test_a_filer_that_fails_says_so_once_and_once_that_it_works_again() -> None:
    tally = Tally()
    told = [tally.note(Tried(A, problem=problem), i) for i, problem in enumerate(["", "x", "x", "", ""])]
    assert [len(facts) for facts in told] == [0, 1, 0, 1, 0]
    assert (tally.tries, tally.failures) == (5, 2)


def test_each_filer_has_a_key_of_its_own() -> None:
    ring = HashRing([A, B])
    for address in (A, B):
        key = key_for(ring, address, "s")
        assert key is not None
        assert ring.primary(key) == address
    assert key_for(ring, "elsewhere:1", "s") is None


async def test_a_canary_takes_renews_and_releases() -> None:
    async with ScriptedFiler(obliging) as filer:
        seen, facts = await (canary := Canary()).round(HashRing([filer.address]))
        await canary.close()
    assert [type(operation).__name__ for operation in filer.heard] == ["Lock", "Lock", "Unlock"]
    ((address, told),) = ((one.address, one.canary) for one in seen)
    assert (address, facts) == (filer.address, [])
    assert (told["generation"], told["problem"], told["tries"]) == ("7", "", 1)
    assert min(told["acquire_ms"], told["renew_ms"], told["release_ms"]) > 0


async def test_a_filer_that_left_is_compared_with_what_it_was_when_it_comes_back() -> None:
    """A restart is often a departure and a join, and it is then that generations fall."""
    async with ScriptedFiler(obliging) as filer:
        canary = Canary()
        await canary.round(HashRing([filer.address]))
        await canary.round(HashRing([]))
        _, facts = await canary.round(HashRing([filer.address]))
        await canary.close()
    assert [fact.kind for fact in facts] == ["fell"]


async def test_a_canary_whose_renewal_is_refused_is_still_released() -> None:
    """K2: a lock that is left behind would stand in somebody else's cluster."""

    async def refuses(operation: Operation) -> Result:
        if isinstance(operation, Lock):
            mismatch = Refused(Code.TOKEN_MISMATCH, "lock: token mismatch")
            return mismatch if operation.token else Granted("t", "", 7, 0, 5_000)
        return Released()

    async with ScriptedFiler(refuses) as filer:
        link = FilerLink(filer.target, Heirs())
        tried = await fly(link, filer.address, "k")
        await link.close()
    assert tried.problem == "renew: lock: token mismatch"
    assert isinstance(filer.heard[-1], Unlock)


async def test_a_canary_that_another_filer_serves_says_that_the_rings_differ() -> None:
    async def elsewhere(operation: Operation) -> Result:
        return Granted("t", "", 7, 0, 5_000, moved_to=B) if isinstance(operation, Lock) else Released()

    async with ScriptedFiler(elsewhere) as filer:
        link = FilerLink(filer.target, Heirs())
        tried = await fly(link, filer.address, "k")
        await link.close()
    assert tried.problem == f"served by {B}, not by the filer that our ring says"


async def test_a_filer_that_is_not_there_fails_its_canary() -> None:
    link = FilerLink("127.0.0.1:1", Heirs())
    tried = await fly(link, A, "k")
    await link.close()
    assert "connection refused" in tried.problem
    assert tried.acquire_ms is None
