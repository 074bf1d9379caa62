"""What can be done to a cluster of either kind.

Members are named by their ring addresses. Whatever waits raises NotMeasured
when it does not come.

Elsewhere: SeaweedFS (weedside), Lockring (ringside), who does it (faults).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lockcore.core.ring import HashRing

MEMBERS: Final = 3
SETTLE_S: Final = 60.0
NOTICE_S: Final = 150.0
"""SeaweedFS's master takes some 73 s to miss a filer whose socket does not close."""


class Side(ABC):
    """A cluster of MEMBERS members, and a place for one more."""

    name: str
    version: str

    @abstractmethod
    async def start(self) -> None:
        """Start it; return when all members are settled."""

    @abstractmethod
    async def close(self) -> None:
        """End every process and remove its data. Never raises for what has not begun."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What a client connects to: `seaweedfs://…`."""

    @property
    @abstractmethod
    def spare(self) -> str:
        """The address at which one more would join."""

    @abstractmethod
    async def ring(self) -> HashRing:
        """Return the ring that the master publishes now."""

    @abstractmethod
    async def kill(self, address: str) -> None:
        """Kill -9."""

    @abstractmethod
    async def start_again(self, address: str) -> None:
        """Start the process of a member, or of the spare place, and do not wait until it is settled."""

    @abstractmethod
    def stop(self, address: str) -> None:
        """SIGSTOP."""

    @abstractmethod
    def resume(self, address: str) -> None:
        """SIGCONT."""

    @abstractmethod
    def cut(self, address: str) -> None:
        """Pass no byte between a member and the master any more; no socket closes."""

    @abstractmethod
    def heal(self, _address: str) -> None:
        """Let them pass again."""

    @abstractmethod
    async def leave(self, address: str) -> None:
        """End the process at the spare place, and wait until the others are settled without it."""

    @abstractmethod
    async def settled(self, *, without: str = "") -> None:
        """Wait until the master publishes exactly those that run, or those but one, and they know it."""
