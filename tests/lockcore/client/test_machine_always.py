"""What holds of a lock's life whatever the cluster answers, and whenever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lockcore.client.machine import (
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
)
from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import Code, Granted, Lock, Refused, Released, Unlock

if TYPE_CHECKING:
    from lockcore.core.operations import Result

TERMS = Terms("k", "me", 1_000, call_ms=500)
REFUSALS = st.sampled_from(sorted(Code))
DELAYS_MS = st.integers(0, 1_500)


class LifeOfALock(RuleBasedStateMachine):
    """Any interleaving of time, answers and stops.

    Beside the machine runs the cluster's own book: which lease the node would count, from when it received what.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 10**12
        self.ask: Ask | None = None
        self.sent_ns = 0
        self.generation = 0
        self.seq = 0
        self.node_until_ns = 0
        self.token = ""
        self.open_holding = False
        self.seen_not_held = False
        self.stopped = False
        self.over = 0

    @initialize(
        long_lived=st.booleans(),
        renews=st.booleans(),
        wait_ms=st.one_of(st.none(), st.integers(0, 3_000)),
        factor=st.floats(0.5, 1.5),
    )
    def begin(self, long_lived: bool, renews: bool, wait_ms: int | None, factor: float) -> None:  # noqa: FBT001
        self.terms = replace(TERMS, long_lived=long_lived, renews=renews, wait_ms=wait_ms)
        self.machine = LockMachine(self.terms, lambda: factor)
        self.take(self.machine.start(self.now_ns))

    # --- what happens -----------------------------------------------------------------------

    @rule(delay_ms=DELAYS_MS)
    def time_passes(self, delay_ms: int) -> None:
        self.now_ns += delay_ms * NS_PER_MS

    @rule()
    def the_timer_fires(self) -> None:
        due_ns = self.machine.next_timer_ns()
        if due_ns is not None:
            self.now_ns = max(self.now_ns, due_ns)
            self.take(self.machine.tick(self.now_ns))

    @rule(delay_ms=DELAYS_MS)
    def a_reader_looks(self, delay_ms: int) -> None:
        self.now_ns += delay_ms * NS_PER_MS
        if self.open_holding and not self.machine.held(self.now_ns):
            self.seen_not_held = True

    @precondition(lambda self: self.ask is not None)
    @rule(code=REFUSALS, delay_ms=DELAYS_MS)
    def it_is_refused(self, code: Code, delay_ms: int) -> None:
        self.now_ns += delay_ms * NS_PER_MS
        if code in (Code.TOKEN_MISMATCH, Code.TOKEN_ON_NEW, Code.TOKEN_ON_EXPIRED):
            self.node_until_ns = 0
        self.answer(Refused(code, code.value, "other" if code is Code.HELD else ""))

    @precondition(lambda self: self.ask is not None)
    @rule(delay_ms=DELAYS_MS)
    def nobody_answers(self, delay_ms: int) -> None:
        self.now_ns += delay_ms * NS_PER_MS
        self.answer(None)

    @precondition(lambda self: self.ask is not None)
    @rule(there_ms=DELAYS_MS, back_ms=DELAYS_MS, reply_is_lost=st.booleans())
    def the_node_serves(self, there_ms: int, back_ms: int, reply_is_lost: bool) -> None:  # noqa: FBT001
        assert self.ask is not None
        received_ns = self.now_ns + there_ms * NS_PER_MS
        self.now_ns = received_ns + back_ms * NS_PER_MS
        result = self.serve(self.ask.operation, received_ns)
        self.answer(None if reply_is_lost else result)

    @precondition(lambda self: not self.stopped)
    @rule()
    def it_is_stopped(self) -> None:
        self.stopped = True
        self.take(self.machine.stop(self.now_ns))

    # --- the cluster ---------------------------------------------------------------------------

    def serve(self, operation: object, at_ns: int) -> Result:
        held = at_ns < self.node_until_ns
        if isinstance(operation, Unlock):
            self.node_until_ns = 0
            return Released()
        assert isinstance(operation, Lock)
        if operation.token and not held:
            return Refused(Code.TOKEN_ON_EXPIRED, "expired")
        if not operation.token and held:
            return Refused(Code.HELD, "held", "me")
        if not operation.token:
            self.generation, self.seq = self.generation + 1, 0
        self.seq += 1
        self.node_until_ns = at_ns + operation.ttl_ms * NS_PER_MS
        return Granted(f"t{self.generation}.{self.seq}", "me", self.generation, self.seq, operation.ttl_ms)

    def answer(self, result: Result | None) -> None:
        self.ask = None
        self.take(self.machine.answered(Answer(result, self.sent_ns), self.now_ns))

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    assert self.ask is None, "one at a time"
                    assert effect.deadline_ns > self.now_ns
                    self.ask, self.sent_ns = effect, self.now_ns
                case CancelAsk():
                    assert self.ask is not None
                case Got():
                    assert not self.open_holding
                    assert not self.stopped
                    self.open_holding, self.seen_not_held = True, False
                case Lost():
                    assert self.open_holding, "one loss per holding (K3)"
                    assert not self.stopped or self.now_ns >= self.machine.held_until_ns
                    self.open_holding = False
                case Over():
                    self.over += 1
                    self.open_holding = False
                case GaveUp() | OwnerChanged():
                    assert self.over == 0

    # --- what always holds -------------------------------------------------------------------------

    @invariant()
    def the_holder_lets_go_before_the_node_does(self) -> None:
        """K1: held here implies held there, without any message in between."""
        if hasattr(self, "machine") and self.machine.held(self.now_ns):
            assert self.now_ns < self.node_until_ns

    @invariant()
    def held_never_comes_back_by_itself(self) -> None:
        """K2."""
        if self.open_holding and self.seen_not_held:
            assert not self.machine.held(self.now_ns)

    @invariant()
    def something_is_always_to_come_until_it_is_over(self) -> None:
        """No life hangs: an answer, a timer or the end is due."""
        if hasattr(self, "machine"):
            phase = self.machine.phase
            waits = self.ask is not None or self.machine.next_timer_ns() is not None
            assert waits != (phase is Phase.OVER)
            assert self.over == (phase is Phase.OVER)

    def teardown(self) -> None:
        """Whatever happened, a stop ends it after a few answers, and leaves no lease that a token could end."""
        if not hasattr(self, "machine"):
            return
        if not self.stopped:
            self.it_is_stopped()
        for _ in range(3):
            if self.ask is not None:
                self.answer(self.serve(self.ask.operation, self.now_ns))
        assert self.machine.phase is Phase.OVER


TestLifeOfALock = LifeOfALock.TestCase
TestLifeOfALock.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
