"""Simulated clients: they take, hold, renew and release locks, and remember.

They follow the rules a careful client follows: the lease counts from before
the request was sent, a token is kept until a newer one arrives, and a lock
is believed lost when its time is up. Two things are done carelessly on
purpose: after a release some show the old token again, or ask who holds the
lock; and some write to their guarded register whether or not they still hold.

Elsewhere: the real client (lockcore.client), the verdict (history).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockcore.core.messages import FindOwner, Granted, Lock, Operation, OwnerIs, Refused, Released, Result, Unlock
from lockcore.testing.history import Call, Did, History

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.testing.register import Registers
    from lockcore.testing.world import World

    Then = Callable[[Call | None, Result | None], None]

TTLS_MS = (800, 2_000, 5_000)

FORMER = 0.5
"""Who does not ask the primary asks the one before it so often: it has not heard of the newest view."""


@dataclass(slots=True)
class Habits:
    """How the clients of a run behave. Shares are of 1, delays in milliseconds.

    `ask_primary`: how often they ask the primary, else anybody;
    `idle`: how often who holds a lock lets its lease run out.
    """

    keys: list[str]
    ttls_ms: tuple[int, ...] = TTLS_MS
    holds_ms: tuple[int, ...] = (0, 50, 700, 4_000)
    rests_ms: tuple[float, float] = (1.0, 100.0)
    retry_ms: float = 400.0
    patience_ms: int = 1_500
    ask_primary: float = 0.7
    ask_former: float = FORMER
    look_back: float = 0.25
    write: float = 0.3
    idle: float = 0.0


class SimClient:
    """One client that works on one key at a time.

    Args:
        habits: how it behaves, by the world's chance.
        stop_ns: when it stops acquiring (true time).
    """

    def __init__(  # noqa: PLR0913, PLR0917 - who, how, where it is written down, until when
        self, world: World, name: str, habits: Habits, history: History, registers: Registers, stop_ns: int
    ) -> None:
        """Start working soon."""
        self.registers = registers
        self.world = world
        self.name = name
        self.habits = habits
        self.history = history
        self.stop_ns = stop_ns
        self.key = ""
        self.token = ""
        self.owner = ""
        self.times = 0
        self.generation = 0
        self.ttl_ms = 0
        self.until_ns = 0
        self.release_ns = 0
        world.after(world.random.uniform(0, 200), self.begin)

    # --- acquiring -----------------------------------------------------------------

    def begin(self) -> None:
        """Choose a key and try to take it."""
        if self.world.now_ns >= self.stop_ns:
            return
        chance = self.world.random
        self.key = chance.choice(self.habits.keys)
        self.token = ""
        self.times += 1
        self.owner = f"{self.name}/{self.times}"
        self.ttl_ms = chance.choice(self.habits.ttls_ms)
        self._call(Did.ACQUIRE, Lock(self.key, self.ttl_ms, self.owner), self._acquired)

    def _acquired(self, call: Call | None, result: Result | None) -> None:
        if call is None or not isinstance(result, Granted):
            self.world.after(self.world.random.uniform(5, self.habits.retry_ms), self.begin)
            return
        self.generation = result.generation
        self._take(call, result)
        hold_ms = self.world.random.choice(self.habits.holds_ms)
        self.release_ns = self.world.now_ns + hold_ms * 1_000_000
        if self.world.random.random() < self.habits.write:
            self._write(self.key, self.generation)
        if self.world.random.random() < self.habits.idle:
            self.world.after(self.ttl_ms, self.begin)
        else:
            self._next()

    def _take(self, call: Call, result: Granted) -> None:
        self.token = result.token
        self.until_ns = call.invoked_ns + int(self.ttl_ms * 1_000_000 * (1 - self.history.margin))

    # --- holding --------------------------------------------------------------------

    def _next(self) -> None:
        """Renew when a third of the lease has gone, or release."""
        renew_ns = self.world.now_ns + self.ttl_ms * 1_000_000 // 3
        if self.release_ns <= renew_ns:
            wait_ms = max(0, self.release_ns - self.world.now_ns) / 1_000_000
            self.world.after(wait_ms, self._release)
        else:
            self.world.after(self.ttl_ms / 3, self._renew)

    def _renew(self) -> None:
        if self.world.now_ns >= self.until_ns:
            self.begin()  # lost: it knows by its own clock
            return
        operation = Lock(self.key, self.ttl_ms, self.owner, self.token)
        self._call(Did.RENEW, operation, self._renewed, patience_ms=self.ttl_ms / 6)

    def _renewed(self, call: Call | None, result: Result | None) -> None:
        if call is not None and isinstance(result, Granted) and self.world.now_ns < self.until_ns:
            self._take(call, result)
            self._next()
        else:
            self.world.after(self.world.random.uniform(5, 60), self._renew)

    def _release(self) -> None:
        if self.world.now_ns >= self.until_ns:
            self.begin()
            return
        self._call(Did.UNLOCK, Unlock(self.key, self.token), self._released)

    def _released(self, _call: Call | None, result: Result | None) -> None:
        chance = self.world.random
        wait_ms = chance.uniform(*self.habits.rests_ms)
        if isinstance(result, Released) and chance.random() < self.habits.look_back:
            self.world.after(chance.choice((0, 30, 900)), self._look_back)
        else:
            self.world.after(wait_ms, self.begin)

    def _look_back(self) -> None:
        """Show the old token again, release again, or ask who holds the lock: the release must stay one."""
        match self.world.random.randrange(4):
            case 0 | 1:
                self._call(Did.RENEW, Lock(self.key, self.ttl_ms, self.owner, self.token), self._looked_back)
            case 2:
                self._call(Did.UNLOCK, Unlock(self.key, self.token), self._looked_back)
            case _:
                self._call(Did.FIND, FindOwner(self.key), self._looked_back)

    def _looked_back(self, _call: Call | None, _result: Result | None) -> None:
        self.world.after(self.world.random.uniform(*self.habits.rests_ms), self.begin)

    # --- the register -------------------------------------------------------------------

    def _write(self, key: str, generation: int) -> None:
        """Read, think, and write without asking whether the lock is still there."""
        chance = self.world.random
        think_ms, way_ms = chance.choice((0, 20, 2_500)), chance.choice((0.5, 5, 3_000))

        def read() -> None:
            base = self.registers.read(key, generation)
            if base is not None:
                self.world.after(think_ms + way_ms, lambda: write(base))

        def write(base: int) -> None:
            self.registers.write(self.world.now_ns, self.name, key, generation, base)

        self.world.after(chance.uniform(0.5, 20), read)

    # --- asking -----------------------------------------------------------------------

    def _call(self, did: Did, operation: Operation, then: Then, patience_ms: float = 0.0) -> None:
        patience_ms = patience_ms or self.habits.patience_ms
        call = Call(self.name, did, self.key, self.world.now_ns, self.ttl_ms)
        if did in (Did.RENEW, Did.UNLOCK):
            call.generation = self.generation
        self.history.calls.append(call)
        answered = False

        def done(result: Result | None) -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            if result is not None:
                note(call, result, self.world.now_ns)
            then(call if result is not None else None, result)

        address = self._somewhere()
        if address is not None:
            self.world.call(address, operation, done, int(patience_ms))
        self.world.after(patience_ms, lambda: done(None))

    def _somewhere(self) -> str | None:
        """Choose the primary in the newest view, or the one before it, or any node."""
        living = [n.address for n in self.world.nodes.values() if n.alive]
        if not living:
            return None
        chance, views = self.world.random, self.world.views
        back = 1 if chance.random() < self.habits.ask_primary else 2 if chance.random() < self.habits.ask_former else 0
        primary = views[-back].ring.primary(self.key) if 0 < back <= len(views) else None
        return primary if primary in living else chance.choice(sorted(living))


def note(call: Call, result: Result, now_ns: int) -> None:
    """Write an answer into the history."""
    call.returned_ns = now_ns
    match result:
        case Granted():
            call.ok = True
            call.generation, call.seq, call.token = result.generation, result.seq, result.token
        case Released():
            call.ok = True
        case OwnerIs():
            call.ok, call.generation = True, result.generation
        case Refused():
            call.code = result.code.value
            call.ok = None if result.code.value == "timeout" else False
