"""The life of a lock at its holder, rule by rule."""

from __future__ import annotations

import pytest

from lockcore.client.machine import (
    RETRY_MS_MAX,
    UNLOCK_MS,
    Answer,
    Ask,
    CancelAsk,
    Effect,
    GaveUp,
    Got,
    LockMachine,
    Lost,
    Over,
    OwnerChanged,
    Phase,
    Terms,
    long_retry_ms,
)
from lockcore.core.limits import NS_PER_MS, NS_PER_S
from lockcore.core.operations import Code, Granted, Lock, Refused, Released, Unlock

TTL_MS = 7_000
TERMS = Terms(key="k", owner="me", ttl_ms=TTL_MS)
START_NS = 1_000 * NS_PER_S
HELD_NS = TTL_MS * NS_PER_MS - TERMS.margin_ns
NO_ANSWER = Answer(None, 0, "nobody answered")


def at(ms: float) -> int:
    return START_NS + int(ms * NS_PER_MS)


def granted(seq: int = 1, generation: int = 5) -> Granted:
    return Granted(f"token-{generation}-{seq}", "me", generation, seq, TTL_MS)


def refused(code: Code, owner: str = "") -> Refused:
    return Refused(code, f"text of {code.value}", owner)


def held_machine(terms: Terms = TERMS) -> LockMachine:
    """A machine that was granted the lock at once."""
    machine = LockMachine(terms)
    machine.start(at(0))
    machine.answered(Answer(granted(), at(0)), at(0))
    assert machine.held(at(0))
    return machine


def asks(effects: list[Effect]) -> list[object]:
    return [effect.operation for effect in effects if isinstance(effect, Ask)]


