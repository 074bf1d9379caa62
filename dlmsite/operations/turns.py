"""When an action of a plan may begin: wave after wave, and in turn only when the ring has settled.

Actions without a plan, and those of a first wave, begin at once.

Invariants
  T1  No action of a wave begins before all of the waves before have ended, and none at all when one of those failed:
      the rest of the plan was made for what did not come.
  T2  Nobody waits for ever: earlier actions have deadlines, and settling has SETTLE_S.
Elsewhere: what the waves are (foresight), carrying out (helm).
"""

import asyncio
from contextlib import suppress
from typing import Final

from dlmsite.operations import requests
from dlmsite.operations.foresight import Pace
from dlmsite.operations.models import OperatorAction
from dlmsite.operations.ports import Master, RunInJournal
from dlmsite.operations.supervisor import OperationProblem
from dlmsite.operations.waiting import comes_true

LOOK_S: Final = 0.2
SETTLE_S: Final = 60.0
"""Of thousands of locks, on a busy machine."""


class Turns:
    """Lets actions wait for their turn.

    Args:
        master: shows whether the ring has settled.
        run: runs a function in the journal's thread.
    """

    def __init__(self, master: Master, run: RunInJournal) -> None:
        self._master = master
        self._run = run
        self._ended = asyncio.Event()

    def ended(self) -> None:
        """Some action has ended: whoever waits looks again."""
        self._ended.set()

    async def wait(self, action: OperatorAction) -> None:
        """Return when it may begin.

        Raises:
            OperationProblem: it may not, and why.
        """
        if action.plan_id is None or action.wave == 0:
            return
        while (found := await self._run(lambda: requests.waves_before(action))).open:
            self._ended.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._ended.wait()
        if found.failed is not None:
            raise OperationProblem(f"not done: {found.failed} of the same plan has failed")
        if found.pace == Pace.IN_TURN:
            await self._settled()

    async def _settled(self) -> None:
        """Wait until every change so far is over, the removal of the dead from the ring included."""
        if not await comes_true(lambda: at_rest(self._master), SETTLE_S):
            raise OperationProblem(f"not done: the change before it has not settled within {SETTLE_S:.0f} s")


def at_rest(master: Master) -> bool:
    """Say whether the ring has settled, and nothing more is planned."""
    return master.settled and master.stabilising_ms() is None
