"""An observer that writes into a test's hands.

Elsewhere: scripted masters (test_observer), real ones (tests/weed/test_watch.py).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dlmsite.observing import book
from dlmsite.observing.models import ObservedCluster
from dlmsite.observing.observer import Observer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dlmsite.observing.sight import Fact


class Pages:
    """Takes what would be written; a journal's thread that has no database."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.state = book.State("unknown", "", "", None, None)

    async def run(self, step: Callable[..., Any], *args: Any) -> Any:
        """Take what is to be written; there is nothing to be read."""
        if step is book.write:
            _, facts, self.state = args
            self.facts += facts

    def kinds(self) -> list[str]:
        """Return the kinds of the facts, in order."""
        return [fact.kind for fact in self.facts]

    def servers(self) -> tuple[str, ...]:
        """Return the newest ring."""
        return next((fact.ring.servers for fact in reversed(self.facts) if fact.ring is not None), ())


@asynccontextmanager
async def watching(masters: str, group: str = "") -> AsyncIterator[Pages]:
    """Watch for the length of a block."""
    pages = Pages()
    row = ObservedCluster(pk=1, name="c", masters=masters, group=group, attached_at_ns=1)
    task = asyncio.create_task(Observer(row, pages.run).live())
    try:
        yield pages
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
