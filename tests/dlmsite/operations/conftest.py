"""A data folder, a master that says what a test wants, and stand-ins for nodes."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from signal import SIGKILL

import pytest

from dlmsite.operations.seats import Plan
from dlmsite.operations.supervisor import Seat, Supervisor
from lockcore.core.events import EventBatch
from lockcore.core.messages import Gauges
from lockcore.core.roster import MemberStatus
from lockcore.core.view import Member, MemberId, View
from lockcore.testing.ports import claim_ports

PORTS_NEEDED = 9
STANDIN = Path(__file__).with_name("standin.py")


class FakeMaster:
    """Shows the members that a test gives it; a reported death is marked down at once."""

    def __init__(self) -> None:
        self.deaths: list[MemberId] = []
        self.settled = True
        self.alive: list[MemberId] = []
        self.buries = True

    def join(self, member: MemberId) -> None:
        """Let a member be up."""
        self.alive = [other for other in self.alive if other.address != member.address]
        self.alive.append(member)

    @property
    def view(self) -> View | None:
        dead = {*self.deaths} if self.buries else set()
        return View(7, 7, tuple(Member(m.address, m.incarnation, down=m in dead) for m in self.alive))

    def stabilising_ms(self) -> int | None:
        return None

    def members(self) -> tuple[MemberStatus, ...]:
        return tuple(
            MemberStatus(
                m.address, m.incarnation, "down" if m in self.deaths else "up", 7, settled=True, heartbeat_age_ms=5,
                gauges=Gauges(serving=True),
            )
            for m in self.alive
        )  # fmt: skip

    def report_death(self, member: MemberId) -> None:
        self.deaths.append(member)

    async def subscribe(self) -> AsyncIterator[tuple[View, bool]]:
        if self.view is not None:
            yield self.view, True


class Sink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[EventBatch] = []

    async def __call__(self, batch: EventBatch) -> None:
        self.batches.append(batch)


Start = Callable[..., Supervisor]


@pytest.fixture
def master() -> FakeMaster:
    return FakeMaster()


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def plan() -> Plan:
    return Plan("127.0.0.1", claim_ports(PORTS_NEEDED))


@pytest.fixture
async def supervise(tmp_path: Path, plan: Plan, master: FakeMaster, sink: Sink) -> AsyncIterator[Start]:
    """Makes supervisors; what their nodes leave behind is killed."""
    made: list[Supervisor] = []

    def make(behaviour: str = "obeys") -> Supervisor:
        def command(seat: Seat, plan: Plan, data: Path) -> Sequence[str]:
            return [
                sys.executable, str(STANDIN), behaviour, "node", "--address", seat.address,
                "--master", plan.master_target, "--data", str(data), "--label", seat.label,
            ]  # fmt: skip

        made.append(Supervisor(tmp_path, plan, master, sink, command))
        return made[-1]

    yield make
    for supervisor in made:
        for seat in supervisor.seats.values():
            if seat.process is not None:
                seat.process.send(SIGKILL)
        await supervisor.end_all(0, 5)
