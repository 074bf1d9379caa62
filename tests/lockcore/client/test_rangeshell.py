"""`manage.py ranges KEY`, as people type it, against real nodes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

from lockcore.client.run import EXIT_UNAVAILABLE, EXIT_USAGE
from tests.acceptance.running import wait_for
from tests.lockcore.service.cluster import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lockcore.client.conftest import ThreadedCluster

pytestmark = pytest.mark.acceptance
WAIT_S = 60.0


class Shell:
    """One shell that is typed into."""

    def __init__(self, target: str, key: str, *words: str, label: str = "ada") -> None:
        """Start it."""
        pipe = subprocess.PIPE
        command = [sys.executable, "manage.py", "ranges", "--target", target, "--label", label, key, *words]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def type(self, line: str) -> None:
        """Type a line."""
        stdin = self._pipe(self.process.stdin)
        stdin.write(f"{line}\n")
        stdin.flush()

    def line(self) -> str:
        """Return the next line that it prints."""
        return self._pipe(self.process.stdout).readline().rstrip("\n")

    def ask(self, line: str) -> str:
        """Return the first line of an answer."""
        self.type(line)
        return self.line()

    def shown(self) -> list[str]:
        """Return all lines of `show`; another answer marks their end."""
        self.type("show")
        self.type("session")
        lines = [self.line()]
        while not lines[-1].startswith("session "):
            lines.append(self.line())
        return lines[:-1]

    def end(self) -> tuple[int, str, str]:
        """Return how it ended, and what it printed since."""
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


class Shells:
    """Shells of one key."""

    def __init__(self, target: str, key: str) -> None:
        self.target = target
        self.key = key
        self.started: list[Shell] = []

    def __call__(self, *words: str, label: str = "ada") -> Shell:
        """Start one."""
        self.started.append(Shell(self.target, self.key, *words, label=label))
        return self.started[-1]


@pytest.fixture
def shells(nodes: ThreadedCluster, request: pytest.FixtureRequest) -> Iterator[Shells]:
    found = Shells(nodes.target, request.node.name)
    yield found
    for shell in found.started:
        shell.process.kill()
        shell.process.communicate()


def test_two_shells_stand_in_each_other_s_way_as_with_fcntl(shells: Shells) -> None:
    ada, bob = shells(), shells(label="bob")
    assert ada.ask("setlk write 0 100").startswith("held   write 0 to 99 by ada (main), fence ")
    assert ada.ask("unlck 40 20") == "not held any more"
    assert bob.ask("setlk read 45 10").startswith("held   read  45 to 54 by bob (main)")
    assert "EAGAIN" in bob.ask("setlk write 0 0")
    assert bob.ask("getlk write 0 0").startswith("in the way: write 0 to 39 by ada (main)")
    assert "EINVAL" in bob.ask("setlk read -5 2")
    assert [line[:30] for line in ada.shown()] == [
        "held   write 0 to 39 by ada (m",
        "held   read  45 to 54 by bob (",
        "held   write 60 to 99 by ada (",
    ]
    bob.type("setlkw write 0 10 wait 60")
    ada.type("unlck")
    ada.line()
    assert bob.line().startswith("held   write 0 to 9")
    ada.type("quit")
    assert ada.end()[0] == 0
    assert bob.ask("getlk write 60 10") == "free: nothing is in the way"
    bob.type("quit")
    code, _, errors = bob.end()
    assert (code, errors) == (1, "")  # something was refused


def test_a_switch_moves_what_is_held_without_a_break(shells: Shells) -> None:
    """SETLK_MIGRATE, with somebody who waits for the same bytes all the time."""
    ada, thief = shells(), shells(label="thief")
    fence = ada.ask("setlk write 0 100").rpartition(" ")[2]
    thief.type("setlkw write 0 100")
    wait_for(lambda: ada.shown()[1:] == ["waits  write 0 to 99 by thief (main)"], "the thief's place")
    old = ada.ask("session").split()[1].rstrip(",")
    moved = ada.ask("switch")
    assert moved.startswith(f"session {old} -> ")
    assert ada.line() == f"MIGRATED, held without a break: write 0 to 99 by ada (main), fence {fence}"
    ada.type("quit")
    assert thief.line().startswith("held   write 0 to 99 by thief")


def test_one_line_on_the_command_line_is_carried_out(shells: Shells) -> None:
    holding = shells("hold", "write", "0", "10")
    assert holding.line().startswith("held   write 0 to 9")
    assert holding.line() == "until Ctrl-C"
    code, out, errors = shells("getlk", "read", "5", "1", label="bob").end()
    assert (code, errors) == (1, "")
    assert out.startswith("in the way: write 0 to 9 by ada (main)")
    code, out, _ = shells("show").end()
    assert (code, out[:18]) == (0, "held   write 0 to ")
    holding.process.send_signal(signal.SIGINT)
    assert holding.end()[0] == 0
    assert shells("getlk", "read", "5", "1").end()[:2] == (0, "free: nothing is in the way\n")


def test_bad_input_gets_one_line_that_says_what_to_do(shells: Shells) -> None:
    for words, says in (
        (("setlk", "write"), "Write `hold`"),
        (("lock",), "write one of"),
        (("getlk", "write", "ten"), "'ten'"),
    ):
        code, out, errors = shells(*words).end()
        assert (code, out) == (EXIT_USAGE, "")
        assert errors.startswith("lockring: ")
        assert len(errors.splitlines()) == 1
        assert says in errors
    shell = shells()
    assert "there is no 'lock' here" in shell.ask("lock write")
    assert shell.ask("hold write") == "here setlkw holds until you let go"
    assert shell.ask("setlk write").startswith("held"), "a bad line ends nothing"


def test_no_cluster_is_told_in_one_line() -> None:
    code, out, errors = Shell("127.0.0.1:9", "k", "show").end()
    assert (code, out) == (EXIT_UNAVAILABLE, "")
    assert len(errors.splitlines()) == 1


def test_ctrl_c_leaves_a_queue_and_then_the_shell(shells: Shells) -> None:
    """In a terminal, where the line is typed."""
    holding = shells("hold", "write")
    assert holding.line().startswith("held")
    ours, theirs = pty.openpty()
    command = [sys.executable, "manage.py", "ranges", "--target", shells.target, "--label", "bob", shells.key]
    process = subprocess.Popen(command, cwd=PROJECT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        read_until(ours, b"ranges> ")
        os.write(ours, b"setlkw write\n")
        watcher = shells()
        wait_for(lambda: any(line.startswith("waits") for line in watcher.shown()), "a place in the queue")
        process.send_signal(signal.SIGINT)
        assert b"given up" in read_until(ours, b"ranges> ")
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, wanted: bytes) -> bytes:
    """Return what the terminal shows, up to the wanted."""
    shown = b""
    while wanted not in shown:
        shown += os.read(terminal, 1024)
    return shown
