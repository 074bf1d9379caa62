"""Ports for those who listen: given once, also beside other test runs."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockcore.testing import ports
from lockcore.testing.ports import claim_ports, claimed, give_back
from lockcore.wire.addresses import GRPC_PORT_OFFSET

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Leave a single port to give, so that who gets it is no chance."""
    port = claim_ports()
    give_back(port)
    monkeypatch.setattr(ports, "LOWEST", port)
    monkeypatch.setattr(ports, "HIGHEST", port + 2)
    monkeypatch.setattr(ports, "TRIES", 3)
    yield port
    for mine in claimed() & {port}:
        give_back(mine)


def test_a_port_is_given_once_although_nobody_listens_there_yet(narrow: int) -> None:
    assert claim_ports() == narrow
    with pytest.raises(RuntimeError, match="end what listens there"):
        claim_ports()
    give_back(narrow)
    assert claim_ports() == narrow


def test_another_process_is_not_given_it_until_the_first_has_ended(narrow: int) -> None:
    """Workers of one test run, two test runs, chaos beside them: none of them knows the others."""
    code = "from lockcore.testing import ports; import sys; ports.LOWEST = int(sys.argv[1]); "
    code += "ports.HIGHEST = ports.LOWEST + 2; print(ports.claim_ports(), flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(narrow)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == narrow
        with pytest.raises(RuntimeError):
            claim_ports()
        other.kill()
    assert claim_ports() == narrow


@pytest.mark.parametrize("offset", [0, GRPC_PORT_OFFSET])
def test_a_port_where_somebody_listens_is_not_given(narrow: int, offset: int) -> None:
    with socket.create_server(("127.0.0.1", narrow + offset)), pytest.raises(RuntimeError):
        claim_ports()
    assert claim_ports() == narrow, "what was looked at in vain is not kept"


def test_neighbours_come_together() -> None:
    """Nobody else is given one of them, so both lists have no port in common."""
    first, second = claim_ports(50), claim_ports(50)
    try:
        assert abs(first - second) >= 50
    finally:
        give_back(first)
        give_back(second)


def test_the_kernel_gives_none_of_them_to_a_connection() -> None:
    """A node that is down for a second finds its port again."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest >= ports.HIGHEST + GRPC_PORT_OFFSET
