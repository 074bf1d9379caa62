"""Starting, crashing, restarting and ending: what is left, what is kept, what people are told.

Elsewhere: the same on the page (test_page.py), the supervisor by itself (tests/dlmsite/operations).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lockcore
from lockcore.core.messages import Granted
from tests.acceptance.running import ROOT, Running, free_port, settled, wait_for
from tests.acceptance.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance

ASKED_TO_THE_LAST = ["/api/key/?key=a", "/api/find/?key=a", "/api/sessions/", "/api/lock/?key=a", "/api/snapshot/"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with settled(tmp_path / "data", "--no-workload") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests that end nothing of it."""
    with settled(tmp_path_factory.mktemp("unharmed") / "data", "--no-workload") as cluster:
        yield cluster


def run_up(*options: str) -> subprocess.CompletedProcess[str]:
    """Run an `up` that is to fail."""
    command = [sys.executable, "manage.py", "up", "--no-workload", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)


def test_status_tells_everything_about_every_node(unharmed: Running) -> None:
    running = unharmed
    with lockcore.connect(running.target) as client, client.lock("k", ttl=7.0):
        found = wait_for(lambda: _with_lock(json.loads(running.printed_status("--json"))), "the lock in the status")
    assert found["running"] is True
    assert found["master"] == f"127.0.0.1:{running.port + 10_000}"
    assert found["master_state"] == "up"
    nodes = {node["label"]: node for node in found["nodes"]}
    assert sorted(nodes) == ["n1", "n2", "n3"]
    node = nodes["n2"]
    assert node["ring_address"] == f"127.0.0.1:{running.port + 2}.{running.port + 10_002}"
    assert node["seaweedfs_address"] == node["grpc_address"] == f"127.0.0.1:{running.port + 10_002}"
    assert node["state"] == "up"
    assert node["pid"] in running.pids()
    assert int(node["incarnation"]) > 0
    assert node["view"] == found["view"]
    assert node["version"] == found["version"]
    assert sum(n["held_primary"] for n in nodes.values()) == sum(n["held_backup"] for n in nodes.values()) == 1


def _with_lock(found: dict[str, Any]) -> dict[str, Any] | None:
    backups = [node for node in found.get("nodes", []) if node["held_backup"]]
    return found if backups else None


def test_nodes_and_locks_outlive_a_crash_of_the_site(running: Running) -> None:
    """SIGKILL of the site, a new site in the same folder: same processes, same holder, same generation, no gap."""
    before = {node["label"]: (node["pid"], node["incarnation"]) for node in running.status()["nodes"]}
    with lockcore.connect(running.target) as client, client.lock("kept", ttl=40.0, owner="ada") as lock:
        generation = lock.generation
        running.process.kill()
        running.process.wait()
        assert sorted(running.pids()) == sorted(pid for pid, _ in before.values())
        assert "not running" in running.printed_status()
        running.start()
        found = running.wait_settled()
        after = {node["label"]: (node["pid"], node["incarnation"]) for node in found["nodes"]}
        assert after == before
        assert lock.is_locked
        assert lock.generation == generation
        assert client.owner_of("kept") == "ada"
    wait_for(lambda: ("kept", generation) in running.events("released"), "the release in the history")
    assert ("kept", generation) in running.events("granted")
    assert running.events("gap") == []


def test_no_acknowledged_grant_is_missing_after_a_node_is_killed(running: Running) -> None:
    """What a killed node had spooled and not reported yet is read by the supervisor."""
    with lockcore.connect(running.target) as client:
        granted = []
        for number in range(60):
            key = f"grant/{number}"
            grant = client.acquire(key, ttl=20.0)
            assert isinstance(grant, Granted)
            granted.append((key, grant.generation))
        node = running.status()["nodes"][0]
        os.kill(node["pid"], signal.SIGKILL)
        running.wait_settled(2)
        wait_for(lambda: set(granted) <= set(running.events("granted")), "every grant in the history")
        wait_for(lambda: running.events("died"), "its death in the history")
    assert running.events("gap") == []
    assert len(running.events("died")) == 1


def test_a_second_site_in_the_same_folder_is_told_where_the_first_is(unharmed: Running) -> None:
    done = run_up("--port", str(free_port()), "--data", str(unharmed.data))
    assert done.returncode == 1
    assert f"already at http://127.0.0.1:{unharmed.port}/ (pid {unharmed.process.pid})" in done.stderr
    assert "Traceback" not in done.stderr
    unharmed.wait_settled()


