"""Canaries: a lock of our own at each filer, taken, renewed and released, to see how long that takes and what fails.

A filer counts its generations for itself and from 1 again when it is started, so that a newer holder may have a lower
one: a generation that falls is told. So is a canary that another filer serves than our ring says.

Invariants
  K1  A canary's key is nobody else's: it has a number of this process's own in it.
  K2  A canary that was taken is released, or ends by itself after TTL_MS.
Elsewhere: when, and the rows (observer, book).
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from dlmsite.observing.book import Seen
from dlmsite.observing.sight import Fact
from lockcore.client.filerlink import FilerLink, Heirs
from lockcore.client.link import LinkProblem
from lockcore.client.route import target_of
from lockcore.core.operations import Granted, Lock, Refused, Released, Unlock
from lockcore.core.ring import HashRing

EVERY_S: Final = 5.0
TTL_MS: Final = 5_000
ANSWER_MS: Final = 2_000
AT_ONCE: Final = 8
GONE_KEPT: Final = 500
"""Filers that left, whose generations are remembered."""
KEYS_MAX: Final = 20_000
"""Tried to find one for a filer: with 256 filers it takes some hundreds."""
OWNER: Final = "lockring canary"


@dataclass(slots=True)
class Tried:
    """One canary: times in milliseconds, None where it did not come so far."""

    address: str
    acquire_ms: float | None = None
    renew_ms: float | None = None
    release_ms: float | None = None
    generation: int = 0
    problem: str = ""
    served_by: str = ""


@dataclass(slots=True)
class Tally:
    """What was seen of one filer so far."""

    last: int = 0
    tries: int = 0
    failures: int = 0
    falls: int = 0
    failing: bool = False
    fell_from: int = 0

    def note(self, tried: Tried, at_ns: int) -> list[Fact]:
        """Take one canary; return what is worth an event."""
        facts = []
        self.tries += 1
        failed = tried.problem != ""
        self.failures += failed
        if failed and not self.failing:
            facts.append(Fact(at_ns, "canary", f"a canary lock failed: {tried.problem}", tried.address))
        elif self.failing and not failed:
            facts.append(Fact(at_ns, "canary", "canary locks work again", tried.address))
        self.failing = failed
        if tried.generation:
            if tried.generation <= self.last:
                self.falls += 1
                self.fell_from = self.last
                text = f"generation {tried.generation:,} after {self.last:,}: was the filer started again?"
                facts.append(Fact(at_ns, "fell", text, tried.address))
            self.last = tried.generation
        return facts

    def told(self, tried: Tried, at_ns: int) -> dict[str, Any]:
        """Return what the page is told of it; numbers of 64 bits as text."""
        return {
            "at_ms": at_ns / 1e6,
            "acquire_ms": tried.acquire_ms,
            "renew_ms": tried.renew_ms,
            "release_ms": tried.release_ms,
            "generation": str(tried.generation or self.last or ""),
            "problem": tried.problem,
            "served_by": tried.served_by,
            "tries": self.tries,
            "failures": self.failures,
            "falls": self.falls,
            "fell_from": str(self.fell_from or ""),
        }


@dataclass(slots=True)
class Canary:
    """The canaries of one cluster."""

    pause_s: float = EVERY_S
    _secret: str = field(default_factory=lambda: secrets.token_hex(4))
    _links: dict[str, FilerLink] = field(default_factory=dict)
    _tallies: dict[str, Tally] = field(default_factory=dict)

    async def round(self, ring: HashRing) -> tuple[list[Seen], list[Fact]]:
        """Try one at each filer of a ring; return how each did, and what is worth an event."""
        await self._forget_others(ring.servers)
        room = asyncio.Semaphore(AT_ONCE)
        all_tried = await asyncio.gather(*(self._try_in(room, ring, address) for address in ring.servers))
        at_ns = time.time_ns()
        seen, facts = [], []
        for tried in all_tried:
            tally = self._tallies.setdefault(tried.address, Tally())
            facts += tally.note(tried, at_ns)
            seen.append(Seen(tried.address, tally.told(tried, at_ns)))
        return seen, facts

    async def close(self) -> None:
        """End the connections."""
        await self._forget_others(())

    async def _forget_others(self, servers: tuple[str, ...]) -> None:
        for address in self._links.keys() - set(servers):
            await self._links.pop(address).close()
        # A filer that comes back is compared with what it was; of those that left, the first ones are forgotten.
        gone = [address for address in self._tallies if address not in servers]
        for address in gone[: max(0, len(gone) - GONE_KEPT)]:
            del self._tallies[address]

    async def _try_in(self, room: asyncio.Semaphore, ring: HashRing, address: str) -> Tried:
        async with room:
            key, target = key_for(ring, address, self._secret), target_of(address)
            if key is None or target is None:
                return Tried(address, problem="it has no key of its own, or no address that can be asked")
            link = self._links.setdefault(address, FilerLink(target, Heirs()))
            return await fly(link, address, key)


def key_for(ring: HashRing, address: str, secret: str) -> str | None:
    """Return a key whose primary is the filer; None: none was found."""
    keys = (f"lockring-canary/{secret}/{i}" for i in range(KEYS_MAX))
    return next((key for key in keys if ring.primary(key) == address), None)


async def fly(link: FilerLink, address: str, key: str) -> Tried:
    """Take, renew and release a lock at one filer."""
    tried = Tried(address)
    token = ""
    try:
        began = time.perf_counter()
        granted = await link.ask(Lock(key, TTL_MS, OWNER, ""), ANSWER_MS)
        tried.acquire_ms = _ms_since(began)
        if not isinstance(granted, Granted):
            tried.problem = _said("acquire", granted)
            return tried
        token, tried.generation, tried.served_by = granted.token, granted.generation, granted.moved_to
        if granted.moved_to not in ("", address):
            tried.problem = f"served by {granted.moved_to}, not by the filer that our ring says"
        began = time.perf_counter()
        renewed = await link.ask(Lock(key, TTL_MS, OWNER, token), ANSWER_MS)
        tried.renew_ms = _ms_since(began)
        if isinstance(renewed, Granted):
            token = renewed.token
        else:
            tried.problem = _said("renew", renewed)
    except LinkProblem as problem:
        tried.problem = link.problem or str(problem)
    if token:
        await _release(link, key, token, tried)
    return tried


async def _release(link: FilerLink, key: str, token: str, tried: Tried) -> None:
    began = time.perf_counter()
    try:
        released = await link.ask(Unlock(key, token), ANSWER_MS)
    except LinkProblem as problem:
        tried.problem = tried.problem or link.problem or str(problem)
        return
    tried.release_ms = _ms_since(began)
    if not isinstance(released, Released):
        tried.problem = tried.problem or _said("release", released)


def _ms_since(began_s: float) -> float:
    return round((time.perf_counter() - began_s) * 1_000, 2)


def _said(what: str, result: object) -> str:
    return f"{what}: {result.text}" if isinstance(result, Refused) else f"{what}: an answer that makes no sense"
