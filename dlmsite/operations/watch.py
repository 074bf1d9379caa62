"""Looks at nodes and views, and has them written down for the page.

Invariants
  W1  A state is what was seen now: the master's word where it has one, else the process's.
  W2  Who has been silent for two heartbeats is suspected, whatever it said before.
Elsewhere: the rows (dlmsite.journal.nodes).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from django.db import DatabaseError

from dlmsite.journal.nodes import NodeBook, NodeSample, ViewSample, write_sight, write_view
from dlmsite.journal.recorder import Recorder
from dlmsite.journal.samples import SampleBook
from dlmsite.operations.ports import Master
from dlmsite.operations.supervisor import Seat, Supervisor
from lockcore.core.limits import HEARTBEAT_MS
from lockcore.core.roster import MemberStatus
from lockcore.core.view import View

log = logging.getLogger(__name__)

EVERY_S: Final = 0.2
"""A heartbeat and a look are to come within two heartbeats: what is older than that is no health (the page's rule)."""
HOUSEKEEPING_EVERY: Final = 25
SUSPECT_MS: Final = 2 * HEARTBEAT_MS
LABEL_CHARS_MAX: Final = 64
NS_PER_MS: Final = 1_000_000


class Watch:
    """Keeps the rows of nodes and views as they are.

    Args:
        supervisor: None where nodes are started by others.
        also: written in the same breath, such as the supervisor's own sign of life.
    """

    def __init__(
        self,
        recorder: Recorder,
        master: Master,
        supervisor: Supervisor | None = None,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._recorder = recorder
        self._master = master
        self._supervisor = supervisor
        self._also = also
        self._book = NodeBook()
        self._samples = SampleBook()
        self._wanted = asyncio.Event()

    def poke(self) -> None:
        """Look now rather than at the next turn."""
        self._wanted.set()

    async def run(self) -> None:
        """Look, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_on())
            tasks.create_task(self._follow_views())

    async def _look_on(self) -> None:
        turn = 0
        while True:
            try:
                await self.look()
                if turn % HOUSEKEEPING_EVERY == 0:
                    await self._keep_house()
            except (DatabaseError, OSError) as error:
                log.debug("nodes could not be written down: %s", error)
            turn += 1
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wanted.wait()
            except TimeoutError:
                continue
            finally:
                self._wanted.clear()

    async def look(self) -> None:
        """Write down what is seen now."""
        now_ns = time.time_ns()
        samples = take_samples(self._master.members(), self._supervisor, now_ns)
        await self._recorder.run(self._write, samples, self._master.stabilising_ms(), now_ns)
        self._recorder.hint()

    def _write(self, samples: list[NodeSample], stabilising_ms: int | None, now_ns: int) -> None:
        self._book.write(samples, now_ns)
        write_sight(stabilising_ms, now_ns)
        self._also()
        self._samples.note(samples, now_ns)

    async def _keep_house(self) -> None:
        view = self._master.view
        if view is not None:
            living = [(member.address, member.incarnation) for member in view.up.values()]
            await self._recorder.run(self._recorder.writer.drop_lost, living)
        if self._supervisor is not None:
            await asyncio.to_thread(self._supervisor.logs.bound)

    async def _follow_views(self) -> None:
        async for view, settled in self._master.subscribe():
            sample = sample_of(view, settled=settled)
            while True:
                try:
                    await self._recorder.run(write_view, sample, time.time_ns())
                    break
                except DatabaseError as error:
                    log.debug("a view could not be written down: %s", error)
                    await asyncio.sleep(EVERY_S)
            self.poke()


def sample_of(view: View, *, settled: bool) -> ViewSample:
    """Return what the journal keeps of a view."""
    members = tuple((m.address, m.incarnation, m.down) for m in view.members)
    return ViewSample(view.number, view.version, view.previous, members, settled)


def take_samples(members: tuple[MemberStatus, ...], supervisor: Supervisor | None, now_ns: int) -> list[NodeSample]:
    """Return one sample per seat, and one per member that has no seat here."""
    seats = list(supervisor.seats.values()) if supervisor else []
    newest = {status.address: status for status in members}  # sorted by incarnation: the last one stays
    samples = []
    for seat in seats:
        member = supervisor.member_of(seat) if supervisor and seat.alive else None
        status = newest.pop(seat.address, None)
        if status is not None and (member is None or status.incarnation != member.incarnation):
            status = None  # an earlier life
        samples.append(_sample_of_seat(seat, status, now_ns))
    # A stranger at our address has gone from `newest` with its seat: the seat's own process counts.
    samples += [_sample(status.address[:LABEL_CHARS_MAX], status, now_ns) for status in newest.values()]
    return samples


def _sample_of_seat(seat: Seat, status: MemberStatus | None, now_ns: int) -> NodeSample:
    if not seat.alive or seat.process is None:
        incarnation = seat.member.incarnation if seat.member else 0
        return NodeSample(seat.label, seat.address, seat.ended_as, incarnation=incarnation)
    if status is None:
        incarnation = seat.member.incarnation if seat.member else 0
        return NodeSample(seat.label, seat.address, "joining", incarnation=incarnation, pid=seat.process.pid)
    return _sample(seat.label, status, now_ns, seat.process.pid)


def _sample(label: str, status: MemberStatus, now_ns: int, pid: int | None = None) -> NodeSample:
    age_ms = status.heartbeat_age_ms
    return NodeSample(
        label=label,
        address=status.address,
        state=_state(status),
        incarnation=status.incarnation,
        pid=pid,
        settled=status.settled,
        view=status.view,
        held_primary=status.gauges.held_primary,
        held_backup=status.gauges.held_backup,
        operations=status.gauges.operations if age_ms is not None else None,
        heartbeat_at_ns=None if age_ms is None else now_ns - age_ms * NS_PER_MS,
        gauges=asdict(status.gauges),
    )


def _state(status: MemberStatus) -> str:
    if status.heartbeat_age_ms is None:
        return "unknown" if status.state == "up" else status.state
    if status.heartbeat_age_ms > SUSPECT_MS and status.state in {"up", "leaving"}:
        return "suspected"
    if status.state == "up" and status.view:
        if not status.gauges.serving:
            return "fenced"
        if status.gauges.acquiring:
            return "acquiring"
    return status.state