def of(kind: type[Effect], effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


# --- acquiring -----------------------------------------------------------------------------


def test_it_asks_at_once_and_without_a_token() -> None:
    effects = LockMachine(TERMS).start(at(0))
    assert effects == [Ask(Lock("k", TTL_MS, "me"), at(TERMS.call_ms))]


def test_a_grant_is_told_once_with_its_generation() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    assert machine.answered(Answer(granted(), at(0)), at(5)) == [OwnerChanged("me"), Got(5)]
    assert (machine.generation, machine.owner) == (5, "me")


def test_a_lease_counts_from_before_the_request_was_sent() -> None:
    """The node counts from when it received the request: the holder must let go first (K1)."""
    machine = LockMachine(TERMS)
    machine.start(at(0))
    machine.answered(Answer(granted(), at(100)), at(900))
    assert machine.held_until_ns == at(100) + HELD_NS


def test_the_margin_covers_a_percent_of_drift() -> None:
    assert TERMS.margin_ns >= TTL_MS * NS_PER_MS // 100


def test_held_is_computed_from_the_clock_of_whoever_asks() -> None:
    """A process that was stopped reads it before any timer of its own has run."""
    machine = held_machine()
    assert machine.held(at(0) + HELD_NS - 1)
    assert not machine.held(at(0) + HELD_NS)


def test_a_holder_is_waited_for_in_growing_pauses() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    now_ns, pauses_ms = at(0), []
    for _ in range(10):
        assert asks(machine.answered(Answer(refused(Code.HELD, "other"), now_ns), now_ns)) == []
        due_ns = machine.next_timer_ns()
        assert due_ns is not None
        pauses_ms.append((due_ns - now_ns) // NS_PER_MS)
        now_ns = due_ns
        assert asks(machine.tick(now_ns)) == [Lock("k", TTL_MS, "me")]
    assert pauses_ms == sorted(pauses_ms)
    assert (pauses_ms[0], pauses_ms[-1]) == (100, RETRY_MS_MAX)


def test_without_patience_the_first_refusal_ends_it() -> None:
    machine = LockMachine(Terms("k", "me", TTL_MS, wait_ms=0))
    machine.start(at(0))
    effects = machine.answered(Answer(refused(Code.HELD, "other"), at(0)), at(3))
    assert of(GaveUp, effects) == [GaveUp("other", "text of held", held=True)]
    assert effects[-1] == Over()
    assert machine.next_timer_ns() is None


def test_it_tries_once_more_when_the_time_to_wait_is_over() -> None:
    machine = LockMachine(Terms("k", "me", TTL_MS, wait_ms=120))
    machine.start(at(0))
    machine.answered(Answer(refused(Code.HELD, "other"), at(0)), at(50))
    assert machine.next_timer_ns() == at(120)
    machine.tick(at(120))
    effects = machine.answered(Answer(granted(), at(120)), at(121))
    assert Got(5) in effects


def test_recovery_is_waited_for_like_a_holder() -> None:
    """After a double failure the ring grants nothing fresh for a while; that is no outage."""
    machine = LockMachine(TERMS)
    machine.start(at(0))
    effects = machine.answered(Answer(refused(Code.RECOVERING), at(0)), at(1))
    assert effects == []
    assert machine.next_timer_ns() == at(101)
    assert machine.owner == ""


def test_no_answer_ends_an_acquisition() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    assert machine.answered(NO_ANSWER, at(10)) == [GaveUp("", "nobody answered", held=False), Over()]


def test_an_invalid_request_is_not_repeated() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    effects = machine.answered(Answer(refused(Code.INVALID), at(0)), at(1))
    assert effects == [GaveUp("", "text of invalid", held=False, invalid=True), Over()]


def test_a_grant_that_came_after_its_own_end_is_unlocked_and_asked_anew() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    late_ns = at(0) + HELD_NS
    effects = machine.answered(Answer(granted(), at(0)), late_ns)
    assert asks(effects) == [Unlock("k", "token-5-1")]
    assert not of(Got, effects)
    assert asks(machine.answered(Answer(Released(), late_ns), late_ns)) == [Lock("k", TTL_MS, "me")]


# --- renewing -------------------------------------------------------------------------------


def test_it_renews_when_a_third_of_the_lease_has_gone() -> None:
    machine = held_machine()
    due_ns = machine.next_timer_ns()
    assert due_ns == at(0) + TTL_MS * NS_PER_MS // 3
    assert machine.tick(due_ns) == [Ask(Lock("k", TTL_MS, "me", "token-5-1"), at(0) + HELD_NS)]


def test_a_renewal_extends_from_when_it_was_sent_and_keeps_the_generation() -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    effects = machine.answered(Answer(granted(seq=2), at(2_400)), at(2_600))
    assert effects == []
    assert machine.held_until_ns == at(2_400) + HELD_NS
    assert machine.generation == 5


def test_each_renewal_shows_the_newest_token() -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    machine.answered(Answer(granted(seq=2), at(2_400)), at(2_401))
    assert asks(machine.tick(at(4_800))) == [Lock("k", TTL_MS, "me", "token-5-2")]


def test_a_failed_renewal_costs_no_token() -> None:
    """SeaweedFS's client forgets its token on one failed call, and so its lock (W17)."""
    machine = held_machine()
    machine.tick(at(2_400))
    assert machine.answered(NO_ANSWER, at(3_400)) == []
    assert machine.held(at(3_400))
    assert asks(machine.tick(at(3_600))) == [Lock("k", TTL_MS, "me", "token-5-1")]


@pytest.mark.parametrize(
    "code", [Code.NOT_SERVING, Code.HANDOFF, Code.RECOVERING, Code.TIMEOUT, Code.OVERLOADED, Code.MOVED, Code.HELD]
)
def test_a_refusal_that_says_nothing_of_the_lock_does_not_lose_it(code: Code) -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    assert not of(Lost, machine.answered(Answer(refused(code), at(2_400)), at(2_500)))
    assert machine.held(at(2_500))


@pytest.mark.parametrize("code", [Code.TOKEN_MISMATCH, Code.TOKEN_ON_NEW, Code.TOKEN_ON_EXPIRED])
def test_a_refused_token_loses_the_lock_at_once(code: Code) -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    effects = machine.answered(Answer(refused(code, "other"), at(2_400)), at(2_500))
    assert len(of(Lost, effects)) == 1
    assert effects[-1] == Over()  # there is nothing left to unlock
    assert not machine.held(at(2_500))


def test_a_renewal_that_hangs_does_not_delay_the_loss() -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    assert machine.next_timer_ns() == at(0) + HELD_NS
    effects = machine.tick(at(0) + HELD_NS)
    assert len(of(Lost, effects)) == 1
    assert effects[-1] == CancelAsk()


def test_what_comes_after_the_lapse_is_not_taken_but_unlocked() -> None:
    """`is_locked` may have been read as False: it must not become True again by itself (K2)."""
    machine = held_machine()
    machine.tick(at(2_400))
    late_ns = at(0) + HELD_NS + 1
    effects = machine.answered(Answer(granted(seq=2), at(2_400)), late_ns)
    assert len(of(Lost, effects)) == 1
    assert asks(effects) == [Unlock("k", "token-5-2")]
    assert not machine.held(late_ns)
    assert machine.answered(Answer(Released(), late_ns), late_ns) == [Over()]


def test_a_lapse_leaves_nothing_locked_behind() -> None:
    """The hung renewal may have been carried out: nobody else could end that lease (K5)."""
    machine = held_machine()
    machine.tick(at(2_400))
    late_ns = at(0) + HELD_NS
    machine.tick(late_ns)
    assert asks(machine.answered(Answer(None, 0, "cancelled"), late_ns)) == [Unlock("k", "token-5-1")]


def test_another_generation_under_a_renewal_is_a_loss() -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    effects = machine.answered(Answer(granted(seq=1, generation=6), at(2_400)), at(2_500))
    assert of(Lost, effects)
    assert asks(effects) == [Unlock("k", "token-6-1")]


def test_a_lock_that_is_not_renewed_ends_by_itself() -> None:
    machine = held_machine(Terms("k", "me", TTL_MS, renews=False))
    assert machine.next_timer_ns() == at(0) + HELD_NS
    effects = machine.tick(at(0) + HELD_NS)
    assert len(of(Lost, effects)) == 1


# --- stopping ---------------------------------------------------------------------------------


def test_stop_unlocks_with_the_token_there_is() -> None:
    machine = held_machine()
    assert machine.stop(at(100)) == [Ask(Unlock("k", "token-5-1"), at(100 + UNLOCK_MS))]
    assert not machine.held(at(100))
    assert machine.answered(Answer(Released(), at(100)), at(110)) == [Over()]


def test_stop_cancels_the_renewal_and_waits_for_it_before_it_unlocks() -> None:
    machine = held_machine()
    machine.tick(at(2_400))
    assert machine.stop(at(2_450)) == [CancelAsk()]
    effects = machine.answered(Answer(granted(seq=2), at(2_400)), at(2_460))
    assert asks(effects) == [Unlock("k", "token-5-2")]


def test_stop_while_waiting_has_nothing_to_unlock() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    machine.answered(Answer(refused(Code.HELD, "other"), at(0)), at(0))
    assert machine.stop(at(10)) == [Over()]


def test_stop_during_an_acquisition_unlocks_what_was_granted_after_all() -> None:
    machine = LockMachine(TERMS)
    machine.start(at(0))
    assert machine.stop(at(10)) == [CancelAsk()]
    effects = machine.answered(Answer(granted(), at(0)), at(20))
    assert not of(Got, effects)
    assert asks(effects) == [Unlock("k", "token-5-1")]


def test_stop_is_no_loss_even_when_the_unlock_fails() -> None:
    machine = held_machine()
    effects = machine.stop(at(100))
    effects += machine.answered(NO_ANSWER, at(100 + UNLOCK_MS))
    effects += machine.tick(at(TTL_MS))
    assert not of(Lost, effects)
    assert machine.phase is Phase.OVER


def test_stop_again_changes_nothing() -> None:
    machine = held_machine()
    machine.stop(at(100))
    assert machine.stop(at(101)) == []
    machine.answered(Answer(Released(), at(100)), at(110))
    assert machine.stop(at(120)) == []


# --- long-lived ---------------------------------------------------------------------------------

LONG = Terms("k", "me", TTL_MS, long_lived=True, retry_ms=long_retry_ms(TTL_MS))


def test_a_long_lived_lock_tries_every_five_halves_of_its_ttl() -> None:
    """lock_client.go: time.Sleep(5 * renewInterval), renewInterval = TTL / 2."""
    machine = LockMachine(LONG)
    machine.start(at(0))
    machine.answered(Answer(refused(Code.HELD, "other"), at(0)), at(0))
    assert machine.next_timer_ns() == at(17_500)


def test_a_long_lived_lock_survives_an_outage() -> None:
    machine = LockMachine(LONG)
    machine.start(at(0))
    assert not of(GaveUp, machine.answered(NO_ANSWER, at(10_000)))
    assert machine.next_timer_ns() == at(11_000)


def test_a_long_lived_lock_is_taken_again_after_a_loss() -> None:
    machine = held_machine(LONG)
    machine.tick(at(2_400))
    effects = machine.answered(Answer(refused(Code.TOKEN_ON_NEW), at(2_400)), at(2_500))
    assert len(of(Lost, effects)) == 1
    assert asks(machine.tick(at(2_600))) == [Lock("k", TTL_MS, "me")]
    effects = machine.answered(Answer(granted(generation=9), at(2_600)), at(2_601))
    assert Got(9) in effects


def test_a_long_lived_lock_unlocks_its_old_token_before_it_asks_anew() -> None:
    machine = held_machine(LONG)
    machine.tick(at(2_400))
    late_ns = at(0) + HELD_NS
    assert CancelAsk() in machine.tick(late_ns)
    machine.answered(Answer(None, 0, "cancelled"), late_ns)
    due_ns = machine.next_timer_ns()
    assert due_ns is not None
    assert asks(machine.tick(due_ns)) == [Unlock("k", "token-5-1")]
    assert asks(machine.answered(Answer(refused(Code.NOT_FOUND), due_ns), due_ns)) == [Lock("k", TTL_MS, "me")]


def test_each_change_of_owner_is_told_once() -> None:
    machine = LockMachine(LONG)
    effects = machine.start(at(0))
    now_ns = at(0)
    for owner in ("ada", "ada", "bob"):
        effects += machine.answered(Answer(refused(Code.HELD, owner), now_ns), now_ns)
        due_ns = machine.next_timer_ns()
        assert due_ns is not None
        now_ns = due_ns
        effects += machine.tick(now_ns)
    effects += machine.answered(Answer(granted(), now_ns), now_ns)
    assert of(OwnerChanged, effects) == [OwnerChanged("ada"), OwnerChanged("bob"), OwnerChanged("me")]
