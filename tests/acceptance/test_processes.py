"""Starting, crashing, restarting and ending: what is left, what is kept, what people are told.

Elsewhere: the same on the page (test_page.py), the supervisor by itself (tests/dlmsite/operations).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lockcore
from lockcore.core.messages import Granted
from tests.acceptance.running import ROOT, Running, free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    cluster = Running(tmp_path / "data", "--no-workload")
    try:
        cluster.wait_settled()
        yield cluster
    finally:
        cluster.stop()
        assert cluster.pids() == [], "after Ctrl-C nothing is left"


def run_up(*options: str) -> subprocess.CompletedProcess[str]:
    """Run an `up` that is to fail."""
    command = [sys.executable, "manage.py", "up", "--no-workload", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)


def test_status_tells_everything_about_every_node(running: Running) -> None:
    with lockcore.connect(running.target) as client, client.lock("k", ttl=7.0):
        found = wait_for(lambda: _with_lock(running.status()), "the lock in the status")
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
    with lockcore.connect(running.target) as client, client.lock("kept", ttl=10.0, owner="ada") as lock:
        generation = lock.generation
        running.process.kill()
        running.process.wait()
        assert sorted(running.pids()) == sorted(pid for pid, _ in before.values())
        assert "not running" in status_text(running)
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


def status_text(running: Running) -> str:
    """Return what `manage.py status` tells a person."""
    command = [sys.executable, "manage.py", "status", "--data", str(running.data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60, text=True).stdout


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
    assert running.events("gap") == []
    assert len(running.events("died")) == 1


def test_a_second_site_in_the_same_folder_is_told_where_the_first_is(running: Running) -> None:
    done = run_up("--port", str(free_port()), "--data", str(running.data))
    assert done.returncode == 1
    assert f"already at http://127.0.0.1:{running.port}/ (pid {running.process.pid})" in done.stderr
    assert "Traceback" not in done.stderr
    running.wait_settled()


def test_ports_that_are_taken_are_named(running: Running, tmp_path: Path) -> None:
    page = run_up("--port", str(running.port), "--data", str(tmp_path / "other"))
    assert page.returncode == 1
    assert f"port {running.port} on 127.0.0.1 cannot be used: another program uses it" in page.stderr

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


def test_a_node_is_small(running: Running) -> None:
    """90 MB resident; Django would not fit."""
    for node in running.status()["nodes"]:
        lines = Path(f"/proc/{node['pid']}/status").read_text().splitlines()
        resident_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        assert resident_kb < 90 * 1024
