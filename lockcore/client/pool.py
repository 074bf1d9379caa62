"""All conversations of one client, and the newest view they have brought.

At least two streams are kept open where there are two nodes, so that a view
arrives also when the node that is being asked has stopped without a word.

Invariants
  P1  The view never goes back.
  P2  Whoever waits for a node that a new view shows as gone is told at once.
  P3  When the last conversation breaks, `on_silence` is called at once;
      `on_settled` once everybody has settled in a view.
  P4  After `close` nothing is opened any more: whoever still asks is told so.
Elsewhere: which node to ask (route).
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, Protocol

from lockcore.client.link import Link
from lockcore.client.route import target_of
from lockcore.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.operations import Operation, Result
    from lockcore.core.view import View
    from lockcore.wire.codec import ViewState

WATCHED: Final = 2
LINKS_MAX: Final = 512
LOOK_S: Final = 0.5
HINT: Final = "Is it running (`make run`, `manage.py status`)? Does the target name gRPC addresses of its nodes?"
"""What to look at where a cluster gives no answer."""


class Conversation(Protocol):
    """What a pool wants of a link, to a node (Link) or to a filer (FilerLink)."""

    target: str
    problem: str
    talking: bool

    @property
    def usable(self) -> bool:
        """Say whether it is worth asking now."""

    async def ask(self, operation: Operation, timeout_ms: int) -> Result:
        """Ask, and wait for the answer; raises LinkProblem."""

    def open(self) -> None:
        """Begin to listen."""

    def abandon(self, why: str) -> None:
        """Fail what waits for an answer."""

    async def close(self) -> None:
        """End it."""


class Pool:
    """Links by gRPC target.

    Args:
        seeds: targets given by the user.
    """

    hint: str = HINT

    def __init__(self, seeds: tuple[str, ...]) -> None:
        self.seeds = seeds
        self.view: View | None = None
        self.settled = False
        self.on_silence: set[Callable[[], None]] = set()
        self.on_settled: set[Callable[[], None]] = set()
        self._links: dict[str, Conversation] = {}
        self._first_view = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    # --- for calls -----------------------------------------------------------------------

    def link(self, target: str) -> Conversation:
        """Return the conversation with a node, made at first need.

        Raises:
            LockError: the pool was closed (P4).
        """
        if self._closed:
            raise LockError("this client was closed; connect again")
        self._keep()
        found = self._links.get(target)
        if found is None:
            found = self._links[target] = self._make(target)
        return found

    def _make(self, target: str) -> Conversation:
        return Link(target, self._take_view, self._note_break)

    def usable(self, target: str) -> bool:
        """Say whether a node is not known to be unreachable now."""
        link = self._links.get(target)
        return link is None or link.usable

    async def first_view(self) -> View:
        """Wait for a view."""
        self._keep()
        while self.view is None:
            await self._first_view.wait()
        return self.view

    def problems(self) -> str:
        """Return why each node is silent, for people."""
        told = [
            f"{target}: {link.problem}" for target, link in self._links.items() if link.problem and not link.talking
        ]
        return "; ".join(told[:8]) or f"{', '.join(self.seeds[:8])}: no answer"

    async def close(self) -> None:
        """End all conversations."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links))

    def _note_break(self) -> None:
        """Tell whoever wants to know at once that nobody talks to this client any more."""
        if not any(link.talking for link in self._links.values()):
            for tell in list(self.on_silence):
                tell()

    # --- views ------------------------------------------------------------------------------

    def _take_view(self, state: ViewState) -> None:
        view = state.view
        if self.view is not None and view.number <= self.view.number:
            if state.settled and view.number == self.view.number and not self.settled:
                self._settle()
            return
        self.view, self.settled = view, state.settled
        self._first_view.set()
        living = {target_of(address) for address in view.up}
        named = {target_of(member.address) for member in view.members}
        for target, link in self._links.items():
            if target in named and target not in living:
                link.abandon(f"{target} was marked down")
        self._forget_strangers(named)
        if self.settled:
            self._settle()

    def _settle(self) -> None:
        self.settled = True
        for tell in list(self.on_settled):
            tell()

    def _forget_strangers(self, named: set[str | None]) -> None:
        """Close conversations with nodes that are neither members nor seeds (bounds the number)."""
        if len(self._links) <= LINKS_MAX:
            return
        for target in [t for t in self._links if t not in named and t not in self.seeds]:
            task = asyncio.get_running_loop().create_task(self._links.pop(target).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    _closing: set[asyncio.Task[None]] = set()  # noqa: RUF012 - keeps tasks alive until they are done, whoever's they are

    # --- keeping streams open ---------------------------------------------------------------

    def _keep(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_watching())

    async def _keep_watching(self) -> None:
        while True:
            self._open_some()
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))  # noqa: S311 - spreads clients, guards nothing

    def _open_some(self) -> None:
        known = list(self.seeds)
        if self.view is not None:
            known = [target for address in self.view.up if (target := target_of(address))] + known
        wanted = WATCHED - sum(link.talking for link in self._links.values())
        for target in dict.fromkeys(known):
            if wanted <= 0:
                return
            link = self.link(target)
            if not link.talking and link.usable:
                link.open()
                wanted -= 1
