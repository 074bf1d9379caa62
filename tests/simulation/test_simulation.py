"""The cluster under random faults, and the proof that the checker can fail.

Elsewhere: the campaign by the thousand (`make sim`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lockcore.core.handover import Handover
from lockcore.core.leases import Lease, LeaseTable
from lockcore.core.ledger import Ledger
from lockcore.core.master import MasterCore
from lockcore.core.messages import Instant, LeaseRecord, Outcome
from lockcore.core.state import NodeState
from lockcore.testing.campaign import LEAST_PER_SINGLE, campaign, told, vacuous
from lockcore.testing.history import Call, Did, History, check
from lockcore.testing.simulate import simulate
from lockcore.testing.single import simulate_single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEEDS = 80
SINGLE_SEEDS = 40
MUTANT_SEEDS = 80


def test_no_seed_breaks_an_invariant() -> None:
    """Safety under a random subset of two dozen kinds of fault, then agreement."""
    bad, counts = campaign(range(SEEDS))
    assert "".join(told(v) for v in bad) == ""
    assert vacuous(counts, SEEDS) == []


def test_after_one_fault_every_holder_still_has_its_lock() -> None:
    """I5: what a lock service is for."""
    bad, counts = campaign(range(SINGLE_SEEDS), simulate_single)
    assert "".join(told(v) for v in bad) == ""
    assert vacuous(counts, SINGLE_SEEDS, LEAST_PER_SINGLE) == []


def test_a_batch_in_which_nothing_happens_is_refused() -> None:
    """Without the gate a simulator that grants nothing would pass for ever."""
    assert vacuous(Counter(), 10)


def test_the_same_seed_gives_the_same_trace() -> None:
    """A failure that cannot be repeated cannot be mended."""
    first, second, other = simulate(7), simulate(7), simulate(8)
    assert first.trace == second.trace
    assert first.trace != other.trace


# --- rules taken out, one at a time ------------------------------------------------


def serve_without_state(patch: pytest.MonkeyPatch) -> None:
    """W1: a joined or restarted node serves before it was handed anything."""
    patch.setattr(Handover, "ready", lambda _self, _position: True)


def generations_restart(patch: pytest.MonkeyPatch) -> None:
    """W2: a node counts generations by itself."""
    patch.setattr(LeaseTable, "raise_floor", lambda _self, _generation: None)


def acknowledge_alone(patch: pytest.MonkeyPatch) -> None:
    """W3: a mutation is acknowledged before the backup has it."""
    mutate = NodeState.mutate

    def hasty(self: NodeState, lease: Lease, *args: object, **kwargs: bool) -> None:
        mutate(self, lease, *args, **kwargs)  # type: ignore[arg-type]
        self.commit(lease.key, lease.order)

    patch.setattr(NodeState, "mutate", hasty)


def forget_tombstones(patch: pytest.MonkeyPatch) -> None:
    """W9: a released lock leaves nothing behind that orders late messages."""
    merge = LeaseTable.merge

    def forgetful(self: LeaseTable, record: LeaseRecord, now_ns: int) -> Outcome:
        if record.gone:
            self.drop(record.key)
            return Outcome.ACCEPTED
        return merge(self, record, now_ns)

    patch.setattr(LeaseTable, "merge", forgetful)


def accept_any_order(patch: pytest.MonkeyPatch) -> None:
    """W10: replicas are not ordered by (generation, seq)."""
    merge = LeaseTable.merge

    def careless(self: LeaseTable, record: LeaseRecord, now_ns: int) -> Outcome:
        self.drop(record.key)
        return merge(self, record, now_ns)

    patch.setattr(LeaseTable, "merge", careless)


def no_grace(patch: pytest.MonkeyPatch) -> None:
    """After a double failure the new owner grants at once."""
    patch.setattr(Handover, "in_grace", lambda _self, _position, _now_ns: False)


def judge_too_early(patch: pytest.MonkeyPatch) -> None:
    """The master marks a node down while its node lease still runs."""
    patch.setattr(MasterCore, "_silent_at_ns", lambda _self, node: node.heard_ns + 420_000_000)


def clock_is_the_version(patch: pytest.MonkeyPatch) -> None:
    """W12: a clock set back freezes the ring."""

    def wall(_self: Ledger, now: Instant, _floors: Iterable[int], _headroom: int) -> int:
        return now.wall_ns

    patch.setattr(Ledger, "next_number", wall)


@pytest.mark.parametrize(
    "mutation",
    [
        serve_without_state, generations_restart, acknowledge_alone, forget_tombstones,
        accept_any_order, no_grace, judge_too_early, clock_is_the_version,
    ],
)  # fmt: skip
def test_the_simulator_finds_a_rule_that_was_taken_out(
    mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checker that never fails proves nothing."""
    mutation(monkeypatch)
    assert any(simulate(seed).violations for seed in range(MUTANT_SEEDS))


# --- the checker by itself ---------------------------------------------------------------


def acquired(client: str, at_ms: int, generation: int, ttl_ms: int = 1_000) -> Call:
    """Return an acquisition that took a millisecond."""
    at_ns = at_ms * 1_000_000
    return Call(client, Did.ACQUIRE, "k", at_ns, ttl_ms, at_ns + 1_000_000, True, generation, 1, f"t{generation}")


def test_holds_that_touch_pass_and_a_nanosecond_more_does_not() -> None:
    """I1 to the nanosecond: a near miss is no violation."""
    first = acquired("a", 0, 1)
    end_ns = History(margin=0.0, calls=[first]).holds()[0].end_ns
    near = replace(acquired("b", 0, 2), returned_ns=end_ns)
    assert check(History(margin=0.0, calls=[first, near])) == []
    over = replace(near, returned_ns=end_ns - 1)
    assert [v.rule for v in check(History(margin=0.0, calls=[first, over]))] == ["I1"]


def test_a_generation_granted_twice_is_found() -> None:
    """I2: a fencing token that repeats fences nothing."""
    calls = [acquired("a", 0, 5), acquired("b", 5_000, 5)]
    assert "I2" in [v.rule for v in check(History(calls=calls))]


def test_a_generation_that_falls_is_found() -> None:
    """I2: a later holder must have the higher token."""
    calls = [acquired("a", 0, 5), acquired("b", 5_000, 4)]
    assert "I2" in [v.rule for v in check(History(calls=calls))]


def test_a_renewal_after_the_release_is_found() -> None:
    """I6: what was released is never renewable again."""
    unlock = Call("a", Did.UNLOCK, "k", 10_000_000, 0, 11_000_000, True, 5)
    renewal = Call("a", Did.RENEW, "k", 12_000_000, 1_000, 13_000_000, True, 5, 2, "t")
    calls = [acquired("a", 0, 5), unlock, renewal]
    assert [v.rule for v in check(History(calls=calls))] == ["I6"]


def test_an_unknown_acquisition_is_no_hold() -> None:
    """A client without an answer believes nothing."""
    unknown = replace(acquired("a", 0, 0), ok=None, token="")
    assert check(History(calls=[unknown, acquired("b", 10, 1)])) == []