def test_ports_that_are_taken_are_named(unharmed: Running, tmp_path: Path) -> None:
    page = run_up("--port", str(unharmed.port), "--data", str(tmp_path / "other"))
    assert page.returncode == 1
    assert f"port {unharmed.port} on 127.0.0.1 cannot be used: another program uses it" in page.stderr

    port = free_port()
    with socket.create_server(("127.0.0.1", port + 10_000)):
        master = run_up("--port", str(port), "--data", str(tmp_path / "third"))
    assert master.returncode == 1
    assert f"the master cannot listen on 127.0.0.1:{port + 10_000}" in master.stderr
    assert "Traceback" not in page.stderr + master.stderr


def test_a_folder_that_cannot_be_used_is_named() -> None:
    done = run_up("--port", str(free_port()), "--data", "/proc/lockring")
    assert done.returncode == 2
    assert done.stderr.startswith("lockring: cannot make the data folder /proc/lockring")
    assert done.stderr.count("\n") == 1


def test_status_says_clearly_when_nothing_runs(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "status", "--data", str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 1
    assert "nothing runs in" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_node_whose_port_is_taken_does_not_keep_the_others_from_starting(tmp_path: Path) -> None:
    cluster: Running | None = None
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 10_002)):
        try:
            cluster = Running(tmp_path / "data", "--no-workload", port=port)
            cluster.wait_settled(2)
            assert f"port {port + 10_002} on 127.0.0.1 cannot be used" in cluster.log.read_text()
        finally:
            if cluster is not None:
                cluster.stop()


def test_a_node_is_small(unharmed: Running) -> None:
    """90 MB resident; Django would not fit."""
    for node in unharmed.status()["nodes"]:
        lines = Path(f"/proc/{node['pid']}/status").read_text().splitlines()
        resident_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        assert resident_kb < 90 * 1024


def test_an_unattended_lock_keeps_its_generation_over_a_crash_of_the_site(running: Running) -> None:
    """Nobody renews it meanwhile, and its holder comes back with the token."""
    with lockcore.connect(running.target) as client:
        grant = client.acquire("unattended", ttl=60.0, owner="ada")
        assert isinstance(grant, Granted)
        running.process.kill()
        running.process.wait()
        running.start()
        running.wait_settled()
        renewed = client.renew("unattended", grant.token, ttl=20.0, owner="ada")
        assert isinstance(renewed, Granted)
        assert renewed.generation == grant.generation


def test_after_ctrl_c_nothing_is_left_and_a_restart_grants_soon(running: Running) -> None:
    """Every node says how long its leases go on, so that nobody has to wait for the longest possible one."""
    with lockcore.connect(running.target) as client:
        assert isinstance(client.acquire("short", ttl=2.0), Granted)
    running.stop()
    assert running.process.returncode == 0
    assert running.pids() == []
    for port in range(running.port, running.port + 4):
        assert _nobody_listens(port)
        assert _nobody_listens(port + 10_000)
    running.start()
    running.wait_settled()
    with lockcore.connect(running.target, timeout=30.0) as client:
        for key in ("short", "fresh/1", "fresh/2", "fresh/3"):
            assert isinstance(client.acquire(key, ttl=2.0), Granted)
    assert running.events("gap") == []


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_who_asks_to_the_last_does_not_keep_the_site_from_ending(running: Running) -> None:
    """A request in a thread waits for the loop; if that ended first, it would wait for ever, and Python for it."""
    visitor = Visitor(running.port)
    visitor.log_in(running.login_link())
    over = threading.Event()

    def ask_on_and_on(path: str) -> int:
        asked = 0
        while not over.is_set():
            try:
                asked += visitor.ask("GET", path).status == 200
            except (OSError, HTTPException):  # it has ended
                over.wait(0.05)
        return asked

    with ThreadPoolExecutor(len(ASKED_TO_THE_LAST)) as beside:
        answered = [beside.submit(ask_on_and_on, path) for path in ASKED_TO_THE_LAST]
        try:
            wait_for(lambda: len(visitor.heard) > 50, "answers")
            running.stop()
        finally:
            over.set()
        assert all(one.result() for one in answered)
    assert running.process.returncode == 0
    assert "given up" not in running.logged()
    assert "Traceback" not in running.logged()


def test_a_frozen_node_does_not_keep_the_site_from_ending(running: Running) -> None:
    """It cannot say goodbye, so it is killed."""
    os.kill(running.status()["nodes"][0]["pid"], signal.SIGSTOP)
    running.wait_settled(2)
    running.stop()
    assert running.process.returncode == 0


