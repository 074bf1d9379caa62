"""Honest sessions through one double failure after the other: all that is believed stays held, and nobody else gets it.

Elsewhere: healing by real clients (tests/lockcore/client/test_healing), random faults without it (tests/simulation).
"""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING

import pytest

from lockcore.client.belief import Belief
from lockcore.core.messages import (
    ClearRange,
    Granted,
    Holdings,
    KeepAlive,
    ListHeld,
    Lock,
    Operation,
    RangeDenied,
    Refused,
    Result,
    SessionIs,
    SetRange,
    Unlock,
)
from lockcore.core.operations import RETRYABLE
from lockcore.core.rangerecords import Kind
from tests.lockcore.core.healworld import Holder, four, together

if TYPE_CHECKING:
    from tests.lockcore.core.sessionworld import Cluster

STEPS = 150
DISASTER_EVERY = 50


class Program(Holder):
    """A session that remembers what it holds, and heals as clients do."""

    def __init__(self, cluster: Cluster, name: str, chance: random.Random) -> None:
        super().__init__(cluster, name)
        self.belief = Belief()
        self.lost: list[str] = []
        self.proved: dict[str, int] = {}
        self._chance = chance

    def work(self, others: list[Program]) -> None:
        """Do something; sometimes the answer is lost."""
        key, owner = self._chance.choice("abcdefgh"), self._chance.choice("tu")
        start, length = self._chance.randrange(20), self._chance.choice([0, 1, 4, 9])
        number, roll = next(self._ops), self._chance.random()
        if roll < 0.45:
            kind = self._chance.choice([Kind.READ, Kind.WRITE])
            self.do(SetRange(key, self.proof, number, owner, kind, start, length), others)
        elif roll < 0.65:
            self.do(ClearRange(key, self.proof, number, owner, start, length), others)
        elif roll < 0.9:
            known = self.do(Lock(key, 5_000, self.name, "", self.proof, number), others)
            if known is None:
                self.do(Unlock(key, "", self.proof, number), others)
        else:
            self.do(Unlock(key, "", self.proof, 0), others)

    def do(self, operation: Operation, others: list[Program]) -> Result | None:
        """Ask the key's primary; what is granted is nobody else's."""
        sent = self.belief.begin(operation)
        result: Result | None = self.ask(sent.key, sent)
        if isinstance(result, Refused) and result.code in RETRYABLE:
            result = Refused(result.code, "given up")
        elif self._chance.random() < 0.1:
            result = None
        self.belief.finish(sent, result)
        for other in others:
            assert not clash(self.belief, other.belief, operation.key), (operation, other.name)
        return result

    def heal(self) -> None:
        """Send keep-alives, compare, and settle the differences."""
        view = self.cluster.world.views[-1]
        nodes = self.belief.nodes(view)
        healed = view.number if all(self.proved.get(a) == view.number for a in nodes) else 0
        for address in view.up:
            expected = self.belief.nodes(view).get(address)
            answer = self.cluster.world.ask(address, KeepAlive(self.proof, self.ttl_ms, self.name, healed))
            if not isinstance(answer, SessionIs) or answer.held is None or answer.held.view != view.number:
                continue
            if expected is None and answer.held.locks + answer.held.pieces == 0:
                continue
            if answer.held == expected:
                self.proved[address] = view.number
            else:
                self._settle(address)

    def _settle(self, address: str) -> None:
        view = self.cluster.world.views[-1]
        self.belief.watch()
        held = self.cluster.world.ask(address, ListHeld(self.proof))
        if not isinstance(held, Holdings) or held.view != view.number:
            return
        found = self.belief.differences(view, address, held)
        for key, lock in found.missing_locks:
            answer = self.ask(key, Lock(key, 5_000, lock.owner, lock.token, self.proof, lock.op_id))
            if isinstance(answer, Granted):
                self.belief.keep_lock(key, lock, answer.token)
            elif isinstance(answer, Refused) and answer.code not in RETRYABLE and self.belief.lose_lock(key, lock):
                self.lost.append(key)
        for key, row in found.missing_pieces:
            owner, number = row.owner.lock_owner, next(self._ops)
            claim = SetRange(key, self.proof, number, owner, row.kind, row.start, row.length, held_fence=row.fence)
            answer = self.ask(key, claim)
            refused = isinstance(answer, RangeDenied) or (isinstance(answer, Refused) and answer.code not in RETRYABLE)
            if refused and self.belief.lose_piece(key, row):
                self.lost.append(key)
        for key, op_id in found.extra_locks:
            self.ask(key, Unlock(key, "", self.proof, op_id))
        for key, row in found.extra_pieces:
            self.ask(key, ClearRange(key, self.proof, next(self._ops), row.owner.lock_owner, row.start, row.length))


def clash(one: Belief, other: Belief, key: str) -> bool:
    """Say whether both believe in what only one can have."""
    if key in one._locks and key in other._locks:
        return True
    rows = one._rows.get(key)
    return rows is not None and any(
        mine.start <= theirs.end and theirs.start <= mine.end and Kind.WRITE in {mine.kind, theirs.kind}
        for mine in rows
        for theirs in other._rows.get(key, ())
    )


@pytest.mark.parametrize("seed", range(12))
def test_what_honest_sessions_believe_in_survives_double_failures(seed: int) -> None:
    """With answers that get lost, and one double failure before the grace of the last is over."""
    chance = random.Random(seed)  # noqa: S311 - a test's
    cluster, names = four(), count()
    programs = [Program(cluster, name, chance) for name in ("ada", "bob", "eve")]
    for step in range(1, STEPS + 1):
        one = chance.choice(programs)
        one.work([other for other in programs if other is not one])
        if chance.random() < 0.3:
            chance.choice(programs).heal()
        if step % DISASTER_EVERY == 0:
            _lose_two(cluster, chance, f"n{next(names)}")
    for _ in range(4):
        cluster.world.run_ms(1_000)
        for program in programs:
            program.heal()
    view = cluster.world.views[-1]
    for program in programs:
        assert program.lost == []
        assert together(program.digests()) == together(list(program.belief.nodes(view).values()))
    assert any(program.belief.nodes(view) for program in programs)


def _lose_two(cluster: Cluster, chance: random.Random, name: str) -> None:
    """Kill two nodes at once, and have two others join, one of them at once."""
    alive = [node.address for node in cluster.world.nodes.values() if node.alive]
    for address in chance.sample(alive, 2):
        cluster.world.kill(address, seen=chance.random() < 0.5)
    cluster.world.start_node(f"{name}:1")
    cluster.world.run_ms(5_000)
    cluster.world.start_node(f"{name}:2")
    cluster.world.settle()
