"""What the page is told of a node is what was seen of it."""

from dlmsite.operations.supervisor import Seat, Supervisor
from dlmsite.operations.watch import SUSPECT_MS, take_samples
from lockcore.core.messages import Gauges
from lockcore.core.roster import MemberStatus
from lockcore.core.view import MemberId
from tests.dlmsite.operations.conftest import Start
from tests.dlmsite.waiting import until

NOW_NS = 10_000_000_000


def status(
    state: str = "up", *, incarnation: int = 1, age_ms: int | None = 100, serving: bool = True, acquiring: bool = False
) -> MemberStatus:
    gauges = Gauges(held_primary=3, held_backup=2, operations=9, serving=serving, acquiring=acquiring)
    return MemberStatus("a:1.10001", incarnation, state, 7, settled=True, heartbeat_age_ms=age_ms, gauges=gauges)


def state_of(member: MemberStatus) -> str:
    return take_samples((member,), None, NOW_NS)[0].state


def test_a_member_of_somebody_elses_is_shown_under_its_address() -> None:
    (sample,) = take_samples((status(),), None, NOW_NS)
    assert (sample.label, sample.state, sample.held_primary, sample.pid) == ("a:1.10001", "up", 3, None)
    assert sample.heartbeat_at_ns == NOW_NS - 100_000_000
    assert sample.settled


def test_health_that_was_not_measured_is_unknown() -> None:
    """A restarted master remembers members that it has not heard yet."""
    assert state_of(status(age_ms=None)) == "unknown"


def test_who_is_silent_for_two_heartbeats_is_suspected() -> None:
    """Before the master may mark it down; whatever it last said of itself is old."""
    assert state_of(status(age_ms=SUSPECT_MS)) == "up"
    assert state_of(status(age_ms=SUSPECT_MS + 1)) == "suspected"
    assert state_of(status(age_ms=SUSPECT_MS + 1, serving=False)) == "suspected"
    assert state_of(status("leaving", age_ms=SUSPECT_MS + 1)) == "suspected"
    assert state_of(status("down", age_ms=SUSPECT_MS + 1)) == "down"


def test_a_member_says_itself_whether_it_serves() -> None:
    assert state_of(status(serving=False)) == "fenced"
    assert state_of(status(acquiring=True)) == "acquiring"
    assert state_of(status("leaving")) == "leaving"
    assert state_of(status("joining")) == "joining"


async def test_a_process_that_has_not_registered_is_joining_and_an_earlier_life_is_not_it(
    supervise: Start,
) -> None:
    supervisor = supervise()
    seat = await started(supervisor)
    old = MemberStatus(seat.address, 1, "down", 7, settled=False, heartbeat_age_ms=9, gauges=Gauges())
    (sample,) = take_samples((old,), supervisor, NOW_NS)
    assert seat.process is not None
    assert (sample.label, sample.state, sample.pid) == ("n1", "joining", seat.process.pid)


async def test_a_node_that_was_killed_is_shown_as_killed(supervise: Start) -> None:
    supervisor = supervise()
    supervisor.seats["n3"] = Seat("n3", "a:3.10003", member=MemberId("a:3.10003", 8), ended_as="killed")
    (sample,) = take_samples((), supervisor, NOW_NS)
    assert (sample.state, sample.incarnation, sample.pid) == ("killed", 8, None)


async def started(supervisor: Supervisor) -> Seat:
    seat = supervisor.start("n1")
    await until(lambda: supervisor.member_of(seat))
    return seat