def test_a_frozen_site_costs_no_lock(running: Running) -> None:
    """Nodes fence themselves meanwhile; the master that wakes does not take their silence for death."""
    before = {node["label"]: node["incarnation"] for node in running.status()["nodes"]}
    with lockcore.connect(running.target) as client:
        grant = client.acquire("kept", ttl=20.0, owner="ada")
        assert isinstance(grant, Granted)
        running.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(
                lambda: not isinstance(client.acquire("refused", ttl=1.0), Granted), "the nodes to fence themselves"
            )
        finally:
            running.process.send_signal(signal.SIGCONT)
        found = running.wait_settled()
        assert {node["label"]: node["incarnation"] for node in found["nodes"]} == before
        renewed = client.renew("kept", grant.token, ttl=20.0, owner="ada")
        assert isinstance(renewed, Granted)
        assert renewed.generation == grant.generation


def test_no_grant_is_missing_when_a_node_is_killed_in_the_middle_of_a_load(running: Running) -> None:
    """Whatever a client was told is a row; what the rows lack is a gap in the numbers, and said to be one."""
    granted: list[tuple[str, int]] = []
    enough, over = threading.Event(), threading.Event()

    def load(name: int) -> None:
        with lockcore.connect(running.target) as client:
            number = 0
            while not over.is_set():
                number += 1
                told = client.acquire(f"load/{name}/{number}", ttl=20.0)
                if isinstance(told, Granted):
                    granted.append((f"load/{name}/{number}", told.generation))
                if len(granted) > 300:
                    enough.set()

    threads = [threading.Thread(target=load, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert enough.wait(30)
        os.kill(running.status()["nodes"][1]["pid"], signal.SIGKILL)
        running.wait_settled(2)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    wait_for(lambda: set(granted) <= set(running.events("granted")), "every grant in the history")
    assert running.events("gap") == []
    assert _holes(running) == []


def _holes(running: Running) -> list[tuple[Any, ...]]:
    """Return the sources whose numbers have holes that no row of a gap stands for."""
    return running.rows(
        "SELECT source, count(*), max(number) FROM journal_lockevent WHERE number > 0 "
        "GROUP BY source, incarnation HAVING count(*) <> max(number)"
    )


def test_the_workload_ends_with_a_site_that_crashes(tmp_path: Path) -> None:
    """Nodes are kept for the next site; clients that nobody watches are not."""
    cluster = Running(tmp_path / "data")
    try:
        nodes = sorted(node["pid"] for node in cluster.wait_settled()["nodes"])
        wait_for(lambda: len(cluster.pids()) == 5, "site, three nodes, workload")
        cluster.process.kill()
        cluster.process.wait()
        wait_for(lambda: sorted(cluster.pids()) == nodes, "the workload to end")
        other = run_up("--port", str(free_port()), "--data", str(cluster.data))
        assert other.returncode == 1
        assert "use the same --port as before, or end them" in other.stderr
        cluster.start()
        cluster.wait_settled()
    finally:
        cluster.stop()
    assert cluster.pids() == []


def test_a_node_that_nobody_masters_ends_itself_and_says_so(tmp_path: Path) -> None:
    """After ten minutes; here after one second."""
    port = free_port()
    command = [sys.executable, "manage.py", "node", "--address", f"127.0.0.1:{port + 1}.{port + 10_001}"]
    command += ["--master", f"127.0.0.1:{port + 10_000}", "--data", str(tmp_path / "data"), "--no-master-s", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 4
    assert "no word from a master for 1 s" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_below_a_file_or_read_only_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = run_up("--port", str(free_port()), "--data", str(file / "data"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"lockring: cannot make the data folder {file / 'data'}")
    assert "--data FOLDER" in done.stderr


def test_what_a_node_left_behind_while_no_site_was_there_is_recorded_at_the_next_start(running: Running) -> None:
    """Also where a new node has taken its place at once."""
    with lockcore.connect(running.target) as client:
        victim = running.status()["nodes"][0]
        granted = set()
        for number in range(30):
            grant = client.acquire(f"orphan/{number}", ttl=30.0)
            assert isinstance(grant, Granted)
            granted.add((f"orphan/{number}", grant.generation))
        running.process.kill()
        running.process.wait()
        os.kill(victim["pid"], signal.SIGKILL)
        running.start()
        found = running.wait_settled()
        assert victim["incarnation"] not in {node["incarnation"] for node in found["nodes"]}
        wait_for(lambda: granted <= set(running.events("granted")), "every grant in the history")
    assert running.events("gap") == []
    wait_for(lambda: len(list((running.data / "spool").iterdir())) == 3, "only living nodes' spools to be left")
