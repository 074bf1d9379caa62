"""What a session believes to hold is what its nodes hold, and what follows where it is not."""

from __future__ import annotations

import random

import pytest

from lockcore.client.belief import Belief, Differences
from lockcore.core.digest import MODULUS
from lockcore.core.messages import (
    ClearRange,
    Code,
    Granted,
    HeldRange,
    Holdings,
    Lock,
    Move,
    MoveRanges,
    Operation,
    RangeLocked,
    Refused,
    Released,
    Result,
    SessionProof,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import Kind, Row
from lockcore.core.view import Member, View
from tests.lockcore.core.healworld import Holder, four, together

PROOF = SessionProof("s", 1, "secret")
VIEW = View(7, 7, (Member("a:1", 1),))
OTHER_VIEW = View(8, 7, (Member("b:2", 1),))
READ, WRITE = Kind.READ, Kind.WRITE


class Model:
    """A belief with a short hand."""

    def __init__(self) -> None:
        self.belief = Belief()
        self._op = 0

    def do(self, operation: Operation, result: Result | None) -> Operation:
        """Begin and finish an operation."""
        sent = self.belief.begin(operation)
        self.belief.finish(sent, result)
        return sent

    def lock(self, key: str, generation: int) -> int:
        """Get a lock; return its op_id."""
        self._op += 1
        self.do(Lock(key, 5_000, "me", "", PROOF, self._op), Granted(f"t{generation}", "me", generation, 1, 5_000))
        return self._op

    def set(self, key: str, kind: Kind, start: int, length: int, fence: int) -> None:
        """Get a piece."""
        self._op += 1
        self.do(
            SetRange(key, PROOF, self._op, "t", kind, start, length),
            RangeLocked("s", (piece(kind, start, length, fence),)),
        )

    def differences(self, locks: dict[str, tuple[int, int]], ranges: list[tuple[str, HeldRange]]) -> Differences:
        """Compare with a node's list."""
        self.belief.watch()
        return self.compare(locks, ranges)

    def compare(self, locks: dict[str, tuple[int, int]], ranges: list[tuple[str, HeldRange]]) -> Differences:
        """Compare with a list that was asked for before."""
        named = tuple((key, generation) for key, (generation, _) in locks.items())
        ops = tuple(op for _, op in locks.values())
        return self.belief.differences(VIEW, "a:1", Holdings(named, tuple(ranges), VIEW.number, ops))


def piece(kind: Kind, start: int, length: int, fence: int, owner: str = "t") -> HeldRange:
    """Return a piece as nodes tell it."""
    return HeldRange("s", "me", owner, kind, start, length, fence)


def spans(rows: list[tuple[str, Row]]) -> list[tuple[str, Kind, int, int, int]]:
    """Return rows in short."""
    return [(key, row.kind, row.start, row.length, row.fence) for key, row in rows]


@pytest.mark.parametrize("seed", range(8))
def test_answers_alone_tell_what_the_nodes_hold(seed: int) -> None:
    """Splits, merges, changes of kind, refusals and releases, over a node's death and a join."""
    chance = random.Random(seed)  # noqa: S311 - a test's
    cluster = four()
    ada, bob = Holder(cluster, "ada"), Holder(cluster, "bob")
    beliefs = {"ada": Belief(), "bob": Belief()}
    for number in range(1, 161):
        me = ada if chance.random() < 0.6 else bob
        sent = beliefs[me.name].begin(any_operation(chance, me, number))
        beliefs[me.name].finish(sent, me.ask(sent.key, sent))
        if number == 60:
            cluster.world.kill("b:2")
            cluster.world.run_ms(4_000)
        if number == 120:
            cluster.world.start_node("e:5")
            cluster.world.settle()
    cluster.world.run_ms(1_000)
    view = cluster.world.views[-1]
    for holder in (ada, bob):
        assert together(holder.digests()) == together(list(beliefs[holder.name].nodes(view).values()))
        locks, pieces = holder.listed()
        assert locks or pieces


def any_operation(chance: random.Random, me: Holder, number: int) -> Operation:
    """Return a random operation."""
    key, owner = chance.choice("klmno"), chance.choice("tu")
    start, length = chance.randrange(20), chance.choice([0, 1, 3, 8])
    wishes: list[Operation] = [
        SetRange(key, me.proof, number, owner, chance.choice([READ, WRITE]), start, length),
        ClearRange(key, me.proof, number, owner, start, length),
        Lock(key, 5_000, me.name, "", me.proof, number),
        Unlock(key, "", me.proof, 0),
    ]
    return chance.choices(wishes, [5, 2, 2, 1])[0]


def test_what_moves_here_is_believed() -> None:
    cluster = four()
    old, new = Holder(cluster, "old"), Holder(cluster, "new")
    old.lock("k")
    old.set("k", WRITE, 0, 10)
    old.set("k", READ, 20, 0)
    belief = Belief()
    for operation in (
        Move("k", "new", new.proof, 1, old.proof),
        MoveRanges("k", new.proof, 2, old.proof),
    ):
        belief.finish(belief.begin(operation), new.ask("k", operation))
    assert together(new.digests()) == together(list(belief.nodes(cluster.world.views[-1]).values()))
    assert together(new.digests())[:2] == (1, 2)


def test_a_digest_goes_with_its_node() -> None:
    model = Model()
    model.lock("k", 5)
    before = model.belief.nodes(VIEW)["a:1"]
    after = model.belief.nodes(OTHER_VIEW)["b:2"]
    assert (before.view, after.view) == (7, 8)
    assert before.sum == after.sum < MODULUS
    model.lock("l", 6)
    assert model.belief.nodes(OTHER_VIEW)["b:2"].locks == 2
    model.do(Unlock("k", "", PROOF, 0), Released())
    model.do(Unlock("l", "", PROOF, 0), Released())
    assert model.belief.nodes(OTHER_VIEW) == {}


def test_what_an_unlock_was_begun_for_is_believed_no_longer_and_its_token_goes_along() -> None:
    """N1: the token lets a node that knows nothing refuse a claim that comes later."""
    model = Model()
    op_id = model.lock("k", 5)
    other = model.do(Unlock("k", "", PROOF, op_id + 1), Released())  # of a wait for the same key
    assert other == Unlock("k", "", PROOF, op_id + 1)
    assert model.belief.nodes(VIEW)["a:1"].locks == 1
    sent = model.belief.begin(Unlock("k", "", PROOF, op_id))
    assert sent == Unlock("k", "t5", PROOF, op_id)
    assert model.belief.nodes(VIEW) == {}
    model.belief.finish(sent, None)
    assert model.belief.nodes(VIEW) == {}


def test_missing_is_claimed_with_its_proof_and_extra_is_let_go_of_by_what_got_it() -> None:
    model = Model()
    op_id = model.lock("k", 5)
    model.lock("same", 6)
    found = model.differences({"same": (6, 2), "extra": (9, 77)}, [])
    assert [(key, lock.generation, lock.token, lock.op_id) for key, lock in found.missing_locks] == [
        ("k", 5, "t5", op_id)
    ]
    assert found.extra_locks == [("extra", 77)]


def test_another_generation_than_believed_is_no_lock_that_is_held() -> None:
    model = Model()
    model.lock("k", 5)
    found = model.differences({"k": (9, 3)}, [])
    assert [key for key, _ in found.missing_locks] == ["k"]
    assert found.extra_locks == []


def test_only_the_bytes_that_differ_are_claimed_and_let_go_of() -> None:
    model = Model()
    model.set("k", WRITE, 0, 100, 5)
    there = [piece(WRITE, 10, 20, 5), piece(WRITE, 50, 10, 4), piece(READ, 70, 5, 5), piece(WRITE, 95, 20, 5)]
    found = model.differences({}, [("k", p) for p in there])
    assert spans(found.missing_pieces) == [
        ("k", WRITE, 0, 10, 5),
        ("k", WRITE, 30, 65, 5),
    ]
    assert spans(found.extra_pieces) == [("k", READ, 70, 5, 5), ("k", WRITE, 100, 15, 5)]


def test_a_newer_fence_on_the_same_bytes_is_taken_over() -> None:
    model = Model()
    model.set("k", WRITE, 0, 10, 5)
    assert not model.differences({}, [("k", piece(WRITE, 0, 10, 8))])
    assert [p.fence for p in model.belief.pieces("k")] == [8]


@pytest.mark.parametrize("when", ["before", "since"])
def test_nothing_follows_from_a_key_that_is_being_worked_on(when: str) -> None:
    """N2: the list, or the belief, may be older than the operation."""
    model = Model()
    model.lock("k", 5)
    operation = ClearRange("k", PROOF, 99, "t", 0, 0)
    if when == "before":
        model.belief.begin(operation)
        model.belief.watch()
    else:
        model.belief.watch()
        model.do(operation, Released())
    assert not model.compare({}, [("k", piece(READ, 0, 0, 9))])
    if when == "since":
        assert model.differences({}, [])


@pytest.mark.parametrize("gaps", [True, False])
def test_after_an_outcome_that_nobody_knows_the_node_s_word_counts(gaps: bool) -> None:  # noqa: FBT001 - two such outcomes
    """N3: neither a loss nor an unlock follows, for the program was told that nothing is sure."""
    model = Model()
    model.set("k", WRITE, 0, 10, 5)
    if gaps:
        moved = MoveRanges("k", PROOF, 50, PROOF, "t", 0, 40, WRITE, gaps=True)
        model.do(moved, RangeLocked("s", (piece(WRITE, 10, 10, 6),)))
    else:
        model.do(SetRange("k", PROOF, 50, "t", READ, 0, 40), None)
    assert not model.differences({}, [("k", piece(READ, 0, 40, 6))])
    assert [(p.kind, p.start, p.length) for p in model.belief.pieces("k")] == [(READ, 0, 40)]


def test_what_was_believed_before_an_outcome_that_nobody_knows_is_not_given_up() -> None:
    """Both nodes may have died since: others would get what the program still relies on."""
    model = Model()
    model.set("k", WRITE, 0, 10, 5)
    model.do(SetRange("k", PROOF, 50, "t", WRITE, 20, 5), None)
    assert spans(model.differences({}, []).missing_pieces) == [("k", WRITE, 0, 10, 5)]


def test_a_downgrade_without_an_answer_leaves_reading_only() -> None:
    """N1: others may read there already."""
    model = Model()
    model.set("k", WRITE, 0, 20, 5)
    model.do(SetRange("k", PROOF, 50, "t", READ, 5, 10), None)
    assert [(p.kind, p.start, p.length, p.fence) for p in model.belief.pieces("k")] == [
        (WRITE, 0, 5, 5),
        (READ, 5, 10, 5),
        (WRITE, 15, 5, 5),
    ]


def test_an_unlock_that_was_refused_changes_nothing_and_one_without_answer_does() -> None:
    model = Model()
    model.set("k", WRITE, 0, 10, 5)
    unlock = ClearRange("k", PROOF, 9, "t", 2, 3)
    model.do(unlock, Refused(Code.OVERLOADED, "later"))
    assert len(model.belief.pieces("k")) == 1
    model.do(unlock, None)
    assert [(p.start, p.length) for p in model.belief.pieces("k")] == [(0, 2), (5, 5)]


def test_a_loss_is_of_what_is_believed_still() -> None:
    """It may have been unlocked while it was being claimed."""
    model = Model()
    op_id = model.lock("k", 5)
    model.set("k", WRITE, 0, 10, 5)
    found = model.differences({}, [])
    model.do(ClearRange("k", PROOF, 9, "t", 0, 4), Released())
    model.do(Unlock("k", "", PROOF, op_id), Released())
    key, row = found.missing_pieces[0]
    assert [(p.start, p.length) for p in model.belief.lose_piece(key, row)] == [(4, 6)]
    assert model.belief.pieces("k") == []
    assert model.belief.lose_lock(*found.missing_locks[0]) is False


def test_a_claim_is_no_change_and_brings_a_new_token() -> None:
    model = Model()
    model.lock("k", 5)
    _, lock = model.differences({}, []).missing_locks[0]
    model.do(Lock("k", 5_000, "me", "t5", PROOF, 1), Granted("t5b", "me", 5, 9, 5_000))
    assert model.belief.is_quiet("k")
    model.belief.keep_lock("k", lock, "t5b")
    assert model.do(Unlock("k", "", PROOF, 0), Released()) == Unlock("k", "t5b", PROOF, 0)
