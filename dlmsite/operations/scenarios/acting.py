"""Acting on nodes as an operator's buttons do: an OperatorAction is written, the helm carries it out, its row says how.

Invariants
  A1  Nothing is done to a node but by an action in the name of who tries, so the history has cause and effect.
  A2  What ends a node is written down before it is asked for: the next site starts it again, should this one crash.
Elsewhere: carrying out (dlmsite.operations.helm), when to do what (course).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from dlmsite.journal.recorder import send_hint
from dlmsite.operations import requests
from dlmsite.operations.models import ActionState, OperatorAction
from dlmsite.operations.ports import RunInJournal
from dlmsite.operations.scenarios import rows
from dlmsite.operations.scenarios.situation import OPEN
from dlmsite.operations.supervisor import OperationProblem

LOOK_S: Final = 0.1
ENDS: Final = frozenset({"kill", "restart"})
Wanted = tuple[str, str, Mapping[str, object]]
"""What, which node, how."""


class Acting:
    """The actions of one run.

    Args:
        run: runs a function in the journal's thread.
        run_id: of the scenario's row.
        who: in whose name.
    """

    def __init__(self, run: RunInJournal, run_id: int, who: str) -> None:
        self.actions: list[int] = []
        self._run = run
        self._run_id = run_id
        self._who = who
        self._ended: list[str] = []

    async def do(self, wanted: Sequence[Wanted]) -> None:
        """Ask for actions, all in one moment, and wait until each has ended.

        Raises:
            OperationProblem: one has failed; the text says which, and why.
        """
        self._ended += [label for what, label, _ in wanted if what in ENDS and label not in self._ended]
        asked = await self._run(partial(self._ask, tuple(wanted)))
        await send_hint()
        await self._until_ended(asked)
        failed = await self._run(partial(_failed, asked))
        if failed:
            raise OperationProblem(failed)

    async def idle(self) -> None:
        """Wait until none of this run's actions is under way; each ends by itself, within its deadline."""
        await self._until_ended(self.actions)

    def _ask(self, wanted: Sequence[Wanted]) -> list[int]:
        rows.write(self._run_id, ended_by_it=self._ended)
        asked = [
            requests.ask(self._who, what, label, options={**options, "scenario": self._run_id}).pk
            for what, label, options in wanted
        ]
        self.actions += asked
        return asked

    async def _until_ended(self, actions: list[int]) -> None:
        mine = OperatorAction.objects.filter(pk__in=actions, state__in=OPEN)
        while await self._run(mine.all().exists):  # noqa: ASYNC110 - rows tell nobody
            await asyncio.sleep(LOOK_S)


def _failed(actions: list[int]) -> str:
    row = OperatorAction.objects.filter(pk__in=actions, state=ActionState.FAILED).order_by("id").first()
    return f"{row.what} {row.target} has failed: {row.detail}" if row else ""
