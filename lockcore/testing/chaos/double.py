"""Both owners of a range are killed: what holders and others are told until the longest lease has run out.

Before it, locks of that range are taken: some by Lockring's client, some
through SeaweedFS's protocol, some by holders that are never heard of again.
After it, holders come with their tokens, and strangers ask for every lock.

Invariants of such a trial
  D1  Each holder that comes with its token keeps its generation (I5).
  D2  No fresh grant before the longest lease after the deaths is over, and
      one soon after, for locks whose holder keeps silent (GRACE_LATE_S).
Elsewhere: every call is judged like any other as well (lockcore.testing.history).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lockcore.client.calls import call
from lockcore.client.clock import boot_ns
from lockcore.client.machine import GONE
from lockcore.client.route import Route
from lockcore.core.limits import NS_PER_MS, NS_PER_S
from lockcore.core.operations import Code, Granted, Lock, Refused
from lockcore.core.ring import HashRing
from lockcore.testing.chaos.client import RoutedPool
from lockcore.testing.chaos.cluster import CLIENTS, Cluster, Node, NotReached
from lockcore.testing.chaos.master import GRACE_MS
from lockcore.testing.chaos.seaweed import FilerClient, LockAnswer
from lockcore.testing.record import Call, Did

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lockcore.testing.chaos.kinds import Trial
    from lockcore.testing.chaos.records import Recorder

TTL_MS: Final = 20_000
LOCKS: Final = 4
"""Of each sort: held by Lockring's client, held by SeaweedFS's, held by who keeps silent."""
TRIED: Final = 4_000
RENEW_S: Final = 1.0
STRANGER_S: Final = 0.7
PATIENCE_MS: Final = 1_500
AWAY_S: Final = 0.5
GRACE_LATE_S: Final = 8.0
NOT_OURS: Final = ("token mismatch", "non-empty token", "lock not found")


class Double:
    """One such trial."""

    def __init__(self, cluster: Cluster, trial: Trial, recorder: Recorder) -> None:
        self._cluster = cluster
        self._trial = trial
        self._recorder = recorder
        self._pool = RoutedPool(cluster.routes(CLIENTS))
        self._filers = [FilerClient(proxy) for proxy in cluster.routes(CLIENTS).values()]
        self._killed_ns = 0
        self._free: set[str] = set()

    async def carry_out(self, one: Node, other: Node) -> None:
        """Take locks, kill both, watch until everything can be had again."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._carry_out(one, other, group)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._pool.close()
            for filer in self._filers:
                await filer.close()

    async def _carry_out(self, one: Node, other: Node, group: asyncio.TaskGroup) -> None:
        cluster = self._cluster
        keys = self._keys(one, other)
        native, foreign, silent = keys[:LOCKS], keys[LOCKS : 2 * LOCKS], keys[2 * LOCKS :]
        held = [self._native(key) for key in native] + [self._foreign(key) for key in foreign]
        for key in silent:
            await self._taken(self._native(key))
        for holder in held:
            await self._taken(holder)
        holders = [group.create_task(self._keep(holder)) for holder in held]
        self._trial.begun_ns = boot_ns()
        await cluster.kill_node(one, seen=True)
        self._killed_ns = boot_ns()
        await cluster.kill_node(other, seen=True)
        strangers = [group.create_task(self._want(key, silent)) for key in keys]
        await cluster.wait_settled(AWAY_S + GRACE_LATE_S)
        await asyncio.sleep(AWAY_S)
        self._trial.back_ns = boot_ns()
        await cluster.start_node(one)
        await cluster.start_node(other)
        limit_s = GRACE_MS / 1_000 + GRACE_LATE_S
        await cluster.wait(lambda: self._free >= set(silent), limit_s, "the end of the grace")
        self._trial.notes.append(f"fresh grants after {(boot_ns() - self._killed_ns) / 1e9:.1f} s")
        for task in (*holders, *strangers):
            task.cancel()

    def _keys(self, one: Node, other: Node) -> list[str]:
        """Return keys whose owners are these two."""
        ring = HashRing(self._trial.ring)
        names = (f"double/{self._trial.number}/{i}" for i in range(TRIED))
        found = [key for key in names if set(ring.owners(key)) == {one.address, other.address}]
        if len(found) < 3 * LOCKS:
            raise NotReached(f"{3 * LOCKS} locks whose owners are {one.name} and {other.name}")
        return found[: 3 * LOCKS]

    # --- clients ----------------------------------------------------------------------------

    def _native(self, key: str) -> _Holder:
        return _Holder(key, "native", self._ask_native)

    def _foreign(self, key: str) -> _Holder:
        return _Holder(key, "seaweed", self._ask_foreign)

    async def _taken(self, holder: _Holder) -> None:
        """Have a lock be held; an attempt that nobody answered may have taken it, and then lasts."""
        until_ns = boot_ns() + 2 * TTL_MS * NS_PER_MS
        while not (made := await self._call(holder, "", PATIENCE_MS)).ok:
            if boot_ns() > until_ns:
                raise NotReached(f"{made.key} for {made.client} ({made.code or 'no answer'})")
            await asyncio.sleep(RENEW_S)

    async def _keep(self, holder: _Holder) -> None:
        """Renew until cancelled; measure how long that was not possible after the deaths (D1)."""
        measured = False
        while True:
            made = await self._call(holder, holder.token, PATIENCE_MS)
            if made.ok and self._killed_ns and made.invoked_ns >= self._killed_ns and not measured:
                measured = True
                self._trial.failovers_ms.append((made.returned_ns - self._killed_ns) / 1e6)
            if made.ok is False and made.code in GONE:
                return  # lost, which the record shows
            await asyncio.sleep(RENEW_S if made.ok else 0.05)

    async def _want(self, key: str, silent: list[str]) -> None:
        """Ask for a lock until it is granted (D2)."""
        stranger = _Holder(key, "stranger", self._ask_foreign if key.endswith(("0", "5")) else self._ask_native)
        while True:
            made = await self._call(stranger, "", PATIENCE_MS)
            if made.ok:
                early_ns = self._killed_ns + GRACE_MS * NS_PER_MS - made.returned_ns
                if early_ns > 0:
                    text = f"{key} was granted afresh {early_ns / 1e9:.3f} s before the longest lease had run out"
                    self._trial.broken.append(("grace", text))
                if key in silent:
                    self._free.add(key)
                return
            await asyncio.sleep(STRANGER_S)

    async def _call(self, holder: _Holder, token: str, limit_ms: int) -> Call:
        """Ask once, and write it down whatever happens."""
        did = Did.RENEW if token else Did.ACQUIRE
        name = f"{holder.sort}.{holder.key}"
        made = Call(name, did, holder.key, boot_ns(), TTL_MS, generation=holder.generation if token else 0)
        try:
            operation = Lock(holder.key, TTL_MS, name, token)
            fresh = await holder.ask(made, operation, made.invoked_ns + limit_ms * NS_PER_MS)
            if made.ok and token and made.generation != holder.generation:
                text = f"{holder.key}: generation {holder.generation} was renewed as {made.generation}"
                self._trial.broken.append(("I5", text))
            if made.ok:
                holder.token, holder.generation = fresh, made.generation
        finally:
            made.returned_ns = boot_ns()
            self._recorder.call(made)
        return made

    async def _ask_native(self, made: Call, operation: Lock, deadline_ns: int) -> str:
        """Return the new token, if there is one."""
        route = Route(operation.key, self._pool.seeds)
        answer = await call(self._pool, route, operation, deadline_ns)
        match answer.result:
            case Granted() as granted:
                made.invoked_ns, made.ok = answer.sent_ns, True
                made.generation, made.seq, made.token = granted.generation, granted.seq, granted.token
            case Refused(code):
                made.ok, made.code = False, code.value
        return made.token

    async def _ask_foreign(self, made: Call, operation: Lock, deadline_ns: int) -> str:
        """Ask one filer after the other, as SeaweedFS's clients do; return the new token, if there is one."""
        for filer in self._filers:
            made.invoked_ns = boot_ns()
            left_s = (deadline_ns - made.invoked_ns) / NS_PER_S
            if left_s <= 0:
                break
            ttl_s = operation.ttl_ms // 1_000
            answer = await filer.lock(operation.key, ttl_s, operation.owner, operation.token, left_s / 2)
            if answer is not None and _settles(made, answer):
                return answer.token
        return ""


class _Holder:
    """Who holds, or wants, one lock, and how it asks."""

    def __init__(self, key: str, sort: str, ask: Callable[[Call, Lock, int], Awaitable[str]]) -> None:
        self.key = key
        self.sort = sort
        self.ask = ask
        self.token = ""
        self.generation = 0


def _settles(made: Call, answer: LockAnswer) -> bool:
    """Note what a filer answered; say whether another one need not be asked."""
    if not answer.error:
        # SeaweedFS's protocol tells no seq, so its token says nothing of I3.
        made.ok, made.generation = True, answer.generation
        return True
    if any(text in answer.error for text in NOT_OURS):
        made.ok, made.code = False, Code.TOKEN_MISMATCH.value
        return True
    made.ok, made.code = False, Code.HELD.value if "already owned" in answer.error else "refused"
    return "already owned" in answer.error
