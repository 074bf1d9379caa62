"""One operation, asked until it is answered: retries, redirects, the deadline.

Invariants
  D1  Nothing is asked after the deadline; what was asked is waited for a
      moment longer, so that a node can say that its time was up.
  D2  The time that a grant counts from is that of the attempt it answers.
  D3  An attempt whose outcome is unknown is repeated with the same token,
      which a node honours (DESIGN section 4), or is undone by the link.
Elsewhere: where to ask (route), what an answer means for a lock (machine).
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.client.link import LinkProblem
from lockcore.client.machine import Answer
from lockcore.core.limits import NS_PER_MS, NS_PER_S
from lockcore.core.operations import RETRYABLE, Code, Lock, Operation, Refused, Result

if TYPE_CHECKING:
    from lockcore.client.pool import Pool
    from lockcore.client.route import Route

ATTEMPT_MS_MIN: Final = 50
ATTEMPT_MS_MAX: Final = 1_000
"""A node that is silent so long is left for another. Longer than a ring that
hands over needs, shorter than a third of a usual lease."""
ATTEMPT_SHARE: Final = 3
"""An attempt gets at most a third of the time left: two more must fit in."""
PAUSE_MS_FIRST: Final = 10
PAUSE_MS_MAX: Final = 500
WAIT_ATTEMPT_MS: Final = 30_000
"""What waits at a node for something to happen there is asked again so often, should an answer have been lost."""
REDIRECTS_AT_ONCE: Final = 3


def settles(operation: Operation, result: Result) -> bool:
    """Say whether an answer ends the call; otherwise it is asked again."""
    if not isinstance(result, Refused):
        return True
    if result.code is Code.RECOVERING:
        return isinstance(operation, Lock) and not operation.token and operation.session is None
    return result.code not in RETRYABLE


async def call(
    pool: Pool, route: Route, operation: Operation, deadline_ns: int, attempt_ms: int = ATTEMPT_MS_MAX
) -> Answer:
    """Ask until somebody settles it.

    Args:
        pool: the streams.
        route: the way to the key's node, kept between calls.
        operation: checked by the caller.
        deadline_ns: CLOCK_BOOTTIME.
        attempt_ms: how long one node may take at most; longer for what waits in a queue.
    Returns:
        The answer, or none with the reason.
    """
    pauses_ms = PAUSE_MS_FIRST
    redirects = 0
    why = ""
    while (now_ns := boot_ns()) < deadline_ns:
        target = route.choose(pool.view, pool.usable)
        try:
            result = await pool.link(target).ask(operation, _attempt_ms(deadline_ns - now_ns, attempt_ms))
        except LinkProblem:
            why = pool.problems()
            route.failed(target)
        else:
            led_on = bool(result.moved_to) and route.moved(result.moved_to, pool.view)
            if settles(operation, result):
                route.worked()
                return Answer(result, now_ns)
            why = result.text if isinstance(result, Refused) else ""
            if led_on and redirects < REDIRECTS_AT_ONCE:
                redirects += 1
                continue
            if _is_about_the_node(result):
                route.failed(target)
            if isinstance(result, Refused) and result.code is Code.WAITING:
                pauses_ms = PAUSE_MS_FIRST  # its turn may come while nobody is there to be told
        await _pause(pauses_ms, deadline_ns)
        pauses_ms = min(pauses_ms * 2, PAUSE_MS_MAX)
    return Answer(None, 0, why or pool.problems())


def _attempt_ms(left_ns: int, most_ms: int) -> int:
    left_ms = max(1, left_ns // NS_PER_MS)
    if most_ms > ATTEMPT_MS_MAX:
        return min(left_ms, most_ms)
    return min(left_ms, max(ATTEMPT_MS_MIN, min(left_ms // ATTEMPT_SHARE, most_ms)))


def _is_about_the_node(result: Result) -> bool:
    """Say whether another node may do better; a timeout or a handover is nobody's fault."""
    return isinstance(result, Refused) and result.code in (Code.NOT_SERVING, Code.OVERLOADED, Code.NOT_PRIMARY)


async def _pause(pause_ms: int, deadline_ns: int) -> None:
    wait_s = pause_ms / 1_000 * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
    left_s = (deadline_ns - boot_ns()) / NS_PER_S
    await asyncio.sleep(max(0.0, min(wait_s, left_s)))
