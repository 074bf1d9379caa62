"""Byte ranges when messages come twice or late, in a grace, and as views change.

Elsewhere: what a range operation does (test_ranging), who decides about it (test_ranging_roles).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core.messages import (
    ClearRange,
    EndSession,
    FindConflict,
    PeerBatch,
    RangeConflict,
    RangeDenied,
    RangeLocked,
    Released,
    SetRange,
)
from lockcore.core.rangefiles import id_of
from lockcore.core.rangerecords import Errno, Kind
from lockcore.core.ring import HashRing
from lockcore.core.view import Grace, MemberId
from tests.lockcore.core.bench import Bench
from tests.lockcore.core.test_queueing_faults import EVERYWHERE, opened


def test_a_range_operation_that_was_given_up_before_it_came_is_not_carried_out() -> None:
    """U5, for ranges."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    proof = opened(bench)
    key = bench.key("a:1")
    bench.ask(ClearRange(key, proof, 8, "t", wanted=7))
    late = bench.ask(SetRange(key, proof, 7, "t", Kind.WRITE, 0, 10, wait_ms=None))
    assert isinstance(late, RangeDenied)
    assert late.error is Errno.EINTR
    assert isinstance(bench.ask(SetRange(key, proof, 9, "t", Kind.WRITE, 0, 10)), RangeLocked)


def test_a_late_attempt_of_an_unlock_that_changed_nothing_takes_nothing_away() -> None:
    """Y2: it was answered; what its owner has locked since is not what it was about."""
    bench = Bench().settle()
    key, proof = bench.key("a:1"), opened(bench)
    unlock = ClearRange(key, proof, 1, "t")
    assert isinstance(bench.ask(unlock), Released)
    assert isinstance(bench.ask(SetRange(key, proof, 2, "t", Kind.WRITE, 0, 5)), RangeLocked)
    assert isinstance(bench.ask(unlock), Released)
    assert isinstance(bench.ask(FindConflict(key, opened(bench, "bob"), "u", Kind.READ, 0, 5)), RangeConflict)


@pytest.mark.parametrize("wait_ms", [0, 500])
def test_a_late_attempt_of_a_range_that_was_refused_takes_nothing(wait_ms: int) -> None:
    """Y2: found by simulation (seed 5022687): it was granted later, and made a write lock of its owner a read lock."""
    bench = Bench().settle()
    key, ada, bob = bench.key("a:1"), opened(bench), opened(bench, "bob")
    assert isinstance(bench.ask(SetRange(key, bob, 1, "t", Kind.WRITE, 0, 5)), RangeLocked)
    wanted = SetRange(key, ada, 1, "t", Kind.READ, 0, 5, wait_ms=wait_ms)
    call = bench.call(wanted, timeout_ms=5_000)
    bench.take_in_all()
    bench.live(600)
    bench.take_in_all()
    assert getattr(bench.answers[call], "error", None) is (Errno.ETIMEDOUT if wait_ms else Errno.EAGAIN)
    assert isinstance(bench.ask(ClearRange(key, bob, 2, "t")), Released)
    assert getattr(bench.ask(wanted), "error", None) is Errno.EINTR
    assert isinstance(bench.ask(replace(wanted, op_id=2)), RangeLocked)


@pytest.mark.parametrize("goes", ["ends", "unlocks"])
def test_nobody_who_waits_for_bytes_is_granted_in_a_grace(goes: str) -> None:
    """An old copy has its queue: what its holder lets go of may have been somebody else's since."""
    bench = Bench().settle()
    key, holder, third = bench.key("a:1"), opened(bench), opened(bench)
    assert isinstance(bench.ask(SetRange(key, holder, 1, "t", Kind.WRITE, 0, 10)), RangeLocked)
    call = bench.call(SetRange(key, third, 1, "t", Kind.WRITE, 0, 10, wait_ms=None), timeout_ms=60_000)
    bench.take_in_all()
    bench.view(down=["b:2"], grace=Grace(EVERYWHERE, 5_000))
    if goes == "ends":
        bench.ask(EndSession(holder))
    else:
        assert isinstance(bench.ask(ClearRange(key, holder, 2, "t", 0, 10)), Released)
    bench.live(4_000)
    assert call not in bench.answers
    bench.live(2_500)
    assert isinstance(bench.answers.get(call), RangeLocked)


def test_waits_for_bytes_end_in_a_grace_too() -> None:
    """S9: a deadline and the end of a session grant nothing, so they need not wait for the grace to be over."""
    bench = Bench().settle()
    key, holder, third, fourth = bench.key("a:1"), opened(bench), opened(bench), opened(bench)
    assert isinstance(bench.ask(SetRange(key, holder, 1, "t", Kind.WRITE, 0, 10)), RangeLocked)
    late = bench.call(SetRange(key, third, 1, "t", Kind.WRITE, 0, 10, wait_ms=2_000), timeout_ms=60_000)
    gone = bench.call(SetRange(key, fourth, 1, "t", Kind.WRITE, 0, 10, wait_ms=None), timeout_ms=60_000)
    bench.take_in_all()
    bench.view(down=["b:2"], grace=Grace(EVERYWHERE, 20_000))
    bench.ask(EndSession(fourth))
    bench.ask(EndSession(holder))
    bench.live(4_000)
    errors = [getattr(bench.answers[call], "error", None) for call in (late, gone)]
    assert errors == [Errno.ETIMEDOUT, Errno.EINTR]
    file = bench.core._state.files.get(id_of(key))
    assert file is None or (file.table.rows(), file.table.waiters()) == ((), ())


def test_ranges_that_were_let_go_before_their_node_is_primary_again_stay_so() -> None:
    """P5: as with a lock, somebody else may have served them in between."""
    bench = Bench().settle()
    bench.peers["c:3"] = MemberId("c:3", 1)
    after = HashRing(["a:1", "b:2", "c:3"])
    keys = (bench.key("a:1", nth=i) for i in range(500))
    key = next(k for k in keys if after.primary(k) == "c:3" and after.backup(k) == "a:1")
    proof = opened(bench)
    assert isinstance(bench.ask(SetRange(key, proof, 1, "t", Kind.WRITE, 0, 10)), RangeLocked)
    bench.view()
    file = bench.core._state.files.get(id_of(key))
    assert file is not None
    assert file.serving  # nobody has taken it over yet
    held = file.record(0, bench.core._state.sessions, None, transfer=True)
    bench.call(ClearRange(key, proof, 2, "t", 0, 10))
    del bench.peers["c:3"]
    bench.view()
    bench.take_in_all()
    assert file.gone
    late = replace(held, seq=bench.number - 500)
    bench.deliver(PeerBatch(bench.peers["b:2"], bench.me, bench.number, 1_000, files=(late,)))
    assert [f.gone for f in bench.core._state.files] == [True]
