"""`manage.py lock KEY -- command`: the command runs under the lock, and never without it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lockcore.client.run import EXIT_LOST, EXIT_NOT_OBTAINED, EXIT_UNAVAILABLE, EXIT_USAGE
from tests.lockcore.service.cluster import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lockcore.client.blocking import Client
    from tests.lockcore.client.conftest import ThreadedCluster

pytestmark = pytest.mark.acceptance
WAIT_S = 30.0


@pytest.fixture
def client(nodes: ThreadedCluster) -> Iterator[Client]:
    import lockcore

    with lockcore.connect(nodes.target) as connected:
        yield connected


def start(target: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start the real command line."""
    command = [sys.executable, "manage.py", "lock", "--target", target, *arguments]
    pipe = subprocess.PIPE
    given: dict[str, object] = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True, "cwd": PROJECT} | options
    return subprocess.Popen(command, **given)  # type: ignore[call-overload, no-any-return]


def run(target: str, *arguments: str) -> tuple[int, str, str]:
    process = start(target, *arguments)
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


def gone(pid: int) -> bool:
    """Wait until a process is no more (or is a zombie that nobody has fetched yet)."""
    waiting = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - it is a pseudo-file
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        waiting.wait(0.02)
    return False


# --- when all is well -------------------------------------------------------------------------


def test_the_command_runs_under_the_lock_which_is_then_free(client: Client, nodes: ThreadedCluster) -> None:
    process = start(nodes.target, "run", "--owner", "me", "--", "sh", "-c", "echo started; read line; echo $line")
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    assert client.owner_of("run") == "me"
    out, err = process.communicate("through\n", timeout=WAIT_S)
    assert (process.returncode, out, err) == (0, "through\n", "")
    assert client.owner_of("run") is None


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143)])
def test_the_exit_code_is_the_commands(nodes: ThreadedCluster, script: str, code: int) -> None:
    assert run(nodes.target, "code", "--", "sh", "-c", script)[0] == code


def test_what_follows_the_dashes_is_all_the_commands(nodes: ThreadedCluster) -> None:
    code, out, _ = run(nodes.target, "dashes", "--", "echo", "--ttl", "--", "--data", "x")
    assert (code, out) == (0, "--ttl -- --data x\n")


def test_two_take_turns(nodes: ThreadedCluster, tmp_path: Path) -> None:
    script = f"mkdir {tmp_path}/inside && rmdir {tmp_path}/inside"
    processes = [start(nodes.target, "turns", "--", "sh", "-c", script) for _ in range(4)]
    assert [process.communicate(timeout=WAIT_S) and process.returncode for process in processes] == [0] * 4


# --- when it is not ----------------------------------------------------------------------------


def test_a_held_lock_is_told_with_its_holder(client: Client, nodes: ThreadedCluster) -> None:
    with client.lock("held", owner="ada"):
        code, out, err = run(nodes.target, "held", "--wait", "0", "--", "echo", "never")
    assert (code, out) == (EXIT_NOT_OBTAINED, "")
    assert err.startswith("lockring: ")
    assert "'ada'" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("", "--", "true"), "a key has 1 to 4096 bytes"),
        (("k", "--ttl", "61", "--", "true"), "0.1 to 60 seconds"),
        (("k", "--target", "nowhere", "--", "true"), "host:grpcPort"),
        (("k",), "after --"),
        (("k", "--"), "after --"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(
    nodes: ThreadedCluster, arguments: tuple[str, ...], text: str
) -> None:
    code, _, err = run(nodes.target, *arguments)
    assert code == EXIT_USAGE
    assert text in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_a_command_that_does_not_exist_is_told(client: Client, nodes: ThreadedCluster) -> None:
    code, _, err = run(nodes.target, "none", "--", "no-such-program")
    assert code == 127
    assert "cannot run 'no-such-program': No such file" in err
    assert client.owner_of("none") is None


def test_no_cluster_is_told() -> None:
    process = subprocess.run(
        [sys.executable, "-c", NO_CLUSTER], cwd=PROJECT, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert process.returncode == EXIT_UNAVAILABLE
    assert "connection refused" in process.stderr
    assert len(process.stderr.splitlines()) == 1


NO_CLUSTER = """
import sys
from lockcore.client.run import RunPlan, run
sys.exit(run(RunPlan("k", ("true",), "127.0.0.1:1", timeout=0.3)))
"""


def test_a_signal_before_the_lock_is_got_ends_the_wait(client: Client, nodes: ThreadedCluster) -> None:
    with client.lock("waiting"):
        process = start(nodes.target, "waiting", "--", "echo", "never")
        assert process.stderr is not None
        threading.Event().wait(1.0)  # most likely it waits by now; if not, it must end all the same
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode in (143, -signal.SIGTERM), out) == (True, "")
    assert "Traceback" not in err


def test_a_signal_reaches_the_command(nodes: ThreadedCluster) -> None:
    process = start(
        nodes.target, "signal", "--", "sh", "-c", "trap 'echo told; exit 7' TERM; echo on; while :; do sleep 0.1; done"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (7, "told\n")


STUBBORN = "trap '' TERM; sleep 1000 & echo $$ $!; wait; sleep 1000"


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_the_command_ends_in_time_also_when_we_are_stopped_or_killed(nodes: ThreadedCluster, number: int) -> None:
    """Nobody renews the lock then: soon another may have it. The leash sees to the end, of the whole group."""
    process = start(nodes.target, f"leash-{number}", "--ttl", "2", "--", "sh", "-c", STUBBORN)
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    try:
        process.send_signal(number)
        assert all(gone(pid) for pid in pids)
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=WAIT_S)
    assert process.returncode == (-9 if number == signal.SIGKILL else 137)


def test_the_command_has_the_terminal(nodes: ThreadedCluster) -> None:
    """An editor or a shell under a lock must be able to read from it: it is the foreground group."""
    ours, theirs = pty.openpty()
    script = "import os,sys; print(os.tcgetpgrp(0) == os.getpgrp(), input())"
    process = start(nodes.target, "tty", "--", sys.executable, "-c", script, stdin=theirs, preexec_fn=_own_terminal)
    os.write(ours, b"typed\n")
    out, _ = process.communicate(timeout=WAIT_S)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, out) == (0, "True typed\n")


def _own_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_when_the_lock_is_lost_the_command_ends_and_it_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.lockcore.client.conftest import ThreadedCluster

    own = ThreadedCluster(tmp_path_factory.mktemp("own"))
    try:
        own.start()
        polite = start(
            own.target,
            "polite",
            "--ttl",
            "2",
            "--",
            "sh",
            "-c",
            "trap 'exit 0' TERM; echo on; while :; do sleep 0.1; done",
        )
        rude = start(
            own.target, "rude", "--ttl", "2", "--", "sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.1; done"
        )
        for process in (polite, rude):
            assert process.stdout is not None
            assert process.stdout.readline() == "on\n"
        for node in own.running.nodes.values():
            node.kill()
        for process, code in ((polite, EXIT_LOST), (rude, 137)):
            _, err = process.communicate(timeout=WAIT_S)
            assert "lost the lock" in err
            assert process.returncode == code
    finally:
        own.stop()
