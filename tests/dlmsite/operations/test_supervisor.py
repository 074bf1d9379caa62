"""The supervisor with real processes; the master and the nodes' inside are stand-ins."""

import json
import socket
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from dlmsite.operations.procs import identify
from dlmsite.operations.seats import Plan
from dlmsite.operations.supervisor import OperationProblem, Seat, Supervisor
from lockcore.core.view import MemberId
from tests.dlmsite.operations.conftest import FakeMaster, Sink, Start
from tests.dlmsite.waiting import until


async def started(supervisor: Supervisor, label: str = "n1") -> Seat:
    """Start a node and wait until its incarnation is known."""
    seat = supervisor.start(label)
    await until(lambda: supervisor.member_of(seat), "the stand-in's spool")
    return seat


async def test_a_death_is_reported_for_the_very_incarnation(supervise: Start, master: FakeMaster) -> None:
    supervisor = supervise()
    seat = await started(supervisor)
    supervisor.send("n1", SIGKILL)
    await until(lambda: master.deaths)
    assert master.deaths == [seat.member]
    assert (seat.alive, seat.ended_as) == (False, "killed")


async def test_what_a_killed_node_had_spooled_is_recorded(supervise: Start, sink: Sink, tmp_path: Path) -> None:
    """No acknowledged grant is missing from the history after a SIGKILL."""
    supervisor = supervise()
    seat = await started(supervisor)
    supervisor.send("n1", SIGKILL)
    await until(lambda: not list((tmp_path / "spool").glob("n1-*")))
    (batch,) = sink.batches
    assert seat.member == MemberId(batch.source, batch.incarnation)
    assert [told.event.key for told in batch.events] == ["k"]


async def test_the_spool_of_a_living_node_is_left_alone(supervise: Start, sink: Sink, tmp_path: Path) -> None:
    supervisor = supervise()
    await started(supervisor, "n2")
    await started(supervisor, "n1")
    supervisor.send("n1", SIGKILL)
    await until(lambda: sink.batches)
    assert len(list((tmp_path / "spool").glob("n2-*"))) == 1


async def test_a_node_is_never_started_again_by_itself(supervise: Start) -> None:
    supervisor = supervise()
    seat = await started(supervisor)
    supervisor.send("n1", SIGTERM)
    await until(lambda: not seat.alive)
    await supervisor.end_all(0, 1)
    assert not seat.alive


async def test_a_restart_is_a_new_incarnation_at_the_same_address(supervise: Start) -> None:
    supervisor = supervise()
    first = (await started(supervisor)).member
    supervisor.send("n1", SIGKILL)
    await until(lambda: not supervisor.seats["n1"].alive)
    second = (await started(supervisor)).member
    assert first is not None
    assert second is not None
    assert first.address == second.address
    assert first.incarnation < second.incarnation


async def test_nodes_outlive_the_supervisor_and_are_adopted(supervise: Start, master: FakeMaster) -> None:
    """A crash of the site is no reason for a lock to be lost."""
    before = supervise()
    seat = await started(before)
    assert seat.process is not None
    before.let_go()
    after = supervise()
    assert after.adopt() == ["n1"]
    adopted = after.seats["n1"]
    assert adopted.process is not None
    assert adopted.process.pid == seat.process.pid
    assert after.member_of(adopted) == seat.member
    after.send("n1", SIGKILL)
    await until(lambda: master.deaths)
    assert master.deaths == [seat.member]


async def test_a_node_that_died_while_nobody_watched_is_reported_and_recorded(
    supervise: Start, master: FakeMaster, sink: Sink, tmp_path: Path
) -> None:
    before = supervise()
    seat = await started(before)
    assert seat.member is not None
    assert seat.process is not None
    master.join(seat.member)
    before.let_go()
    seat.process._child.kill()  # type: ignore[union-attr]
    await until(lambda: identify(seat.process.pid) is None if seat.process else True)
    assert supervise().adopt() == []
    assert master.deaths == [seat.member]
    await until(lambda: sink.batches)
    assert not list((tmp_path / "nodes").glob("*.json"))


async def test_a_stale_record_with_anothers_pid_is_not_believed(supervise: Start, tmp_path: Path) -> None:
    """Pids are used again; the supervisor must never signal a stranger."""
    supervisor = supervise()
    seat = await started(supervisor)
    path = tmp_path / "nodes" / "n1.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "start_ticks": raw["start_ticks"] - 1}))
    assert supervise().adopt() == []
    assert seat.alive


async def test_nodes_of_another_master_are_not_taken_over(supervise: Start, tmp_path: Path) -> None:
    supervisor = supervise()
    await started(supervisor)
    path = tmp_path / "nodes" / "n1.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "master": "127.0.0.1:1"}))
    with pytest.raises(OperationProblem, match=r"the master at 127.0.0.1:1 \(pid \d+\): use the same --port"):
        supervise().refuse_strangers()


async def test_a_port_that_is_taken_is_said_before_the_start(supervise: Start, plan: Plan) -> None:
    taken = socket.create_server(("127.0.0.1", plan.grpc_port("n1")))
    with taken, pytest.raises(OperationProblem, match=r"port \d+ on 127.0.0.1 cannot be used: another program"):
        supervise().start("n1")


async def test_a_node_that_runs_is_not_started_twice(supervise: Start) -> None:
    supervisor = supervise()
    await started(supervisor)
    with pytest.raises(OperationProblem, match="n1 is running already"):
        supervisor.start("n1")


async def test_a_program_that_cannot_be_run_is_a_clear_problem(
    tmp_path: Path, plan: Plan, master: FakeMaster, sink: Sink
) -> None:
    supervisor = Supervisor(tmp_path, plan, master, sink, lambda *_: ["/does/not/exist"])
    with pytest.raises(OperationProblem, match="n1 cannot be started: No such file or directory"):
        supervisor.start("n1")


async def test_what_does_not_run_cannot_be_signalled(supervise: Start) -> None:
    with pytest.raises(OperationProblem, match="n1 is not running"):
        supervise().send("n1", SIGKILL)


async def test_in_the_end_nothing_is_left(supervise: Start, tmp_path: Path) -> None:
    """Not even a node that does not listen to SIGTERM."""
    supervisor = supervise("stubborn")
    seats = [await started(supervisor, label) for label in ("n1", "n2")]
    await supervisor.end_all(0, 0.2)
    assert [seat.alive for seat in seats] == [False, False]
    assert not list((tmp_path / "nodes").glob("*.json"))
    assert not list((tmp_path / "spool").glob("*.ndjson"))


async def test_the_log_tells_why_a_node_ended(supervise: Start) -> None:
    supervisor = supervise("fails")
    seat = supervisor.start("n1")
    await until(lambda: not seat.alive)
    assert supervisor.logs.last_line("n1") == "the disk of this node is made of cheese"


async def test_a_label_of_an_earlier_time_is_kept(supervise: Start) -> None:
    supervisor = supervise()
    supervisor.know("n7", "killed")
    assert supervisor.seats["n7"].ended_as == "killed"


async def test_while_the_site_ends_nothing_is_started(supervise: Start) -> None:
    """An action that is under way must not leave a stray node behind."""
    supervisor = supervise()
    await supervisor.end_all(0, 0)
    with pytest.raises(OperationProblem, match="the site is being stopped"):
        supervisor.start("n1")
