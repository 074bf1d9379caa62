"""How a simulated program in a session asks: again, elsewhere, twice, and what it takes for an answer.

A worker is a generator of wishes: time, or an answer. An operation that is
not answered is asked again with the same id, at any node, until something
settles it.

Elsewhere: what it asks for (sessionclients), what is written down (sessionrecord).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from lockcore.core.messages import RETRYABLE, Code, Refused
from lockcore.testing.sessionrecord import Asked, Attempt, Deal, Life

if TYPE_CHECKING:
    from lockcore.core.messages import Operation, Result
    from lockcore.testing.sessionrecord import SessionHistory
    from lockcore.testing.world import World

Wish = Callable[[Callable[[], None]], None]
"""Called with what is to go on when it has come true."""
Work = Generator[Wish, None, Any]

LAST: Final = 12
"""Bytes 0 to 11 are told apart; the byte 12 stands for all the rest of the file."""


@dataclass(slots=True)
class Manners:
    """How the programs of a run behave. Shares are of 1, delays in milliseconds."""

    keys: list[str]
    files: list[str]
    ttls_ms: tuple[int, ...] = (1_000, 2_500)
    holds_ms: tuple[int, ...] = (0, 50, 700)
    waits_ms: tuple[int | None, ...] = (0, 0, 300, 2_000, None)
    patience_ms: int = 300
    rests_ms: tuple[float, float] = (1.0, 100.0)
    ask_primary: float = 0.7
    again: float = 0.2
    twice: float = 0.1
    fair: float = 0.3
    silent: float = 0.05
    switch_ms: tuple[float, float] = (600.0, 4_000.0)
    delay: float = 0.1
    workers: int = 2
    owners: int = 2
    stays: float = 0.5
    give_up: float = 0.1


class Asking:
    """One client process that asks nodes, and goes on when they answer."""

    def __init__(self, world: World, name: str, manners: Manners, history: SessionHistory, stop_ns: int) -> None:
        """Do nothing yet."""
        self.world = world
        self.name = name
        self.manners = manners
        self.history = history
        self.stop_ns = stop_ns
        self.places: list[Deal] = []
        self.ops = count(1)

    def start(self, work: Work) -> None:
        """Let a generator of wishes go on, now and each time one has come true."""
        try:
            wish = next(work)
        except StopIteration:
            return
        wish(partial(self.start, work))

    def sleep(self, low_ms: float, high_ms: float = 0.0) -> Wish:
        """Wish that time passes."""
        return partial(self.world.after, self.world.random.uniform(low_ms, max(low_ms, high_ms)))

    def chance(self, share: float) -> bool:
        """Throw dice."""
        return self.world.random.random() < share

    def stopped(self) -> bool:
        """Say whether it begins nothing new."""
        return self.world.now_ns >= self.stop_ns

    def lost(self, life: Life, what: str) -> None:
        """Note when a session was first said to be over."""
        if self.world.now_ns < life.lost_ns:
            life.lost_ns, life.lost_by = self.world.now_ns, what

    def deal(self, life: Life, op_id: int, did: Asked, key: str, message: Operation) -> Deal:
        """Begin an operation."""
        deal = Deal(life, op_id, did, key, message, self.world.now_ns)
        self.history.deals.append(deal)
        return deal

    def carry_out(self, deal: Deal, give_up: float = 0.0) -> Work:
        """Ask until something settles it, the session is over, or (a share of the times) patience is."""
        while True:
            if self.chance(self.manners.twice):
                self._attempt(deal, lambda: None)
            yield partial(self._attempt, deal)
            if deal.is_settled():
                return
            if not deal.life.alive(self.world.now_ns) or deal.life.silent:
                break
            if deal.life.frozen and deal.did not in (Asked.MOVE, Asked.MIGRATE):
                if deal.did is Asked.LOCK and deal.wait_ms != 0:
                    self.places.append(deal)
                break
            if self.chance(give_up):
                break
            yield self.sleep(2, 60)
            if deal.is_settled():  # a late answer
                return
        deal.abandoned = True

    def ask_again(self, deal: Deal) -> Work:
        """Ask once more for what was settled."""
        if deal.life.alive(self.world.now_ns) and not deal.life.frozen:
            yield partial(self._attempt, deal)

    def _attempt(self, deal: Deal, then: Callable[[], None]) -> None:
        """Send it once; go on when it is answered, or settled by another answer, or not in time."""
        going = [then]

        def go_on() -> None:
            if going:
                going.pop()()

        attempt = Attempt(self.world.now_ns, self._somewhere(deal.key) or "")
        deal.attempts.append(attempt)

        def answered(result: Result) -> None:
            if attempt.result is None:
                attempt.returned_ns, attempt.result = self.world.now_ns, result
                self._settle(deal, result)
            go_on()

        patience_ms = self.manners.patience_ms
        if attempt.node:
            self.world.call(attempt.node, deal.message, answered, patience_ms)
        self.world.after(patience_ms * 1.3, go_on)

    def _settle(self, deal: Deal, result: Result) -> None:
        retryable = isinstance(result, Refused) and result.code in RETRYABLE
        if isinstance(result, Refused) and result.code is Code.SESSION_LOST:
            self.lost(deal.life, f"{deal.did} {deal.op_id}")
        if deal.life.frozen and deal.did in (Asked.LOCK, Asked.SET):
            deal.abandoned = True  # it is being taken over, and believes in nothing new
        if deal.result is None and not deal.abandoned and not retryable:
            deal.result, deal.done_ns = result, self.world.now_ns

    def send(self, message: Operation, answer: list[Result], patience_ms: float = 0.0) -> Wish:
        """Wish that a question which has no id is answered, or that it is too late for it."""
        patience_ms = patience_ms or self.manners.patience_ms

        def ask(then: Callable[[], None]) -> None:
            going = [then]

            def go_on() -> None:
                if going:
                    going.pop()()

            def answered(result: Result) -> None:
                if going:
                    answer.append(result)
                go_on()

            node = self._somewhere(message.key)
            if node is not None:
                self.world.call(node, message, answered, int(patience_ms))
            self.world.after(patience_ms, go_on)

        return ask

    def _somewhere(self, key: str) -> str | None:
        """Choose the primary in the newest view, or any node."""
        living = sorted(n.address for n in self.world.nodes.values() if n.alive)
        if not living:
            return None
        view = self.world.views[-1] if self.world.views else None
        primary = view.ring.primary(key) if view and key else None
        if primary in living and self.chance(self.manners.ask_primary):
            return primary
        return self.world.random.choice(living)


def span_length(first: int, last: int) -> int:
    """Return a length as fcntl(2) has it."""
    return 0 if last == LAST else last - first + 1
