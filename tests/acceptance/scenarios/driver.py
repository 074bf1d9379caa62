"""What a scenario may do to a cluster, whether it is made of pure cores or of real processes.

A scenario is written once against `Cluster`. Time passes only inside `wait`,
`ask` and `insist`, which end on a condition and never on a guess.

Elsewhere: the two kinds (core_cluster, process_cluster).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.messages import RETRYABLE, Code, FindOwner, Granted, Lock, Operation, Refused, Result, Unlock
from tests.lockcore.service.cluster import SPREAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.events import Event
    from lockcore.core.messages import PeerBatch
    from lockcore.core.ring import HashRing
    from lockcore.core.view import MemberId, View

LONG_MS = 40_000
"""A lease that outlives any scenario: what ends it is a fault, not time."""
INSIST_MAX = 400


@dataclass
class Asked:
    """A request under way; `result` is None until it is answered."""

    result: Result | None = None


@dataclass
class Held:
    """A lock that a client of the scenario holds."""

    key: str
    owner: str
    token: str
    generation: int
    tokens: list[str] = field(default_factory=list)


class Cluster(ABC):
    """A master and lock nodes, and everything that can happen to them."""

    name: str
    longest_lease_ms: int

    # --- what each kind does in its own way --------------------------------------------

    @abstractmethod
    def add(self) -> str:
        """Start a node at a new address; return it. Does not wait until it is a member."""

    @abstractmethod
    def start_at(self, address: str) -> None:
        """Start a node at an address whose process has ended."""

    @abstractmethod
    def kill(self, *addresses: str) -> None:
        """SIGKILL at once; the supervisor sees it and tells the master."""

    @abstractmethod
    def leave(self, address: str) -> None:
        """Ask a node to say goodbye and end."""

    @abstractmethod
    def pause(self, address: str) -> None:
        """SIGSTOP."""

    @abstractmethod
    def resume(self, address: str) -> None:
        """SIGCONT."""

    @abstractmethod
    def begin(self, address: str, operation: Operation, timeout_ms: int = 5_000) -> Asked:
        """Send a client's request to a node."""

    @abstractmethod
    def wait(self, condition: Callable[[], bool], what: str, limit_ms: int = 30_000) -> None:
        """Let time pass until a condition holds.

        Raises:
            AssertionError: it does not within `limit_ms`; `what` says which.
        """

    @abstractmethod
    def breathe(self) -> None:
        """Let a little time pass before something is tried again."""

    @property
    @abstractmethod
    def living(self) -> set[str]:
        """The addresses of the processes that run."""

    @abstractmethod
    def published(self) -> View | None:
        """Return the master's current view."""

    @abstractmethod
    def settled(self) -> bool:
        """Say whether the master has it from all living members that they miss nothing."""

    @abstractmethod
    def versions(self) -> list[int]:
        """Return the ring versions published so far, each once."""

    @abstractmethod
    def facts(self) -> list[tuple[str, Event]]:
        """Return (source, fact) as the recorder got them."""

    @abstractmethod
    def forge(self, batch: PeerBatch) -> None:
        """Deliver a batch to its receiver as if its sender had sent it."""

    @abstractmethod
    def close(self) -> None:
        """End everything."""

    # --- what they have in common ---------------------------------------------------------

    @property
    def view(self) -> View:
        """The master's current view."""
        view = self.published()
        assert view is not None, "nothing was published yet"
        return view

    @property
    def ring(self) -> HashRing:
        """The ring of the current view."""
        return self.view.ring

    def start(self, count: int) -> list[str]:
        """Start nodes and wait until they are settled members."""
        addresses = [self.add() for _ in range(count)]
        self.settle()
        return addresses

    def settle(self) -> None:
        """Wait until the members are exactly the living, none of them marked down, and miss nothing."""

        def done() -> bool:
            view = self.published()
            if view is None or any(m.down for m in view.members):
                return False
            return set(view.up) == self.living and self.settled()

        self.wait(done, f"the members are settled and are {sorted(self.living)}")

    def restart(self, address: str) -> None:
        """Kill a node and start it again at once."""
        self.kill(address)
        self.start_at(address)

    def member(self, address: str) -> MemberId:
        """Return the incarnation that is up at an address."""
        return self.view.up[address]

    def primary(self, key: str) -> str:
        """Return the primary of a key now."""
        primary = self.ring.primary(key)
        assert primary is not None
        return primary

    def owners(self, key: str) -> tuple[str, str]:
        """Return (primary, backup) of a key now."""
        primary, backup = self.ring.owners(key)
        assert primary is not None
        assert backup is not None
        return primary, backup

    def key(self, primary: str, backup: str | None = None) -> str:
        """Return a new key with these owners."""
        for key in self.keys():
            if self.ring.primary(key) == primary and backup in (None, self.ring.backup(key)):
                return key
        raise AssertionError("unreachable")

    def keys(self) -> list[str]:
        """Return fresh keys, enough for any choice among them."""
        start = self.__dict__.setdefault("_keys", [0])
        start[0] += 1
        return [f"k{start[0]}.{i * SPREAD}" for i in range(1_000)]

    # --- clients ---------------------------------------------------------------------------------

    def ask(self, address: str, operation: Operation, timeout_ms: int = 5_000) -> Result:
        """Ask a node once; no answer is a TIMEOUT."""
        asked = self.begin(address, operation, timeout_ms)
        try:
            self.wait(lambda: asked.result is not None, "an answer", timeout_ms + 1_000)
        except AssertionError:
            return Refused(Code.TIMEOUT, "no answer")
        assert asked.result is not None
        return asked.result

    def insist(self, operation: Operation, timeout_ms: int = 2_000) -> Result:
        """Ask the key's primary of the moment until somebody knows the answer, as a patient client does."""
        result: Result = Refused(Code.NOT_SERVING, "nobody was asked")
        for _ in range(INSIST_MAX):
            primary = self.ring.primary(operation.key)
            if primary is not None:
                result = self.ask(primary, operation, timeout_ms)
                if not isinstance(result, Refused) or result.code not in RETRYABLE:
                    return result
            self.breathe()
        return result

    def hold(self, key: str, owner: str = "ada", ttl_ms: int = LONG_MS) -> Held:
        """Acquire a lock."""
        result = self.insist(Lock(key, ttl_ms, owner))
        assert isinstance(result, Granted), result
        return Held(key, owner, result.token, result.generation, [result.token])

    def hold_many(self, count: int) -> list[Held]:
        """Acquire many locks, spread over the ring."""
        return [self.hold(key) for key in self.keys()[:count]]

    def renew(self, held: Held, ttl_ms: int = LONG_MS) -> Granted:
        """Renew a lock; it must still be there, with the same generation."""
        result = self.insist(Lock(held.key, ttl_ms, held.owner, held.token))
        assert isinstance(result, Granted), (held.key, result)
        assert result.generation == held.generation
        held.token = result.token
        held.tokens.append(result.token)
        return result

    def release(self, held: Held) -> Result:
        """Release a lock."""
        return self.insist(Unlock(held.key, held.token))

    def steal(self, held: Held) -> Result:
        """Try to acquire somebody else's lock; return what the thief was told."""
        return self.ask(self.primary(held.key), Lock(held.key, 1_000, "mallory"))

    def stolen(self, locks: list[Held]) -> list[str]:
        """Return the keys that a stranger is granted."""
        answers = {held.key: self.insist(Lock(held.key, 1_000, "mallory")) for held in locks}
        return [key for key, answer in answers.items() if isinstance(answer, Granted)]

    def acquire_in_the_end(self, key: str, owner: str, limit_ms: int) -> Granted:
        """Try again and again until the lock is got."""
        asked = [Asked()]

        def got() -> bool:
            result = asked[0].result
            if isinstance(result, Granted):
                return True
            if result is not None or not started:
                started.append(True)
                asked[0] = self.begin(self.primary(key), Lock(key, 1_000, owner), 1_000)
            return False

        started: list[bool] = []
        self.wait(got, f"{owner} gets {key}", limit_ms)
        result = asked[0].result
        assert isinstance(result, Granted)
        return result

    def holder(self, key: str) -> Result:
        """Ask who holds a key."""
        return self.insist(FindOwner(key))
