"""Taking a lock away from its holder: asked of the node that serves it, until one answers for good.

Elsewhere: what the node does (lockcore.core.forcing), who may ask (dlmsite.dashboard.actions).
"""

import asyncio
from typing import Final

from dlmsite.operations import asking
from dlmsite.operations.ports import Master
from dlmsite.operations.supervisor import OperationProblem
from lockcore.core.operations import RETRYABLE, Code, ForceRelease, Released
from lockcore.service.channels import Gate

WITHIN_S: Final = 10.0
PAUSE_S: Final = 0.2
OVER: Final = frozenset({Code.NOT_FOUND, Code.NOT_HELD})
"""After a question whose answer was not heard: it was carried out then, or the hold has ended by itself."""


class Locks:
    """What operators do to locks.

    Args:
        master: knows who serves which key.
        gate: proves to nodes that we belong to their cluster.
    """

    def __init__(self, master: Master, gate: Gate) -> None:
        self._master = master
        self._gate = gate

    async def release(self, operation: ForceRelease) -> str:
        """Have a lock released whoever holds it; return what to tell.

        Raises:
            OperationProblem: it was not released, or nobody says so.
        """
        why, unheard = "no node serves this key now", False
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    primary = self._primary(operation.key)
                    answer = await asking.force_release(primary, self._gate, operation) if primary else None
                    if isinstance(answer, Released) or (unheard and getattr(answer, "code", None) in OVER):
                        return "released; its holder learns of it at its next renewal"
                    if answer is None and primary:
                        why, unheard = f"{primary} does not answer", True
                    elif answer is None:
                        pass
                    elif getattr(answer, "code", None) not in RETRYABLE:
                        raise OperationProblem(getattr(answer, "text", "") or "it was not released")
                    else:
                        why = getattr(answer, "text", why)
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise OperationProblem(f"not released within {WITHIN_S:.0f} s: {why}") from None

    def _primary(self, key: str) -> str:
        view = self._master.view
        return (view.ring.primary(key) if view is not None else None) or ""
