"""Watching a key: who holds it, told whenever that changes.

A question that names what is known is answered when something else is true,
so nothing is polled. What changed and changed back while a question was on
its way is seen as the newer generation.

Elsewhere: the node's side (lockcore.core.serving).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockcore.client import check
from lockcore.client.calls import WAIT_ATTEMPT_MS, call
from lockcore.client.clock import boot_ns
from lockcore.core.limits import NS_PER_MS, WAIT_MS_MAX
from lockcore.core.operations import Code, FindOwner, OwnerIs, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lockcore.client.client import LockClient


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key: what the holder calls itself, and its fencing token."""

    owner: str
    generation: int


async def watch(client: LockClient, key: str) -> AsyncIterator[Holder | None]:
    """Yield who holds the key now, None where nobody does, and then again at each change.

    It never ends by itself; a cluster that is away delays it.
    """
    key = check.key_of(key)
    route = client.route(key)
    known: int | None = None
    while True:
        client.refuse_if_closed()
        question, deadline_ns = FindOwner(key, known), boot_ns() + WAIT_MS_MAX * NS_PER_MS
        answer = await call(client.pool, route, question, deadline_ns, WAIT_ATTEMPT_MS)
        match answer.result:
            case OwnerIs(owner, generation) if generation != known:
                known = generation
                yield Holder(owner, generation)
            case Refused(Code.NOT_FOUND) if known != 0:
                known = 0
                yield None
