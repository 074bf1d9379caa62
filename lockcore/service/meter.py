"""Measures how long a node's answers and its replication take.

Invariants
  E1  An operation that asked to wait is not measured: it takes as long as
      others hold the lock, which says nothing of the node.
  E2  A batch counts from when it first left until its peer has accepted
      it; sent again, it is the same batch.
  E3  A probe, by which nodes see whether they reach each other, is no
      replication.
  E4  Bounded: two histograms, and one mark per peer in the view.
Elsewhere: what is told of it (lockcore.core.mastering.Gauges), when (shell).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lockcore.core.messages import PROBE_LSN, BatchStatus, PeerAck, PeerBatch
from lockcore.core.timing import BUCKETS_US, COUNTS, Timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.messages import Gauges, Operation, PeerMessage

NS_PER_US: Final = 1_000


class Histogram:
    """Counts durations."""

    def __init__(self) -> None:
        self._counts = [0] * COUNTS
        self._total_us = 0

    def observe(self, took_ns: int) -> None:
        """Count one."""
        took_us = took_ns // NS_PER_US
        self._counts[bisect_left(BUCKETS_US, took_us)] += 1
        self._total_us += took_us

    def read(self) -> Timing:
        """Return what was counted since the start."""
        return Timing(tuple(self._counts), self._total_us)


class Meter:
    """What one node measures.

    Args:
        clock_ns: runs on, whatever is done to the wall clock.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock_ns = clock_ns
        self._answered = Histogram()
        self._replicated = Histogram()
        self._under_way: dict[str, tuple[int, int]] = {}  # peer -> (number of the batch, when it first left)

    def begin(self, operation: Operation) -> int | None:
        """Return what to give to `end`; None for what is not measured (E1)."""
        return None if getattr(operation, "wait_ms", 0) != 0 else self._clock_ns()

    def end(self, began_ns: int | None) -> None:
        """An operation is answered."""
        if began_ns is not None:
            self._answered.observe(self._clock_ns() - began_ns)

    def sent(self, address: str, message: PeerMessage) -> None:
        """A message leaves for a peer."""
        if isinstance(message, PeerBatch) and message.lsn != PROBE_LSN:
            _, first_ns = self._under_way.get(address, (0, 0))
            self._under_way[address] = (message.lsn, first_ns or self._clock_ns())

    def heard(self, message: PeerMessage) -> None:
        """A message came from a peer."""
        if not isinstance(message, PeerAck) or message.status is not BatchStatus.OK:
            return
        lsn, first_ns = self._under_way.get(message.sender.address, (0, 0))
        if lsn and lsn == message.lsn:
            del self._under_way[message.sender.address]
            self._replicated.observe(self._clock_ns() - first_ns)

    def new_view(self) -> None:
        """Forget what was under way: it belongs to the view before, and what is left of it is sent anew."""
        self._under_way.clear()

    def fill(self, gauges: Gauges) -> Gauges:
        """Return a node's gauges with what was measured here."""
        now_ns = self._clock_ns()
        oldest_ns = min((first_ns for _, first_ns in self._under_way.values()), default=now_ns)
        return replace(
            gauges,
            answered=self._answered.read(),
            replicated=self._replicated.read(),
            replication_lag_us=(now_ns - oldest_ns) // NS_PER_US,
        )
