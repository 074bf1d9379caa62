"""What the site needs of the master and the recorder, as protocols: so that tests can stand in for them.

Elsewhere: the real ones (lockcore.service.master_server, dlmsite.journal.recorder).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from lockcore.core.events import EventBatch
from lockcore.core.roster import MemberStatus
from lockcore.core.view import MemberId, View

T = TypeVar("T")

EventSink = Callable[[EventBatch], Awaitable[None]]
"""Returns when the events are rows."""


class Master(Protocol):
    """The ring master of this process."""

    @property
    def view(self) -> View | None:
        """The newest view published."""

    @property
    def settled(self) -> bool:
        """Whether every living member has all that it needs in it."""

    def members(self) -> tuple[MemberStatus, ...]:
        """All incarnations that are members or want to be."""

    def stabilising_ms(self) -> int | None:
        """How long the stabilisation delay still runs, None if it does not."""

    def report_death(self, member: MemberId) -> None:
        """This incarnation has ended: it was seen."""

    def subscribe(self) -> AsyncIterator[tuple[View, bool]]:
        """Yield (view, settled): the current one first, then each change."""


class RunInJournal(Protocol):
    """Runs a function in the thread that writes the journal."""

    async def __call__(self, step: Callable[[], T], /) -> T:
        """Return what it returns."""
