"""One node process alone: what it says when it cannot run, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from lockcore.service.addresses import grpc_target
from lockcore.service.node_main import parse
from lockcore.testing.ports import claim_ports
from lockcore.wire.codec import decode_status
from lockcore.wire.methods import STATUS
from tests.lockcore.service.cluster import spawn_node, unary

if TYPE_CHECKING:
    from pathlib import Path


def arguments(data: Path, address: str = "", *more: str) -> tuple[str, ...]:
    port = claim_ports(2)
    given = address or f"127.0.0.1:{port}.{port}"
    return ("--address", given, "--master", f"127.0.0.1:{port + 1}", "--data", str(data), "--label", "n1", *more)


async def ends(*given: str) -> tuple[int, str]:
    process = await spawn_node(*given)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, err.decode()


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, err = await ends(*arguments(tmp_path, f"127.0.0.1:1.{port}"))
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in err
    assert "choose another port" in err
    assert "Traceback" not in err


async def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, err = await ends(*arguments(tmp_path / "file"))
    assert code == 2
    assert err.count("\n") == 1
    assert "lockring: " in err


async def test_an_address_that_is_none_is_refused_with_what_one_looks_like(tmp_path: Path) -> None:
    code, err = await ends(*arguments(tmp_path, "nonsense"))
    assert code == 2
    assert "host:port.grpcPort" in err
    assert "Traceback" not in err


async def test_a_node_without_a_master_ends_itself(tmp_path: Path) -> None:
    """Nodes outlive the site, but not for ever (ten minutes; less here)."""
    code, err = await ends(*arguments(tmp_path, "", "--no-master-s", "0.5"))
    assert code == 4
    assert "no word from a master" in err


async def test_sigterm_ends_a_node_that_never_joined_at_once(tmp_path: Path) -> None:
    given = arguments(tmp_path)
    process = await spawn_node(*given)
    target = grpc_target(given[1])
    await asyncio.wait_for(_answers(target), 30)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 8)
    assert process.returncode == 0


async def test_a_node_says_that_it_is_joining_and_has_no_master(tmp_path: Path) -> None:
    """Health that was not measured is not claimed."""
    given = arguments(tmp_path)
    process = await spawn_node(*given)
    try:
        status = decode_status(await _answers(grpc_target(given[1])))
    finally:
        process.kill()
        await process.communicate()
    assert (status.state, status.master_connected, status.view) == ("joining", False, None)
    assert (status.member.address, status.label, status.pid) == (given[1], "n1", process.pid)


async def _answers(target: str) -> bytes:
    from grpc.aio import AioRpcError

    while True:
        try:
            return await unary(target, STATUS, b"")
        except AioRpcError:
            await asyncio.sleep(0.05)


def test_a_label_is_the_port_where_none_is_given() -> None:
    assert parse(["--address", "127.0.0.1:8001.18001", "--data", "/tmp"]).label == "8001"  # noqa: S108


@pytest.mark.parametrize("label", ["../x", "a/b", ".hidden"])
def test_a_label_that_is_no_file_name_is_refused(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The spool is named after it."""
    with pytest.raises(SystemExit):
        parse(["--address", "127.0.0.1:8001", "--data", "/tmp", "--label", label])  # noqa: S108
    assert "letters and digits" in capsys.readouterr().err
